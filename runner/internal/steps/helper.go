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
	"github.com/stagehand-dev/stagehand/waiters"
)

// helperEnd is what a helper's wait ends with: its own end, or something that
// ends it.
type helperEnd struct {
	status containers.Status
	err    error
}

// helper runs a.spec to its end and reports how it ended. over, if not nil,
// ends it early: with nil when it has done what it was for, with an error
// when it cannot any more.
func (c *Crew) helper(ctx context.Context, a *active, over <-chan error) outcome {
	image, o, ok := c.makeHelper(ctx, a)
	if !ok {
		return o
	}
	// The wait outlives ctx: how the helper ends is to be known even when it
	// is being stopped.
	life, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	ended := make(chan helperEnd, 1)
	go func() { // owned by this call: ends with life at the latest
		status, err := c.Engine.Wait(life, a.Container)
		ended <- helperEnd{status, err}
	}()
	output, o, ok := c.startHelper(ctx, life, a)
	if !ok {
		return o
	}
	a.underway()

	var end helperEnd
	var stopped *outcome // why it was stopped before it had done its work
	var served, ownEnd bool
	select {
	case end = <-ended:
		ownEnd = true
	case err := <-over:
		served = err == nil
		if err != nil {
			o := waitFailure(ctx, err, waiters.Observation{})
			stopped = &o
		}
		end, ownEnd = c.stopHelper(ctx, a, ended, stopped)
	case <-ctx.Done():
		var broken *record.Broken
		if errors.As(context.Cause(ctx), &broken) {
			return broke(broken.Err)
		}
		o := interruption(ctx, output.last())
		stopped = &o
		end, ownEnd = c.stopHelper(ctx, a, ended, stopped)
	}
	if ownEnd {
		stopped = nil
	}
	o = c.judge(a, end, stopped, served)
	if o.broken != nil {
		return o
	}
	if err := output.finish(life, c.Engine, a.Container); err != nil {
		return broke(err)
	}
	o.spec, o.parts, o.image = a.spec.Labels[containers.LabelSpec], plan.PartsOf(a.spec, c.Stack.Secrets), image
	o.values, o.held = output.handed(), true
	if len(o.logs) == 0 {
		o.logs = output.tail.lines()
	}
	return o
}

// judge turns the end of a helper's container into an outcome.
func (c *Crew) judge(a *active, end helperEnd, stopped *outcome, served bool) outcome {
	if stopped != nil && stopped.broken != nil {
		return *stopped
	}
	switch {
	case errors.Is(end.err, containers.ErrNotFound):
		if stopped != nil {
			return *stopped
		}
		return failed("%s vanished: somebody removed it, and its exit code is unknown", a.Container)
	case end.err != nil:
		return broke(end.err)
	}
	status := end.status
	c.holds.ended(a.Exclusive, a.ID, a.spec, status)
	switch {
	case stopped != nil:
		o := *stopped
		if o.status == nil {
			o.status = &status
		}
		return o
	case served && !clean(status, a.spec):
		return outcome{kind: events.Failed, status: &status, failure: fmt.Sprintf(
			"did its work, but did not shut down cleanly within its grace of %s: %s", a.spec.Grace(), status.Verdict())}
	case served, status.ExitCode == 0 && !status.OOMKilled:
		return outcome{kind: events.Done, status: &status}
	}
	return outcome{kind: events.Failed, status: &status, failure: status.Verdict()}
}

// makeHelper makes the container, or finds the one to adopt. ok is false when
// the step has ended with o.
func (c *Crew) makeHelper(ctx context.Context, a *active) (image string, o outcome, ok bool) {
	image, o, ok = c.image(ctx, a)
	if !ok {
		return "", o, false
	}
	if a.Action == plan.Adopt && a.attempt == 1 {
		a.ours = true
		return image, outcome{}, true
	}
	if o, ok := c.takeOver(ctx, a); !ok {
		return "", o, false
	}
	if a.Action == plan.Recreate && a.attempt == 1 {
		if o, ok := c.lastAttempt(ctx, a); !ok {
			return "", o, false
		}
	}
	if a.Action == plan.Recreate || a.attempt > 1 {
		if err := c.destroy(ctx, a); err != nil {
			return "", c.callFailed(ctx, err), false
		}
	}
	if o, ok := c.create(ctx, a, image); !ok {
		return "", o, false
	}
	return image, outcome{}, true
}

