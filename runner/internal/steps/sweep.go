package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
)

// Sweep removes a container that outlived its reason. One that runs is stopped by
// its own signal and grace first, a service after its hooks. How it ended is recorded, unless it is
// already, before the container goes: an exclusive volume that it held is not
// to be handed on as if nothing had happened. Of a namespace there is nothing to record.
func (c *Crew) Sweep(ctx context.Context, l plan.Leftover) error {
	status := l.Status
	if containers.RoleOf(status.Labels) == containers.RoleNamespace {
		return c.Engine.Destroy(ctx, l.Container)
	}
	service := containers.RoleOf(status.Labels) == containers.RoleService
	hooks := ""
	if status.Running() {
		grace, err := time.ParseDuration(status.Labels[containers.LabelGrace])
		if err != nil {
			grace = containers.DefaultGrace
		}
		intent := c.strayEvent(events.StepStopping, l)
		intent.Outcome = events.Skipped
		if err := c.Record.Emit(intent); err != nil {
			return err
		}
		if service {
			hooks = PreStop(ctx, c.Engine, status, c.Killed)
		}
		ended, err := c.stop(ctx, l.Container, grace)
		if errors.Is(err, containers.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stopping %s: %w", l.Container, err)
		}
		status = ended
	}
	if !l.Recorded {
		e := c.stray(ctx, l, status)
		e.Error = hooks
		if err := c.Record.Emit(e); err != nil {
			return err
		}
	}
	if err := c.Engine.Destroy(ctx, l.Container); err != nil {
		return fmt.Errorf("destroying %s: %w", l.Container, err)
	}
	if service {
		return nil
	}
	return c.Record.Emit(c.strayEvent(events.HelperDestroyed, l))
}

// strayEvent is an event about a container that was not this run's.
func (c *Crew) strayEvent(kind events.Kind, l plan.Leftover) events.Event {
	return events.Event{
		Kind: kind, Step: l.Step, Container: l.Container, Cause: l.Cause,
		Stage: l.Status.Labels[containers.LabelStage], App: l.Status.Labels[containers.LabelApp],
	}
}

// stray records the end of a container that was not this run's.
func (c *Crew) stray(ctx context.Context, l plan.Leftover, status containers.Status) events.Event {
	e := c.strayEvent(events.ServiceStopped, l)
	if !status.Ended() {
		return e
	}
	code := status.ExitCode
	e.ExitCode, e.OOM, e.Logs = &code, status.OOMKilled, lastLines(ctx, c.Engine, l.Container, tailLines)
	if volume := status.Labels[containers.LabelExclusive]; volume != "" && !c.holds.knows(volume, status) {
		e.Exclusive = volume
		c.holds.ended(volume, l.Step, containers.Spec{}, status)
	}
	return e
}

// lastAttempt records how the container that stands in the step's place
// ended, before it makes room: its run died before it could. One that runs
// is stopped first.
func (c *Crew) lastAttempt(ctx context.Context, a *active) (outcome, bool) {
	status, err := c.Engine.Status(ctx, a.Container)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return outcome{}, true
	case err != nil:
		return c.callFailed(ctx, err), false
	case status.Running():
		o, _, ok := c.stopService(ctx, a.Container, a.Step, "its step begins anew: "+a.Cause)
		return o, ok
	case !status.Ended():
		return outcome{}, true
	}
	e := record.About(events.StepRetrying, a.Step)
	code := status.ExitCode
	e.ExitCode, e.OOM, e.Logs = &code, status.OOMKilled, lastLines(ctx, c.Engine, a.Container, tailLines)
	e.Cause = "the last attempt, of run " + status.Labels[containers.LabelRun]
	e.Outcome, e.Error = events.Failed, status.Verdict()
	if status.ExitCode == 0 && !status.OOMKilled {
		e.Outcome, e.Error = events.Done, ""
	}
	if a.Exclusive != "" && !c.holds.knows(a.Exclusive, status) {
		e.Exclusive = a.Exclusive
		c.holds.ended(a.Exclusive, a.ID, a.spec, status)
	}
	if err := c.Record.Emit(e); err != nil {
		return broke(err), false
	}
	return outcome{}, true
}
