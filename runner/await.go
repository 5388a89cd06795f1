package runner

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/waiters"
)

// awaitCondition is the verb await for an inline condition.
func (r *run) awaitCondition(ctx context.Context, a *active, c waiters.Condition) outcome {
	c, o, ok := r.resolved(a, c)
	if !ok {
		return o
	}
	var last waiters.Observation
	err := waiters.Wait(ctx, r.world(), c, func(seen waiters.Observation) {
		last = seen
		if seen.Holds {
			return
		}
		e := about(events.StepWaiting, a.Step)
		e.Attempt, e.Cause = a.attempt, c.String()
		if seen.Detail != "" {
			e.Cause += ": " + seen.Detail
		}
		_ = r.emit(e) // the recorder remembers its failure for the next event that counts
	})
	if err != nil {
		return waitFailure(ctx, err, last)
	}
	return outcome{kind: events.Done}
}

// awaitDetector is the verb await for a service: a detector container. When a
// service that stands before it dies, what it waits for will never come: it
// is stopped, and the failure says what died.
func (r *run) awaitDetector(ctx context.Context, a *active) outcome {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	return r.helper(ctx, a, r.deathOf(watch, a.Watches))
}
