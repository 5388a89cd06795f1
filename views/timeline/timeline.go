// Package timeline makes of a run's events what happened to each step and when:
// the model that the views of a past run share. It is pure.
package timeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Run is a run as its events tell it.
type Run struct {
	ID      string    `json:"id"`
	Stack   string    `json:"stack"`
	Verb    string    `json:"verb,omitempty"`
	Started time.Time `json:"started"`
	// Ended is zero where no end is recorded: the run goes on, or its process was killed.
	Ended   time.Time      `json:"ended,omitzero"`
	Verdict events.Verdict `json:"verdict,omitempty"`
	Error   string         `json:"error,omitempty"`
	// Rows are the steps, in the order in which the events name them first.
	Rows []*Row `json:"steps"`
	// Last is the time of the last event.
	Last time.Time `json:"last"`
}

// Row is what became of one step.
type Row struct {
	Step      string `json:"step"`
	Stage     string `json:"stage,omitempty"`
	Verb      string `json:"verb,omitempty"`
	App       string `json:"app,omitempty"`
	Service   string `json:"service,omitempty"`
	Container string `json:"container,omitempty"`
	// Started is zero where there was nothing to do, or it came to nothing.
	Started time.Time `json:"started,omitzero"`
	// Ended is zero where no end is recorded.
	Ended time.Time `json:"ended,omitzero"`
	// Outcome is empty where no end is recorded.
	Outcome  events.Outcome `json:"outcome,omitempty"`
	ExitCode *int           `json:"exit_code,omitempty"`
	// Attempts is how many were begun; 0 where the step never began.
	Attempts int `json:"attempts"`
	// Behind is the step whose end let this one begin: see events.Event.
	Behind string `json:"behind,omitempty"`
	// Cause says why the step ran, or why there was nothing to do.
	Cause string `json:"cause,omitempty"`
	Error string `json:"error,omitempty"`
	// Critical: the step is on the critical path.
	Critical bool `json:"critical,omitempty"`
}

// Took is how long the step took, all attempts and the waits between them;
// 0 where it has no beginning or no end.
func (r *Row) Took() time.Duration {
	if r.Started.IsZero() || r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Started)
}

// Failed tells whether the step is a reason for which a run fails.
func (r *Row) Failed() bool { return r.Outcome == events.Failed || r.Outcome == events.TimedOut }

// State is the step's outcome in a word or two.
func (r *Row) State() string {
	switch {
	case r.Outcome == events.TimedOut:
		return "timed out"
	case r.Outcome == events.Skipped && r.Error != "" && !r.Started.IsZero():
		return "stopped"
	case r.Outcome == events.Skipped && r.Error != "":
		return "not reached"
	case r.Outcome == "" && !r.Started.IsZero():
		return "no end"
	case r.Outcome == "":
		return "not begun"
	}
	return string(r.Outcome)
}

// Of makes the model of the events of one run, which are in order.
func Of(run []events.Event) *Run {
	t := &Run{Rows: []*Row{}}
	index := map[string]*Row{}
	at := func(e events.Event) *Row {
		r := index[e.Step]
		if r == nil {
			r = &Row{Step: e.Step}
			index[e.Step] = r
			t.Rows = append(t.Rows, r)
		}
		r.Stage, r.Verb, r.App = cmp.Or(e.Stage, r.Stage), cmp.Or(e.Verb, r.Verb), cmp.Or(e.App, r.App)
		r.Service, r.Container = cmp.Or(e.Service, r.Service), cmp.Or(e.Container, r.Container)
		return r
	}
	for _, e := range run {
		t.ID, t.Stack, t.Last = cmp.Or(t.ID, e.Run), cmp.Or(t.Stack, e.Stack), e.Time
		if t.Started.IsZero() {
			t.Started = e.Time
		}
		switch e.Kind {
		case events.RunStarted:
			t.Verb = e.Verb
			for _, s := range e.Settled {
				r := at(events.Event{Step: s.Step})
				r.Outcome, r.Cause = s.Outcome, s.Cause
			}
		case events.RunEnded:
			t.Ended, t.Verdict, t.Error = e.Time, e.Verdict, e.Error
		case events.StepStarted:
			r := at(e)
			if r.Started.IsZero() {
				r.Started = e.Time
			}
			r.Ended, r.Outcome = time.Time{}, ""   // of a settled step that had to be done after all
			if e.Attempt <= 1 || r.Attempts == 0 { // later attempts tell how the one before failed
				r.Cause = e.Cause
			}
			r.Behind, r.Attempts = e.Behind, max(r.Attempts, e.Attempt, 1)
		case events.StepEnded:
			r := at(e)
			r.Ended, r.Outcome, r.ExitCode, r.Error = e.Time, e.Outcome, e.ExitCode, e.Error
			r.Cause = cmp.Or(r.Cause, e.Cause)
		}
	}
	t.mark()
	return t
}

