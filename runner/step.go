package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
)

// outcome is how one attempt at a step ended. broken is the engine's or the
// ledger's error: then nothing is known of the step and nothing is recorded.
type outcome struct {
	kind    events.Outcome
	failure string // why it was not done, for people; "" when it was
	broken  error

	status    *containers.Status // of a container that has ended
	logs      []string           // its last lines
	values    map[string]string
	addresses []string
	spec      string
	image     string
	conflict bool // something that is not the stack's is in the way
	// held tells that the container may have written to its exclusive volume.
	held bool

	event events.Event // as recorded
}

func failed(format string, args ...any) outcome {
	return outcome{kind: events.Failed, failure: fmt.Sprintf(format, args...)}
}

func broke(err error) outcome { return outcome{broken: err} }

// active is a step being tried.
type active struct {
	*plan.Step
	stage   *stages.Stage
	attempt int
	spec    containers.Spec // resolved, fully labelled
}

var errTimeout = errors.New("its time was over")

// execute tries a step until it is done, its retries are used up or ctx is
// cancelled, records the outcome, and only then cleans up.
func (r *run) execute(ctx context.Context, step *plan.Step, stage *stages.Stage) outcome {
	var o outcome
	began := time.Now()
	for attempt := 1; ; attempt++ {
		e := about(events.StepStarted, step)
		e.Attempt, e.Cause = attempt, step.Cause
		if err := r.emit(e); err != nil {
			return broke(err)
		}
		o = r.try(ctx, &active{Step: step, stage: stage, attempt: attempt})
		if o.broken != nil {
			return o
		}
		if o.failure == "" || ctx.Err() != nil || attempt > stage.Retries.Count {
			o.event = r.ending(step, attempt, o)
			o.event.Elapsed = time.Since(began)
			break
		}
		if err := r.pause(ctx, step, stage, attempt, o); err != nil {
			return broke(err)
		}
	}
	if err := r.emit(o.event); err != nil {
		return broke(err)
	}
	if len(o.values) > 0 && o.failure == "" {
		r.values.set(step.Stage, step.App, o.values)
	}
	r.cleanUp(ctx, step, stage, o)
	return o
}

func (r *run) try(ctx context.Context, a *active) outcome {
	if a.stage.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.stage.Timeout, errTimeout)
		defer cancel()
	}
	if a.Spec != nil {
		if o, ok := r.resolveSpec(a); !ok {
			return o
		}
	}
	if a.Exclusive != "" {
		unlock, err := r.holds.lock(ctx, a.Exclusive)
		if err != nil {
			return interruption(ctx, "waiting for "+a.Exclusive)
		}
		defer unlock()
	}
	switch {
	case a.Verb == stages.Run:
		return r.runHelper(ctx, a)
	case a.Verb == stages.Await && a.Spec != nil:
		return r.awaitDetector(ctx, a)
	case a.Verb == stages.Await:
		return r.awaitCondition(ctx, a, a.Unit.Condition)
	case a.Verb == stages.Start:
		return r.startService(ctx, a)
	case a.Verb == stages.Call:
		return r.call(ctx, a)
	}
	return failed("unknown verb %q", a.Verb)
}

// resolveSpec puts handed-on values and the run's labels into the spec.
func (r *run) resolveSpec(a *active) (outcome, bool) {
	spec, missing := resolve(&r.values, *a.Step.Spec, a.App)
	if len(missing) > 0 {
		return failed("no step before it handed on %s (a helper hands a value on by printing ::set key=value::)", strings.Join(missing, ", ")), false
	}
	labels := make(map[string]string, len(spec.Labels)+3)
	for k, v := range spec.Labels {
		labels[k] = v
	}
	labels[containers.LabelRun] = r.opts.Run
	labels[containers.LabelAttempt] = fmt.Sprint(a.attempt)
	labels[containers.LabelSpec] = spec.Hash()
	spec.Labels = labels
	a.spec = spec
	return outcome{}, true
}

// ending is the event that records an outcome.
func (r *run) ending(step *plan.Step, attempt int, o outcome) events.Event {
	e := about(events.StepEnded, step)
	e.Attempt, e.Outcome, e.Error, e.Conflict = attempt, o.kind, o.failure, o.conflict
	e.Logs, e.Values, e.Addresses, e.Spec, e.Image = o.logs, o.values, o.addresses, o.spec, o.image
	if o.status != nil && o.status.Ended() {
		code := o.status.ExitCode
		e.ExitCode, e.OOM = &code, o.status.OOMKilled
	}
	if o.held {
		e.Exclusive = step.Exclusive
	}
	if step.Spec == nil {
		e.Spec = step.Hash
	}
	return e
}

// pause says that another attempt follows, removes what the last one left and waits.
func (r *run) pause(ctx context.Context, step *plan.Step, stage *stages.Stage, attempt int, o outcome) error {
	wait := stage.Retries.Backoff
	if wait <= 0 {
		wait = time.Second
	}
	limit := stage.Retries.MaxBackoff
	if limit <= 0 {
		limit = time.Minute
	}
	for range attempt - 1 {
		wait = min(2*wait, limit)
	}
	e := r.ending(step, attempt, o)
	e.Kind, e.Cause = events.StepRetrying, fmt.Sprintf("attempt %d of %d in %s", attempt+1, stage.Retries.Count+1, wait)
	if err := r.emit(e); err != nil {
		return err
	}
	if step.Helper() {
		if err := r.engine.Destroy(context.WithoutCancel(ctx), step.Container); err != nil {
			return err
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}

// cleanUp destroys a helper whose outcome is recorded, off the critical path.
func (r *run) cleanUp(ctx context.Context, step *plan.Step, stage *stages.Stage, o outcome) {
	if !step.Helper() {
		return
	}
	keep := stage.Keep
	if keep.Policy == "always" || keep.For > 0 || keep.Policy == "on_failure" && o.failure != "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	r.background.Go(func() error {
		if err := r.engine.Destroy(ctx, step.Container); err != nil {
			return fmt.Errorf("destroying %s: %w", step.Container, err)
		}
		return r.emit(about(events.HelperDestroyed, step))
	})
}

// interruption is the outcome of a step whose ctx ended before it did.
func interruption(ctx context.Context, last string) outcome {
	if errors.Is(context.Cause(ctx), errTimeout) {
		text := "timed out"
		if last != "" {
			text += ", " + last
		}
		return outcome{kind: events.TimedOut, failure: text}
	}
	return outcome{kind: events.Skipped, failure: fmt.Sprintf("stopped: %v", context.Cause(ctx))}
}

// waitFailure turns what a wait for a condition ended with into an outcome.
func waitFailure(ctx context.Context, err error, last waiters.Observation) outcome {
	var dead *waiters.Dead
	var late *waiters.TimedOut
	switch {
	case errors.As(err, &dead):
		o := outcome{kind: events.Failed, failure: dead.Error(), logs: dead.Logs}
		if dead.Status.Ended() {
			status := dead.Status
			o.status = &status
		}
		return o
	case errors.As(err, &late):
		return outcome{kind: events.TimedOut, failure: late.Error()}
	case ctx.Err() != nil:
		detail := ""
		if last.Detail != "" {
			detail = "last seen: " + last.Detail
		}
		return interruption(ctx, detail)
	}
	return broke(err)
}
