package steps

import (
	"context"
)

// runHelper is the verb run: a helper to its end, or until its condition
// holds and it has shut down cleanly.
func (c *Crew) runHelper(ctx context.Context, a *active) outcome {
	if a.Unit.Until == nil {
		return c.helper(ctx, a, nil)
	}
	if a.Served && a.attempt == 1 {
		return c.helper(ctx, a, served())
	}
	condition, o, ok := c.resolved(a, a.Unit.Until)
	if !ok {
		return o
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	return c.helper(ctx, a, c.until(watch, a, condition))
}
