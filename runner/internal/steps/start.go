package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/waiters"
)

// startService is the verb start: the service's container runs, and is ready
// where the stage says what that means.
func (c *Crew) startService(ctx context.Context, a *active) outcome {
	if status, ok := c.Seen[a.Container]; ok && a.Action == plan.Adopt && a.attempt == 1 && readyAsSeen(a, status) {
		return c.standing(a, events.Adopted, "", status)
	}
	kind := events.Done
	image := ""
	if a.Action == plan.Adopt && a.attempt == 1 || c.stands(ctx, a) {
		kind = events.Adopted
	} else {
		var o outcome
		var ok bool
		if image, o, ok = c.bringUp(ctx, a); !ok {
			return o
		}
	}
	a.underway()
	if a.Unit.Ready != nil {
		stop := c.listen(ctx, a)
		o := c.awaitCondition(ctx, a, a.Unit.Ready)
		stop()
		if o.failure != "" || o.broken != nil {
			return o
		}
	}
	status, err := c.Engine.Status(ctx, a.Container)
	if err != nil {
		return c.callFailed(ctx, err)
	}
	if status.Ended() {
		return c.died(ctx, a, status)
	}
	return c.standing(a, kind, image, status)
}

// readyAsSeen tells whether what the engine reports of a service that runs
// already is all that its stage asks for.
func readyAsSeen(a *active, status containers.Status) bool {
	return status.Running() && (a.Unit.Ready == nil || waiters.Reported(a.Unit.Ready, a.Service, status))
}

// standing is the outcome of a service that runs and is ready. image may be
// empty: then it is the one that the engine tells.
func (c *Crew) standing(a *active, kind events.Outcome, image string, status containers.Status) outcome {
	o := outcome{
		kind: kind, spec: a.spec.Labels[containers.LabelSpec], parts: plan.PartsOf(a.spec, c.Stack.Secrets), image: cmp.Or(image, status.ImageID),
	}
	for _, p := range status.Ports {
		o.addresses = append(o.addresses, fmt.Sprintf("%s->%d/%s", hostPort(p), p.Container, p.Protocol))
	}
	return o
}

// stands tells whether a service whose spec was known only now, because of a
// value that was handed on, turns out to run as it should already.
func (c *Crew) stands(ctx context.Context, a *active) bool {
	if a.Hash != "" || a.Action != plan.Recreate || a.attempt > 1 {
		return false
	}
	status, err := c.Engine.Status(ctx, a.Container)
	return err == nil && status.Running() && status.Labels[containers.LabelSpec] == a.spec.Labels[containers.LabelSpec]
}

func hostPort(p containers.Binding) string {
	host := p.HostIP
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "[::1]"
	}
	return fmt.Sprintf("%s:%d", host, p.Host)
}

// bringUp makes and starts the container as the plan says.
func (c *Crew) bringUp(ctx context.Context, a *active) (string, outcome, bool) {
	image, o, ok := c.image(ctx, a)
	if !ok {
		return "", o, false
	}
	if o, ok := c.takeOver(ctx, a); !ok {
		return "", o, false
	}
	if a.Action == plan.Recreate && a.attempt == 1 {
		if o, ok := c.removeService(ctx, a.Container, a.Step); !ok {
			return "", o, false
		}
	}
	action := a.Action
	if a.Stopping && a.attempt == 1 {
		// Its end is waited for: who told it to stop has not seen it.
		o, _, ok := c.stopService(ctx, a.Container, a.Step, a.Cause)
		switch gone, err := c.gone(ctx, a.Container); {
		case err != nil:
			return "", c.callFailed(ctx, err), false
		case gone:
			action = plan.Create
		case !ok:
			return "", o, false
		}
	}
	if action == plan.Restart && len(a.spec.PreStart) > 0 {
		switch gone, err := c.gone(ctx, a.Container); {
		case err != nil:
			return "", c.callFailed(ctx, err), false
		case gone:
			action = plan.Create
		}
	}
	if action == plan.Restart {
		if o, ok := c.preStart(ctx, a); !ok {
			return "", o, false
		}
	}
	err := containers.ErrNotFound
	if action == plan.Restart {
		// It may be gone since the plan was made: what a runner that died had asked the
		// engine to remove, the engine removes in its own time.
		err = c.start(ctx, a.Container)
	}
	if errors.Is(err, containers.ErrNotFound) {
		if o, ok := c.create(ctx, a, image); !ok {
			return "", o, false
		}
		c.mu.Lock()
		c.made = append(c.made, a.Container)
		c.mu.Unlock()
		if o, ok := c.preStart(ctx, a); !ok {
			return "", o, false
		}
		err = c.start(ctx, a.Container)
	}
	if err != nil {
		return "", c.startFailed(ctx, a, err), false
	}
	if o, ok := c.postStart(ctx, a); !ok {
		return "", o, false
	}
	return image, outcome{}, true
}

// gone tells whether there is no such container any more.
func (c *Crew) gone(ctx context.Context, name string) (bool, error) {
	_, err := c.Engine.Status(ctx, name)
	if errors.Is(err, containers.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// removeService stops the old container by its own signal and grace before it
// makes room for the new one.
func (c *Crew) removeService(ctx context.Context, name string, step *plan.Step) (outcome, bool) {
	o, _, ok := c.stopService(ctx, name, step, "to be made anew: "+step.Cause)
	if !ok {
		return o, false
	}
	if err := c.Engine.Destroy(ctx, name); err != nil {
		return c.callFailed(ctx, err), false
	}
	return outcome{}, true
}

// died is the outcome of a service that ended although it should stay.
func (c *Crew) died(ctx context.Context, a *active, status containers.Status) outcome {
	return outcome{
		kind: events.Failed, status: &status, failure: "ended at once: " + status.Verdict(),
		logs: lastLines(ctx, c.Engine, a.Container, keptLines), spec: a.spec.Labels[containers.LabelSpec],
	}
}
