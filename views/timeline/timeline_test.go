package timeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is an event of a step, after so many milliseconds.
func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time, e.Kind, e.Step, e.Run, e.Stack = zero.Add(time.Duration(ms)*time.Millisecond), kind, step, "r1", "demo"
	return e
}

func TestRows(t *testing.T) {
	seven := 7
	run := Of([]events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up", Settled: []events.Settled{{Step: "init", Outcome: events.Skipped, Cause: "recorded by run r0"}}}),
		at(0, events.StepStarted, "a", events.Event{Attempt: 1, Cause: "never ran", Stage: "s"}),
		at(1, events.StepStarted, "b", events.Event{Attempt: 1}),
		at(50, events.StepRetrying, "a", events.Event{Attempt: 1}),
		at(60, events.StepStarted, "a", events.Event{Attempt: 2, Cause: "never ran"}),
		at(80, events.StepEnded, "b", events.Event{Outcome: events.Done}),
		at(100, events.StepEnded, "a", events.Event{Outcome: events.Done}),
		at(101, events.StepStarted, "c", events.Event{Attempt: 1}),
		at(190, events.StepEnded, "c", events.Event{Outcome: events.Failed, ExitCode: &seven, Error: "exit 7"}),
		at(190, events.StepEnded, "d", events.Event{Outcome: events.Skipped, Error: "not reached: c failed"}),
		at(200, events.RunEnded, "", events.Event{Verdict: events.VerdictFailed}),
		at(230, events.HelperDestroyed, "c", events.Event{}),
	})
	var got strings.Builder
	fmt.Fprintln(&got, run.Title())
	for _, r := range run.Rows {
		fmt.Fprintln(&got, r.Step, r.State(), r.Took(), r.Attempts, r.Critical, r.Cause)
	}
	want := `demo, up r1, failed after 200ms
init skipped 0s 0 false recorded by run r0
a done 100ms 2 true never ran
b done 79ms 1 false 
c failed 89ms 1 true 
d not reached 0s 0 false 
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// Of a run that was killed the steps that had begun have no end.
func TestNoEnd(t *testing.T) {
	run := Of([]events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up"}),
		at(10, events.StepStarted, "a", events.Event{}),
		at(500, events.StepWaiting, "a", events.Event{}),
	})
	if got := run.Title(); got != "demo, up r1, no end after 500ms" {
		t.Error(got)
	}
	if r := run.Rows[0]; r.State() != "no end" || r.Took() != 0 || !r.Critical {
		t.Errorf("%+v", r)
	}
	if empty := Of(nil); len(empty.Rows) != 0 || len(empty.Critical()) != 0 {
		t.Errorf("%+v", empty)
	}
}
