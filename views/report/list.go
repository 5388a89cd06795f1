package report

import (
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Summary is a run in a list.
type Summary struct {
	Stack, ID, Verb string
	Started         time.Time
	// Ended is zero where no end is recorded.
	Ended   time.Time
	Verdict events.Verdict
}

// Standing is a stack of which containers stand on the engine now.
type Standing struct {
	Stack string
	// Running and Stopped are how many of its containers run, and do not.
	Running, Stopped int
	// Addresses are where it is reached.
	Addresses []string
	// Run is the ID of the run that is at work on it; "" for none.
	Run string
}

// Listing is what a page of runs shows.
type Listing struct {
	// Runs in the order in which they are shown.
	Runs []Summary
	// Standing are the stacks on the engine, by name. Unseen says why these are not known; "" if they are.
	Standing []Standing
	Unseen   string
}

// stackRuns are a stack's runs.
type stackRuns struct {
	Stack string
	Runs  []listed
}

type listed struct{ ID, Verb, State, Tone, Began, Took string }

// WriteList writes a page with what stands and with the runs, by stack; each of these leads to run/ID. stream is as in a Report.
func WriteList(w io.Writer, l Listing, stream string) error {
	return pages.Execute(w, listPage(l, stream))
}

// ListBody writes what of that page changes.
func ListBody(w io.Writer, l Listing) error {
	return pages.ExecuteTemplate(w, "body", listPage(l, ""))
}

func listPage(l Listing, stream string) *page {
	p := &page{CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Title: "stagehand: runs", Stream: stream, IsList: true} //nolint:gosec // our own files, not anybody's input
	p.Unseen = text.Clean(l.Unseen)
	for _, s := range l.Standing {
		s.Stack = text.Clean(s.Stack)
		p.Standing = append(p.Standing, s)
	}
	for _, r := range l.Runs {
		one := listed{ID: text.Clean(r.ID), Verb: text.Clean(r.Verb), Began: r.Started.UTC().Format("2006-01-02 15:04:05 UTC")}
		one.State, one.Tone = state(r.Ended, r.Verdict, slices.ContainsFunc(l.Standing, func(s Standing) bool { return s.Run != "" && s.Run == r.ID }))
		if !r.Ended.IsZero() {
			one.Took = text.Duration(r.Ended.Sub(r.Started))
		}
		i := slices.IndexFunc(p.List, func(s stackRuns) bool { return s.Stack == text.Clean(r.Stack) })
		if i < 0 {
			i = len(p.List)
			p.List = append(p.List, stackRuns{Stack: text.Clean(r.Stack)})
		}
		p.List[i].Runs = append(p.List[i].Runs, one)
	}
	return p
}
