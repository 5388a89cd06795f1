package runner

import (
	"context"
)

// runHelper is the verb run: a helper to its end, or until its condition
// holds and it has shut down cleanly.
func (r *run) runHelper(ctx context.Context, a *active) outcome {
	if a.Unit.Until == nil {
		return r.helper(ctx, a, nil)
	}
	condition, o, ok := r.resolved(a, a.Unit.Until)
	if !ok {
		return o
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	return r.helper(ctx, a, r.until(watch, a, condition))
}
