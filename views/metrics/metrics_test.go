package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stagehand-dev/stagehand/events"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time, e.Run, e.Stack, e.Kind, e.Step = zero.Add(time.Duration(ms)*time.Millisecond), "r1", "demo-abcdef", kind, step
	e.Stage, _, _ = strings.Cut(step, "/")
	return e
}

// parsed has Prometheus's own parser read what is written for the run.
func parsed(t *testing.T, run []events.Event) []string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, `de"m\o`, run); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	var all []string
	for name, family := range families {
		if family.GetHelp() == "" || family.GetType().String() != "GAUGE" {
			t.Errorf("%s: %s", name, family)
		}
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				if l.GetName() == "stack" && l.GetValue() != `de"m\o` {
					t.Errorf("the stack is %q", l.GetValue())
				}
				if l.GetName() != "stack" && l.GetValue() != "" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			all = append(all, fmt.Sprintf("%s %s %v", strings.TrimPrefix(name, "stagehand_"), strings.Join(labels, ","), m.GetGauge().GetValue()))
		}
	}
	slices.Sort(all)
	return all
}

func TestWrite(t *testing.T) {
	got := parsed(t, []events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up", Settled: []events.Settled{{Step: "old", Outcome: events.Skipped}}}),
		at(100, events.StepStarted, "db", events.Event{Verb: "start", Service: "db", Attempt: 1}),
		at(1100, events.StepEnded, "db", events.Event{Outcome: events.Done, Attempt: 1}),
		at(1200, events.StepStarted, "set/a", events.Event{Verb: "run", App: "a", Attempt: 1, Behind: "db"}),
		at(1300, events.StepStarted, "set/b", events.Event{Verb: "run", App: "b", Attempt: 1, Behind: "db"}),
		at(1400, events.StepRetrying, "set/a", events.Event{Outcome: events.Failed, Attempt: 1}),
		at(1500, events.StepStarted, "set/a", events.Event{Verb: "run", App: "a", Attempt: 2, Behind: "db"}),
		at(2200, events.StepEnded, "set/a", events.Event{Outcome: events.TimedOut, Attempt: 2}),
		at(1700, events.StepEnded, "set/b", events.Event{Outcome: events.Done}),
		at(2200, events.StepEnded, "api", events.Event{Outcome: events.Skipped, Error: "not reached: set/a timed out"}),
		at(2500, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictFailed}),
	})
	want := []string{
		"run_duration_seconds verb=up 2.5",
		"run_end_timestamp_seconds verb=up 1.7673230475e+09",
		"run_steps verb=up,outcome=adopted 0",
		"run_steps verb=up,outcome=done 2",
		"run_steps verb=up,outcome=failed 0",
		"run_steps verb=up,outcome=no_end 0",
		"run_steps verb=up,outcome=not_begun 0",
		"run_steps verb=up,outcome=not_reached 1",
		"run_steps verb=up,outcome=skipped 1",
		"run_steps verb=up,outcome=stopped 0",
		"run_steps verb=up,outcome=timed_out 1",
		"run_success verb=up 0",
		"stage_critical_seconds  0.5",
		"stage_critical_seconds stage=db 1",
		"stage_critical_seconds stage=set 1",
		"stage_duration_seconds stage=db 1",
		"stage_duration_seconds stage=set 1",
		"step_attempts stage=db,step=db,service=db,verb=start 1",
		"step_attempts stage=set,step=set/a,app=a,verb=run 2",
		"step_attempts stage=set,step=set/b,app=b,verb=run 1",
		"step_duration_seconds stage=db,step=db,service=db,verb=start 1",
		"step_duration_seconds stage=set,step=set/a,app=a,verb=run 1",
		"step_duration_seconds stage=set,step=set/b,app=b,verb=run 0.4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNoRun: a run of which nothing is known is a file that can be read, too.
func TestNoRun(t *testing.T) {
	if got := parsed(t, nil); !slices.Contains(got, "run_success  0") {
		t.Error(got)
	}
}
