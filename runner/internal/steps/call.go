package steps

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/waiters"
)

// call is the verb call: one request, answered as the stack file expects.
func (c *Crew) call(ctx context.Context, a *active) outcome {
	call, missing := resolve(c, *a.Unit.Call, a.App)
	if len(missing) > 0 {
		return failed("no step before it handed on %v", missing)
	}
	a.underway()
	answer, err := call.Do(ctx, c.World)
	switch {
	case ctx.Err() != nil:
		return interruption(ctx, answer.Detail)
	case err != nil:
		return waitFailure(ctx, err, waiters.Observation{Detail: answer.Detail})
	case !answer.OK:
		o := failed("%s: %s", call.String(), answer.Detail)
		if answer.Body != "" {
			o.logs = tailOf(answer.Body)
		}
		return o
	}
	return outcome{kind: events.Done}
}