// End is until when the row went on, as far as the events tell.
func (t *Run) End(r *Row) time.Time {
	if r.Ended.IsZero() {
		return t.Last
	}
	return r.Ended
}

// mark finds the critical path: from the step that ended last back to the one
// whose end let it begin, and so on. Runs of versions that did not record
// that have no graph at all; of these it is the time that counts: of two steps that
// ended before another began the later one is taken for what it waited for.
func (t *Run) mark() {
	began := slices.DeleteFunc(slices.Clone(t.Rows), func(r *Row) bool { return r.Started.IsZero() })
	slices.SortStableFunc(began, func(a, b *Row) int { return t.End(a).Compare(t.End(b)) })
	told := slices.ContainsFunc(began, func(r *Row) bool { return r.Behind != "" })
	for i := len(began) - 1; i >= 0; {
		on := began[i]
		on.Critical = true
		for i--; i >= 0; i-- {
			if told && began[i].Step == on.Behind || !told && !t.End(began[i]).After(on.Started) {
				break
			}
		}
	}
}

// Critical is the critical path, in the order of time.
func (t *Run) Critical() []*Row {
	path := slices.DeleteFunc(slices.Clone(t.Rows), func(r *Row) bool { return !r.Critical })
	slices.SortStableFunc(path, func(a, b *Row) int { return a.Started.Compare(b.Started) })
	return path
}

// Share is what a stage has of the critical path.
type Share struct {
	// Stage is empty for what no step took: planning, the wait for the lease, and
	// what lies between the end of a step and the beginning of the next.
	Stage string
	// Rows are its steps on the path, in the order of time.
	Rows []*Row
	Took time.Duration
}

// Shares divides the whole time of the run, in the order of time; what no step took stands last.
func (t *Run) Shares() []Share {
	var all []Share
	rest := t.Took()
	for _, r := range t.Critical() {
		i := slices.IndexFunc(all, func(s Share) bool { return s.Stage == r.Stage })
		if i < 0 {
			i = len(all)
			all = append(all, Share{Stage: r.Stage})
		}
		took := t.End(r).Sub(r.Started)
		all[i].Rows, all[i].Took = append(all[i].Rows, r), all[i].Took+took
		rest -= took
	}
	if rest > 0 {
		all = append(all, Share{Took: rest})
	}
	return all
}

// Took is how long the run took, until its last event where it has no end.
func (t *Run) Took() time.Duration {
	if t.Ended.IsZero() {
		return t.Last.Sub(t.Started)
	}
	return t.Ended.Sub(t.Started)
}

// Title is the run in a line: what it did, to what, and how that ended.
func (t *Run) Title() string {
	how := "no end"
	if !t.Ended.IsZero() {
		how = string(t.Verdict)
	}
	return strings.Join([]string{t.Stack, text.Joined(" ", t.Verb, t.ID), how + " after " + text.Duration(t.Took())}, ", ")
}