// startHelper starts the container, if it is not an adopted one, and reads what it prints for as long as life lasts.
func (c *Crew) startHelper(ctx, life context.Context, a *active) (out *output, o outcome, ok bool) {
	if a.Action != plan.Adopt || a.attempt > 1 {
		out = c.ahead(life, a)
		if err := c.start(ctx, a.Container); err != nil {
			if out != nil {
				out.drop()
			}
			return nil, c.startFailed(ctx, a, err), false
		}
	}
	if out == nil {
		out = c.follow(life, a, containers.LogOptions{})
	}
	return out, outcome{}, true
}

// image makes the image available and returns its ID.
func (c *Crew) image(ctx context.Context, a *active) (string, outcome, bool) {
	if id, known := c.images.Load(a.spec.Image); known && a.spec.Pull != containers.PullAlways {
		return id.(string), outcome{}, true
	}
	report := func(text string) {
		e := record.About(events.StepProgress, a.Step)
		e.Progress = &events.Progress{Text: "image: " + text}
		c.Record.Note(e)
	}
	image, err := c.ensureImage(ctx, a.spec, report)
	if err != nil {
		return "", c.callFailed(ctx, err), false
	}
	c.images.Store(a.spec.Image, image.ID)
	return image.ID, outcome{}, true
}

// ensureImage finds, pulls or builds the image: as with Compose, what can be
// built is pulled first where it has a name of its own and no policy against it.
func (c *Crew) ensureImage(ctx context.Context, spec containers.Spec, report func(string)) (containers.Image, error) {
	if spec.Build == nil {
		return c.Engine.EnsureImage(ctx, spec.Image, spec.Platform, spec.Pull, report)
	}
	// One at a time: services may share an image, and builds use all there is.
	select {
	case c.building <- struct{}{}:
		defer func() { <-c.building }()
	case <-ctx.Done():
		return containers.Image{}, ctx.Err()
	}
	if id, known := c.images.Load(spec.Image); known && spec.Pull != containers.PullAlways {
		return containers.Image{Ref: spec.Image, ID: id.(string)}, nil
	}
	if spec.Pull != containers.PullBuild {
		image, err := c.Engine.EnsureImage(ctx, spec.Image, spec.Platform, spec.Pull, report)
		if !errors.Is(err, containers.ErrImage) {
			return image, err
		}
	}
	builder, can := containers.AsBuilder(c.Engine)
	if !can {
		return containers.Image{}, fmt.Errorf("%w: %s is not there, and this engine builds none", containers.ErrImage, spec.Image)
	}
	image, err := builder.Build(ctx, spec.Image, spec.Platform, *spec.Build, report)
	if err == nil {
		c.images.Store(spec.Image, image.ID)
	}
	return image, err
}

// create makes the step's container from the image with this ID, or finds the
// one that is its own already.
func (c *Crew) create(ctx context.Context, a *active, image string) (outcome, bool) {
	if c.takePrepared(ctx, a) {
		a.ours = true
		return outcome{}, true
	}
	a.spec.Labels[containers.LabelImage] = image
	spec, err := c.lent(ctx, a)
	if err != nil {
		return c.createFailed(ctx, err), false
	}
	_, err = c.Engine.Create(ctx, spec)
	if errors.Is(err, containers.ErrConflict) {
		o := failed("the name %s is taken by a container that is not this step's: remove or rename that one (%v)", a.Container, err)
		o.conflict = true
		return o, false
	}
	if err != nil {
		return c.createFailed(ctx, err), false
	}
	a.ours = true
	return outcome{}, true
}

// createFailed: an engine that answers "this cannot be made" (no such runtime, a mount
// that its driver refuses) has given a result, whatever its status code.
func (c *Crew) createFailed(ctx context.Context, err error) outcome {
	o := c.callFailed(ctx, err)
	if o.broken != nil && answered(err) {
		return failed("could not be made: %v", err)
	}
	return o
}

// answered tells the engine's own no from silence, and from a call that was not let through.
func answered(err error) bool {
	return !errors.Is(err, containers.ErrUnavailable) && !errors.Is(err, containers.ErrLeaseLost)
}

