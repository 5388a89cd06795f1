package budget

import (
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(second int, kind events.Kind, stage, step string) events.Event {
	return events.Event{Time: zero.Add(time.Duration(second) * time.Second), Kind: kind, Stage: stage, Step: step}
}

func took(e events.Event, seconds int) events.Event {
	e.Outcome, e.Elapsed = events.Done, time.Duration(seconds)*time.Second
	return e
}

func TestOf(t *testing.T) {
	run := []events.Event{
		at(0, events.RunStarted, "", ""),
		at(0, events.StepStarted, "db", "db"),
		took(at(3, events.StepEnded, "db", "db"), 3),
		took(at(3, events.StageCompleted, "db", ""), 3),
		at(3, events.StepStarted, "setup", "setup/one"),
		at(3, events.StepStarted, "setup", "setup/two"),
		took(at(5, events.StepEnded, "setup", "setup/one"), 2),
		took(at(14, events.StepEnded, "setup", "setup/two"), 11),
		took(at(14, events.StageCompleted, "setup", ""), 11),
		took(at(15, events.RunEnded, "", ""), 15),
	}
	stack := &stages.Stack{Budget: 10 * time.Second, Stages: []stages.Stage{
		{Name: "db", Budget: 4 * time.Second}, {Name: "setup", Budget: 5 * time.Second}, {Name: "api", Budget: time.Second}, {Name: "free"},
	}}
	var got strings.Builder
	for _, a := range Of(stack, run) {
		got.WriteString(a.String() + "\n")
	}
	want := `the stack took 15.0s, over its budget of 10.0s: stage setup took 11.0s of it, the most on the critical path
stage db took 3.0s, within its budget of 4.0s
stage setup took 11.0s, over its budget of 5.0s: setup/two took 11.0s of it
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if all := Of(stack, run[:3]); len(all) != 0 {
		t.Errorf("of what has not ended: %v", all)
	}
	if all := Of(stack, nil); len(all) != 0 {
		t.Errorf("of nothing: %v", all)
	}
}
