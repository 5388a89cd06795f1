package runner

import (
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// settled lists the steps that the plan finds as they should be: run.started
// tells them, so that no event of theirs needs to be kept.
func settled(p *plan.Plan) []events.Settled {
	var out []events.Settled
	for _, s := range p.Steps {
		switch {
		case s.Action == plan.Skip:
			out = append(out, events.Settled{Step: s.ID, Outcome: events.Skipped, Cause: s.Cause})
		case s.Action == plan.Adopt && s.Verb == stages.Start:
			out = append(out, events.Settled{Step: s.ID, Outcome: events.Adopted, Cause: s.Cause})
		}
	}
	return out
}