// callFailed tells a refusal, which is the step's result, from a broken engine.
func (c *Crew) callFailed(ctx context.Context, err error) outcome {
	switch {
	case ctx.Err() != nil:
		return interruption(ctx, "")
	case errors.Is(err, containers.ErrConflict):
		o := failed("%v", err)
		o.conflict = true
		return o
	case errors.Is(err, containers.ErrImage), errors.Is(err, containers.ErrInvalid), errors.Is(err, containers.ErrNotFound):
		return failed("%v", err)
	}
	return broke(err)
}

// startFailed: an engine that answers "this cannot be started" (no such
// command, port taken) has given a result.
func (c *Crew) startFailed(ctx context.Context, a *active, err error) outcome {
	switch {
	case ctx.Err() != nil:
		return interruption(ctx, "")
	case !answered(err):
		return broke(err)
	}
	o := failed("could not be started: %v", err)
	status, lookErr := c.Engine.Status(ctx, a.Container)
	if lookErr == nil && status.Ended() {
		o.status = &status
	}
	return o
}

// stopHelper stops the container within its grace, at once when the user asks
// twice, and returns how it ended. why is nil when it has done its work. One
// that has ended by itself meanwhile is not stopped: ownEnd is true then. That it is about to be stopped
// is recorded first: should this process die, an exit 0 that answers our
// signal must not pass for work that was done.
func (c *Crew) stopHelper(ctx context.Context, a *active, ended <-chan helperEnd, why *outcome) (end helperEnd, ownEnd bool) {
	ctx = context.WithoutCancel(ctx)
	select {
	case end := <-ended:
		return end, true
	default:
	}
	switch status, err := c.Engine.Status(ctx, a.Container); {
	case err != nil: // nothing can be stopped, so nothing is said of stopping
		return helperEnd{err: err}, false
	case status.Ended():
		return helperEnd{status: status}, true
	}
	e := record.About(events.StepStopping, a.Step)
	e.Attempt, e.Outcome, e.Cause = a.attempt, events.Done, "has done its work"
	if why != nil {
		e.Outcome, e.Cause = events.Skipped, why.failure
	}
	if err := c.Record.Emit(e); err != nil {
		return helperEnd{err: err}, false
	}
	status, err := c.stop(ctx, a.Container, a.spec.Grace())
	if err == nil && status.Ended() {
		return helperEnd{status: status}, false
	}
	select {
	case end := <-ended:
		return end, false
	case <-time.After(time.Second):
		return helperEnd{status, err}, false
	}
}

// until looks at a condition beside a helper: its channel tells nil when the
// condition holds and an error when it never will. It ends with ctx.
func (c *Crew) until(ctx context.Context, a *active, condition waiters.Condition) <-chan error {
	over := make(chan error, 1)
	go func() { // ends with ctx, which its caller cancels
		_, err := c.wait(ctx, a, condition)
		var dead *waiters.Dead
		// The helper's own end is told by its wait, with its exit code.
		if errors.As(err, &dead) && dead.Name == a.Service || ctx.Err() != nil {
			return
		}
		over <- err
	}()
	return over
}

// served is the channel of a helper whose condition held already.
func served() <-chan error {
	over := make(chan error, 1)
	over <- nil
	return over
}

// resolved puts handed-on values into a condition.
func (c *Crew) resolved(a *active, condition waiters.Condition) (waiters.Condition, outcome, bool) {
	out, missing := resolve(c, condition, a.App)
	if len(missing) > 0 {
		return nil, failed("no step before it handed on %v", missing), false
	}
	return out, outcome{}, true
}

// wait waits for a condition and reports what is seen. The observation is the
// last one.
func (c *Crew) wait(ctx context.Context, a *active, condition waiters.Condition) (waiters.Observation, error) {
	var last waiters.Observation
	err := waiters.Wait(ctx, c.World, condition, func(seen waiters.Observation) {
		last = seen
		if seen.Holds {
			return
		}
		e := record.About(events.StepWaiting, a.Step)
		e.Attempt, e.Cause = a.attempt, condition.String()
		if seen.Detail != "" {
			e.Cause += ": " + seen.Detail
		}
		c.Record.Note(e)
	})
	return last, err
}
