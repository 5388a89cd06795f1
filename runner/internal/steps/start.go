package steps

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
)

// startService is the verb start: the service's container runs, and is ready
// where the stage says what that means.
func (c *Crew) startService(ctx context.Context, a *active) outcome {
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
	o := outcome{kind: kind}
	if a.Unit.Ready != nil {
		if o = c.awaitCondition(ctx, a, a.Unit.Ready); o.failure != "" || o.broken != nil {
			return o
		}
		o.kind = kind
	}
	status, err := c.Engine.Status(ctx, a.Container)
	if err != nil {
		return c.callFailed(ctx, err)
	}
	if status.Ended() {
		return c.died(ctx, a, status)
	}
	o.spec, o.parts, o.image = a.spec.Labels[containers.LabelSpec], plan.PartsOf(a.spec), image
	if image == "" {
		o.image = status.ImageID
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
	if action != plan.Restart {
		if o, ok := c.create(ctx, a); !ok {
			return "", o, false
		}
		c.mu.Lock()
		c.made = append(c.made, a.Container)
		c.mu.Unlock()
	}
	if err := c.Engine.Start(ctx, a.Container); err != nil {
		return "", c.startFailed(ctx, a, err), false
	}
	c.deaths.forget(a.Container)
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
		logs: lastLines(ctx, c.Engine, a.Container), spec: a.spec.Labels[containers.LabelSpec],
	}
}
