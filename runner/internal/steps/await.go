package steps

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/waiters"
)

// awaitCondition is the verb await for an inline condition.
func (c *Crew) awaitCondition(ctx context.Context, a *active, condition waiters.Condition) outcome {
	condition, o, ok := c.resolved(a, condition)
	if !ok {
		return o
	}
	a.underway()
	last, err := c.wait(ctx, a, condition)
	if err != nil {
		return waitFailure(ctx, err, last)
	}
	return outcome{kind: events.Done}
}

// awaitDetector is the verb await for a service: a detector container. When a
// service that stands before it dies, what it waits for will never come: it
// is stopped, and the failure says what died.
func (c *Crew) awaitDetector(ctx context.Context, a *active) outcome {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	return c.helper(ctx, a, c.deathOf(watch, a.Watches))
}
