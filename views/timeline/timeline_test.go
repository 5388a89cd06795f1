package timeline

import (
	stdcmp "cmp"
	"fmt"
	"slices"
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

// pathOf are the steps of the critical path and the shares, as text.
func pathOf(run *Run) string {
	var steps, shares []string
	for _, r := range run.Critical() {
		steps = append(steps, r.Step)
	}
	for _, s := range run.Shares() {
		shares = append(shares, fmt.Sprintf("%s %dms (%d)", stdcmp.Or(s.Stage, "-"), s.Took.Milliseconds(), len(s.Rows)))
	}
	return strings.Join(steps, " > ") + " | " + strings.Join(shares, ", ")
}

// The path is what the run recorded that its steps came behind, and the time only where it did not.
func TestCriticalPath(t *testing.T) {
	type step struct {
		id, stage, behind string
		from, to          int // milliseconds
	}
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"a row":           {[]step{{"a", "one", "", 0, 100}, {"b", "two", "a", 110, 200}, {"c", "three", "b", 200, 250}}, "a > b > c | one 100ms (1), two 90ms (1), three 50ms (1), - 20ms (0)"},
		"two sides":       {[]step{{"a1", "a", "", 0, 100}, {"b1", "b", "", 0, 150}, {"a2", "a", "a1", 155, 300}, {"b2", "b", "b1", 151, 250}}, "a1 > a2 | a 245ms (2), - 65ms (0)"},
		"by time":         {[]step{{"a1", "a", "", 0, 100}, {"b1", "b", "", 0, 150}, {"a2", "a", "", 155, 300}, {"b2", "b", "", 151, 250}}, "b1 > a2 | b 150ms (1), a 145ms (1), - 15ms (0)"},
		"a short one":     {[]step{{"db", "db", "", 0, 50}, {"x", "setup", "db", 50, 60}, {"y", "setup", "db", 50, 90}, {"api", "api", "y", 90, 95}}, "db > y > api | db 50ms (1), setup 40ms (1), api 5ms (1), - 10ms (0)"},
		"one at a time":   {[]step{{"s/1", "s", "", 0, 40}, {"s/2", "s", "s/1", 40, 80}, {"s/3", "s", "s/2", 80, 100}}, "s/1 > s/2 > s/3 | s 100ms (3), - 10ms (0)"},
		"nothing to wait": {[]step{{"a", "s", "", 0, 40}, {"b", "s", "", 0, 30}}, "a | s 40ms (1), - 10ms (0)"},
		"an unknown one":  {[]step{{"a", "s", "", 0, 40}, {"b", "t", "gone", 40, 50}}, "b | t 10ms (1), - 50ms (0)"},
		"itself":          {[]step{{"a", "s", "a", 0, 40}}, "a | s 40ms (1), - 10ms (0)"},
	} {
		all := []events.Event{at(0, events.RunStarted, "", events.Event{Verb: "up"})}
		last := 0
		for _, s := range c.steps {
			all = append(all, at(s.from, events.StepStarted, s.id, events.Event{Stage: s.stage, Behind: s.behind}),
				at(s.to, events.StepEnded, s.id, events.Event{Stage: s.stage, Outcome: events.Done}))
			last = max(last, s.to)
		}
		all = append(all, at(last+10, events.RunEnded, "", events.Event{Verdict: events.VerdictDone}))
		slices.SortStableFunc(all, func(a, b events.Event) int { return a.Time.Compare(b.Time) })
		if got := pathOf(Of(all)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
