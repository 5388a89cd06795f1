// Package sequence makes of a run's events what a sequence diagram of it shows:
// who takes part, and what passes between stagehand and them, in the order of
// the events. It is pure; others write it down or draw it.
package sequence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// Diagram is a run as a sequence diagram.
type Diagram struct {
	Title string
	// Parties take part, in the order of their appearance. The first is stagehand
	// itself; the others are containers, each as long as it stands: one that
	// was removed and made again is two.
	Parties []Party
	Lines   []Line
}

// Party takes part.
type Party struct {
	Name string
	// There tells that it stood when the run began.
	There bool
}

// Kind says what a line is.
type Kind string

// The kinds of lines. All but a note pass between stagehand and the line's party, which may
// be stagehand itself.
const (
	Note   Kind = "note"
	Begin  Kind = "begin"  // stagehand begins a step; its container appears unless it stands
	Done   Kind = "done"   // the answer of a step that ended
	Failed Kind = "failed" // the answer of a step, or an attempt, that failed
	Gone   Kind = "gone"   // stagehand removes or stops the container
)

// Line is one thing that happened.
type Line struct {
	Kind Kind
	// Party is whom it is about: an index of Parties.
	Party int
	// Appears tells that the party stands from this line on.
	Appears bool
	// At is the time since the run's start.
	At   time.Duration
	Text string // with line breaks and control characters, if the events have them
}

// Stagehand is the party that runs the steps.
const Stagehand = 0

// waitsShown is how many different waits of a step are shown; a condition may
// be seen to fail in many ways before it holds.
const waitsShown = 3

// Of makes the diagram of a run's events, which are in order. keep says which steps
// are shown; nil shows all.
func Of(run []events.Event, keep func(*timeline.Row) bool) Diagram {
	t := timeline.Of(run)
	d := &drawing{run: t, rows: map[string]*timeline.Row{}, there: map[string]int{}, waits: map[string][]string{}}
	d.Title = t.Title()
	d.Parties = []Party{{Name: "stagehand", There: true}}
	for _, r := range t.Rows {
		if keep != nil && !keep(r) {
			continue
		}
		d.rows[r.Step] = r
		if r.Outcome == events.Adopted && r.Container != "" && d.there[r.Container] == 0 {
			d.appear(cmp.Or(r.Service, r.Container), r.Container, true)
		}
	}
	for _, e := range run {
		if e.Step == "" || d.rows[e.Step] != nil {
			d.event(e)
		}
	}
	if t.Ended.IsZero() {
		d.note(Stagehand, events.Event{Time: t.Last}, "no end is recorded")
	}
	return d.Diagram
}

// drawing is a diagram being made.
type drawing struct {
	Diagram
	run *timeline.Run
	// rows are those of the steps that are shown.
	rows map[string]*timeline.Row
	// there maps a container that stands to its party.
	there map[string]int
	// waits are those shown of a step.
	waits map[string][]string
}

func (d *drawing) appear(name, container string, there bool) int {
	d.Parties = append(d.Parties, Party{Name: name, There: there})
	d.there[container] = len(d.Parties) - 1
	return d.there[container]
}

// add adds a line; the first of parts are what happened.
func (d *drawing) add(l Line, e events.Event, parts ...string) {
	l.At, l.Text = e.Time.Sub(d.run.Started), text.Joined(", ", parts...)
	d.Lines = append(d.Lines, l)
}

func (d *drawing) note(over int, e events.Event, parts ...string) {
	d.add(Line{Kind: Note, Party: over}, e, parts...)
}

