package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
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
func (r *run) helper(ctx context.Context, a *active, over <-chan error) outcome {
	image, o, ok := r.makeHelper(ctx, a)
	if !ok {
		return o
	}
	// The wait outlives ctx: how the helper ends is to be known even when it
	// is being stopped.
	life, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	ended := make(chan helperEnd, 1)
	go func() { // owned by this call: ends with life at the latest
		status, err := r.engine.Wait(life, a.Container)
		ended <- helperEnd{status, err}
	}()
	if o, ok := r.startHelper(ctx, a); !ok {
		return o
	}
	output := r.follow(life, a)

	var end helperEnd
	var stopped *outcome
	var finished bool
	select {
	case end = <-ended:
	case err := <-over:
		finished = err == nil
		if err != nil {
			o := waitFailure(ctx, err, waiters.Observation{})
			stopped = &o
		}
		end = r.stopHelper(ctx, a, ended)
	case <-ctx.Done():
		o := interruption(ctx, output.last())
		stopped = &o
		end = r.stopHelper(ctx, a, ended)
	}
	o = r.judge(a, end, stopped, finished)
	if o.broken != nil {
		return o
	}
	output.finish(life, r.engine, a.Container)
	o.spec, o.image, o.values, o.held = a.spec.Labels[containers.LabelSpec], image, output.handed(), true
	if len(o.logs) == 0 {
		o.logs = output.tail.lines()
	}
	return o
}

// judge turns the end of a helper's container into an outcome.
func (r *run) judge(a *active, end helperEnd, stopped *outcome, finished bool) outcome {
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
	r.holds.ended(a.Exclusive, a.ID, a.spec, status)
	switch {
	case stopped != nil:
		o := *stopped
		if o.status == nil {
			o.status = &status
		}
		return o
	case finished && !clean(status, a.spec):
		return outcome{kind: events.Failed, status: &status, failure: fmt.Sprintf(
			"did its work, but did not shut down cleanly within its grace of %s: %s", a.spec.Grace(), status.Verdict())}
	case finished, status.ExitCode == 0 && !status.OOMKilled:
		return outcome{kind: events.Done, status: &status}
	}
	return outcome{kind: events.Failed, status: &status, failure: status.Verdict()}
}

// makeHelper makes the container, or finds the one to adopt. ok is false when
// the step has ended with o.
func (r *run) makeHelper(ctx context.Context, a *active) (image string, o outcome, ok bool) {
	image, o, ok = r.image(ctx, a)
	if !ok {
		return "", o, false
	}
	if a.Action == plan.Adopt && a.attempt == 1 {
		return image, outcome{}, true
	}
	if o, ok := r.takeOver(ctx, a); !ok {
		return "", o, false
	}
	if a.Action == plan.Recreate || a.attempt > 1 {
		if err := r.engine.Destroy(ctx, a.Container); err != nil {
			return "", r.callFailed(ctx, err), false
		}
	}
	if o, ok := r.create(ctx, a); !ok {
		return "", o, false
	}
	return image, outcome{}, true
}

func (r *run) startHelper(ctx context.Context, a *active) (outcome, bool) {
	if a.Action == plan.Adopt && a.attempt == 1 {
		return outcome{}, true
	}
	if err := r.engine.Start(ctx, a.Container); err != nil {
		return r.startFailed(ctx, a, err), false
	}
	return outcome{}, true
}

// image makes the image available and returns its ID.
func (r *run) image(ctx context.Context, a *active) (string, outcome, bool) {
	if id, known := r.images.Load(a.spec.Image); known && a.spec.Pull != containers.PullAlways {
		return id.(string), outcome{}, true
	}
	report := func(text string) {
		e := about(events.StepProgress, a.Step)
		e.Progress = &events.Progress{Text: "image: " + text}
		_ = r.emit(e) // the recorder remembers its failure for the next event that counts
	}
	image, err := r.engine.EnsureImage(ctx, a.spec.Image, a.spec.Platform, a.spec.Pull, report)
	if err != nil {
		return "", r.callFailed(ctx, err), false
	}
	r.images.Store(a.spec.Image, image.ID)
	return image.ID, outcome{}, true
}

// create makes the step's container. What stands in its way and is ours, but
// of another spec, is removed: the plan was made a moment ago.
func (r *run) create(ctx context.Context, a *active) (outcome, bool) {
	_, err := r.engine.Create(ctx, a.spec)
	if errors.Is(err, containers.ErrConflict) {
		o := failed("the name %s is taken by a container that is not this step's: remove or rename that one (%v)", a.Container, err)
		o.conflict = true
		return o, false
	}
	if err != nil {
		return r.callFailed(ctx, err), false
	}
	return outcome{}, true
}

// callFailed tells a refusal, which is the step's result, from a broken engine.
func (r *run) callFailed(ctx context.Context, err error) outcome {
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
func (r *run) startFailed(ctx context.Context, a *active, err error) outcome {
	if errors.Is(err, containers.ErrUnavailable) && ctx.Err() == nil {
		return broke(err)
	}
	if ctx.Err() != nil {
		return interruption(ctx, "")
	}
	o := failed("could not be started: %v", err)
	status, lookErr := r.engine.Status(ctx, a.Container)
	if lookErr == nil && status.Ended() {
		o.status = &status
	}
	return o
}

// stopHelper stops the container within its grace, at once when the user asks
// twice, and returns how it ended.
func (r *run) stopHelper(ctx context.Context, a *active, ended <-chan helperEnd) helperEnd {
	status, err := r.stop(context.WithoutCancel(ctx), a.Container, a.spec.Grace())
	if err == nil && status.Ended() {
		return helperEnd{status: status}
	}
	select {
	case end := <-ended:
		return end
	case <-time.After(time.Second):
		return helperEnd{status, err}
	}
}

// stop stops a container within grace; a second interrupt kills it.
func (r *run) stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	type answer struct {
		status containers.Status
		err    error
	}
	gentle, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan answer, 1)
	go func() { // owned by this call: cancel ends it
		status, err := r.engine.Stop(gentle, name, grace)
		done <- answer{status, err}
	}()
	select {
	case a := <-done:
		return a.status, a.err
	case <-r.killed:
		cancel()
		return r.engine.Stop(ctx, name, 0)
	}
}

// until looks at a condition beside a helper: its channel tells nil when the
// condition holds and an error when it never will. It ends with ctx.
func (r *run) until(ctx context.Context, a *active, c waiters.Condition) <-chan error {
	over := make(chan error, 1)
	go func() { // ends with ctx, which its caller cancels
		err := r.wait(ctx, a, c)
		var dead *waiters.Dead
		// The helper's own end is told by its wait, with its exit code.
		if errors.As(err, &dead) && dead.Name == a.Service || ctx.Err() != nil {
			return
		}
		over <- err
	}()
	return over
}

// resolved puts handed-on values into a condition.
func (r *run) resolved(a *active, c waiters.Condition) (waiters.Condition, outcome, bool) {
	out, missing := resolve(&r.values, c, a.App)
	if len(missing) > 0 {
		return nil, failed("no step before it handed on %v", missing), false
	}
	return out, outcome{}, true
}

// wait waits for a condition and reports what is seen.
func (r *run) wait(ctx context.Context, a *active, c waiters.Condition) error {
	return waiters.Wait(ctx, r.world(), c, func(seen waiters.Observation) {
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
}
