// Package budget holds a run against the start-up budgets of its stack.
package budget

import (
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// Account is one budget and what a run took of it.
type Account struct {
	// Stage is the stage's name, "" for the whole stack.
	Stage        string
	Budget, Took time.Duration
	// Guilty says what took most of it; "" where the budget was kept.
	Guilty string
}

// Over tells whether the run took more than the budget.
func (a Account) Over() bool { return a.Took > a.Budget }

// String is "stage setup took 12.0s, over its budget of 5.0s: setup/teller took 11.2s of it".
func (a Account) String() string {
	subject, kept := "the stack", "within"
	if a.Stage != "" {
		subject = "stage " + a.Stage
	}
	if a.Over() {
		kept = "over"
	}
	said := fmt.Sprintf("%s took %s, %s its budget of %s", subject, text.Duration(a.Took), kept, text.Duration(a.Budget))
	return text.Joined(": ", said, a.Guilty)
}

// Of returns the accounts of the stack's budgets for a run, whose events are in order: that of the
// stack first, then those of the stages in their order. A stage that did not
// come to its end has none, nor has the stack in a run without end.
func Of(stack *stages.Stack, run []events.Event) []Account {
	took := map[string]time.Duration{}
	for _, e := range run {
		switch e.Kind {
		case events.RunEnded:
			took[""] = e.Elapsed
		case events.StageCompleted:
			took[e.Stage] = e.Elapsed
		}
	}
	t := timeline.Of(run)
	var all []Account
	add := func(stage string, budget time.Duration, guilty func() string) {
		spent, ended := took[stage]
		if budget == 0 || !ended {
			return
		}
		a := Account{Stage: stage, Budget: budget, Took: spent}
		if a.Over() {
			a.Guilty = guilty()
		}
		all = append(all, a)
	}
	add("", stack.Budget, func() string { return guiltyStage(t) })
	for _, s := range stack.Stages {
		add(s.Name, s.Budget, func() string { return guiltyStep(t, s.Name) })
	}
	return all
}

// guiltyStage is the stage that has most of the critical path.
func guiltyStage(t *timeline.Run) string {
	var most timeline.Share
	for _, s := range t.Shares() {
		if s.Stage != "" && s.Took > most.Took {
			most = s
		}
	}
	if most.Stage == "" {
		return ""
	}
	return fmt.Sprintf("stage %s took %s of it, the most on the critical path", most.Stage, text.Duration(most.Took))
}

// guiltyStep is the stage's step that took longest.
func guiltyStep(t *timeline.Run, stage string) string {
	var longest *timeline.Row
	for _, r := range t.Rows {
		if r.Stage == stage && r.Took() > 0 && (longest == nil || r.Took() > longest.Took()) {
			longest = r
		}
	}
	if longest == nil {
		return ""
	}
	return fmt.Sprintf("%s took %s of it", longest.Step, text.Duration(longest.Took()))
}