func (d *drawing) event(e events.Event) {
	switch e.Kind {
	case events.RunStarted:
		for _, s := range e.Settled {
			if r := d.rows[s.Step]; r != nil && r.Started.IsZero() {
				d.note(Stagehand, e, s.Step+": "+string(s.Outcome), s.Cause)
			}
		}
	case events.RunEnded:
		d.note(Stagehand, e, string(e.Verdict), e.Error)
	case events.RunInterrupted:
		d.note(Stagehand, e, "interrupted", e.Cause)
	case events.LeaseLost:
		d.note(Stagehand, e, "lease lost", e.Cause)
	case events.LeaseAcquired:
		if e.Elapsed > 0 {
			d.note(Stagehand, e, "lease acquired after a wait of "+text.Duration(e.Elapsed))
		}
	case events.StageStarted:
		d.note(Stagehand, e, "stage "+e.Stage+" begins: "+e.Verb)
	case events.StageCompleted:
		d.note(Stagehand, e, "stage "+e.Stage+" ended: "+cmp.Or(e.Error, string(e.Outcome)))
	case events.StepStarted:
		d.started(e)
	case events.StepWaiting:
		d.waiting(e)
	case events.StepRetrying:
		d.ended(e, fmt.Sprintf("attempt %d failed", max(e.Attempt, 1)), text.How(e), e.Cause)
		// Before another attempt a helper is removed, with no event of its own.
		if e.Container != "" && (e.Verb == string(stages.Run) || e.Verb == string(stages.Await)) {
			d.gone(e, "removed")
		}
	case events.StepEnded:
		d.stepEnded(e)
	case events.HelperDestroyed:
		d.gone(e, "removed")
	case events.ServiceStopped:
		d.gone(e, "stopped", text.How(e), e.Cause)
	case events.StepProgress, events.StepStopping: // what comes of it is shown
	}
}

func (d *drawing) started(e events.Event) {
	why := e.Cause
	if e.Attempt > 1 { // how the one before failed has just been drawn
		why = fmt.Sprintf("attempt %d", e.Attempt)
	}
	delete(d.waits, e.Step)
	l := Line{Kind: Begin}
	if e.Container != "" {
		if l.Party = d.there[e.Container]; l.Party == 0 {
			l.Party, l.Appears = d.appear(cmp.Or(e.Service, e.Container), e.Container, false), true
		}
	}
	d.add(l, e, e.Step+" begins", why)
}

func (d *drawing) waiting(e events.Event) {
	seen := d.waits[e.Step]
	if slices.Contains(seen, e.Cause) {
		return
	}
	d.waits[e.Step] = append(seen, e.Cause)
	switch over := d.there[e.Container]; {
	case len(seen) < waitsShown:
		d.note(over, e, e.Step+" waits: "+e.Cause)
	case len(seen) == waitsShown:
		d.note(over, e, e.Step+" waits on")
	}
}

func (d *drawing) stepEnded(e events.Event) {
	r := d.rows[e.Step]
	if r.Started.IsZero() {
		d.note(Stagehand, e, e.Step+": "+r.State(), cmp.Or(strings.TrimPrefix(e.Error, "not reached: "), e.Cause))
		return
	}
	took := ""
	if r.Took() > 0 {
		took = "after " + text.Duration(r.Took())
	}
	critical := ""
	if r.Critical {
		critical = "on the critical path"
	}
	d.ended(e, r.State(), text.How(e), took, critical)
}

// ended is the answer of a step to what began it.
func (d *drawing) ended(e events.Event, parts ...string) {
	l := Line{Kind: Done, Party: d.there[e.Container]}
	if e.Outcome == events.Failed || e.Outcome == events.TimedOut {
		l.Kind = Failed
	}
	d.add(l, e, append([]string{e.Step + ": " + parts[0]}, parts[1:]...)...)
}

// gone removes the container's party, if it takes part.
func (d *drawing) gone(e events.Event, parts ...string) {
	p := d.there[e.Container]
	if p == 0 {
		d.note(Stagehand, e, text.Joined(": ", e.Container, text.Joined(", ", parts...)))
		return
	}
	d.add(Line{Kind: Gone, Party: p}, e, parts...)
	delete(d.there, e.Container)
}
