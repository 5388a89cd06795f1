package mermaid

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// waitsShown is how many different waits of a step are drawn; a condition may
// be seen to fail in many ways before it holds.
const waitsShown = 3

// DrawRun draws what happened in a run as a sequence diagram, in the order of
// its events and with the time since its start: a container appears when its
// step begins and goes when it was removed. What ran before stands at the top.
func DrawRun(run []events.Event) string {
	t := timeline.Of(run)
	d := &recorded{run: t, rows: map[string]*timeline.Row{}, there: map[string]string{}, waits: map[string][]string{}}
	d.add("sequenceDiagram")
	d.add("    title %s", safe(t.Title()))
	d.add("    actor runner as stagehand")
	for _, r := range t.Rows {
		d.rows[r.Step] = r
		if r.Outcome == events.Adopted && r.Container != "" && d.there[r.Container] == "" {
			d.add("    participant %s as %s", d.name(r.Container), safe(cmp.Or(r.Service, r.Container)))
		}
	}
	for _, e := range run {
		d.event(e)
	}
	if t.Ended.IsZero() {
		d.note("runner", events.Event{Time: t.Last}, "no end is recorded")
	}
	return d.b.String()
}

type recorded struct {
	run  *timeline.Run
	rows map[string]*timeline.Row
	b    strings.Builder
	// there maps a container that stands to its participant.
	there map[string]string
	// waits are those drawn of a step.
	waits map[string][]string
	count int
}

func (d *recorded) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *recorded) name(container string) string {
	d.count++
	d.there[container] = fmt.Sprintf("p%d", d.count)
	return d.there[container]
}

func (d *recorded) words(e events.Event, parts ...string) string {
	return safe(text.Clock(e.Time.Sub(d.run.Started)) + " " + text.Joined(", ", parts...))
}

func (d *recorded) note(over string, e events.Event, parts ...string) {
	d.add("    Note over %s: %s", over, d.words(e, parts...))
}

func (d *recorded) event(e events.Event) {
	switch e.Kind {
	case events.RunStarted:
		for _, s := range e.Settled {
			if r := d.rows[s.Step]; r.Started.IsZero() {
				d.note("runner", e, s.Step+": "+string(s.Outcome), s.Cause)
			}
		}
	case events.RunEnded:
		d.note("runner", e, string(e.Verdict), e.Error)
	case events.RunInterrupted:
		d.note("runner", e, "interrupted", e.Cause)
	case events.LeaseLost:
		d.note("runner", e, "lease lost", e.Cause)
	case events.LeaseAcquired:
		if e.Elapsed > 0 {
			d.note("runner", e, "lease acquired after a wait of "+text.Duration(e.Elapsed))
		}
	case events.StageStarted:
		d.note("runner", e, "stage "+e.Stage+" begins: "+e.Verb)
	case events.StageCompleted:
		d.note("runner", e, "stage "+e.Stage+" ended: "+cmp.Or(e.Error, string(e.Outcome)))
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
	case events.StepProgress, events.StepStopping: // what comes of it is drawn
	}
}

func (d *recorded) started(e events.Event) {
	again := ""
	if e.Attempt > 1 {
		again = fmt.Sprintf("attempt %d", e.Attempt)
	}
	delete(d.waits, e.Step)
	if e.Container == "" {
		d.add("    runner->>runner: %s", d.words(e, e.Step+" begins", again, e.Cause))
		return
	}
	p, there := d.there[e.Container]
	if !there {
		p = d.name(e.Container)
		d.add("    create participant %s as %s", p, safe(cmp.Or(e.Service, e.Container)))
	}
	d.add("    runner->>%s: %s", p, d.words(e, e.Step+" begins", again, e.Cause))
}

func (d *recorded) waiting(e events.Event) {
	seen := d.waits[e.Step]
	if slices.Contains(seen, e.Cause) {
		return
	}
	d.waits[e.Step] = append(seen, e.Cause)
	switch over := cmp.Or(d.there[e.Container], "runner"); {
	case len(seen) < waitsShown:
		d.note(over, e, e.Step+" waits: "+e.Cause)
	case len(seen) == waitsShown:
		d.note(over, e, e.Step+" waits on")
	}
}

func (d *recorded) stepEnded(e events.Event) {
	r := d.rows[e.Step]
	if r.Started.IsZero() {
		d.note("runner", e, e.Step+": "+r.State(), cmp.Or(strings.TrimPrefix(e.Error, "not reached: "), e.Cause))
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
func (d *recorded) ended(e events.Event, parts ...string) {
	arrow := "-->>"
	if e.Outcome == events.Failed || e.Outcome == events.TimedOut {
		arrow = "--x"
	}
	d.add("    %s%srunner: %s", cmp.Or(d.there[e.Container], "runner"), arrow, d.words(e, append([]string{e.Step + ": " + parts[0]}, parts[1:]...)...))
}

// gone destroys the container's participant, if it is in the picture.
func (d *recorded) gone(e events.Event, parts ...string) {
	p := d.there[e.Container]
	if p == "" {
		d.note("runner", e, text.Joined(": ", e.Container, text.Joined(", ", parts...)))
		return
	}
	d.add("    destroy %s", p)
	d.add("    runner-x%s: %s", p, d.words(e, parts...))
	delete(d.there, e.Container)
}
