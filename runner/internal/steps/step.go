package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/sleep"
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
	parts     map[string]string // what spec is the hash of
	image     string
	conflict  bool // something that is not the stack's is in the way
	// held tells that the container may have written to its exclusive volume.
	held bool
	// aside are the tenants of an upgrade that were set aside; all others have arrived.
	aside []string
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
	// ours: the container of that name is known to be this step's.
	ours bool
	// underway tells that all that is left is to wait.
	underway func()
}

var errTimeout = errors.New("its time was over")

// Execute tries a step until it is done, its retries are used up or ctx is
// cancelled, records the outcome, and only then cleans up. It returns the
// recorded step.ended, which says whether the step failed; the error means
// that the engine or the ledger broke, and that nothing is known of the step.
// behind is the step that this one came behind, for the record. underway is called
// each time that all that is left is to wait.
func (c *Crew) Execute(ctx context.Context, step *plan.Step, stage *stages.Stage, behind string, underway func()) (events.Event, error) {
	var o outcome
	var a *active
	var e events.Event
	began := time.Now()
	for attempt, cause := 1, step.Cause; ; attempt++ {
		e = record.About(events.StepStarted, step)
		e.Attempt, e.Cause, e.Behind = attempt, cause, behind
		if err := c.Record.Emit(e); err != nil {
			return e, err
		}
		a = &active{Step: step, stage: stage, attempt: attempt, underway: underway}
		o = c.try(ctx, a)
		if o.broken != nil {
			return e, o.broken
		}
		// What is in the way stays there: to try again would only mean to wait.
		if o.failure == "" || o.conflict || ctx.Err() != nil || attempt > stage.Retries.Count {
			e = ending(step, attempt, o)
			e.Elapsed = time.Since(began)
			if o.kind == events.Done {
				e.Volumes = c.reliesOn(step)
			}
			break
		}
		if err := c.pause(ctx, a, o); err != nil {
			return e, err
		}
		cause = fmt.Sprintf("attempt %d: %s", attempt, o.failure)
	}
	if err := c.Record.Emit(e); err != nil {
		return e, err
	}
	if len(o.values) > 0 && o.failure == "" {
		c.handOn(step, o.values)
	}
	c.cleanUp(ctx, a, o)
	return e, nil
}

func (c *Crew) try(ctx context.Context, a *active) outcome {
	if a.Container != "" {
		defer c.clearing.work()()
	}
	if a.stage.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.stage.Timeout, errTimeout)
		defer cancel()
	}
	if a.Spec != nil {
		if o, ok := c.resolveSpec(a); !ok {
			return o
		}
	}
	if a.Exclusive != "" {
		unlock, err := c.holds.lock(ctx, a.Exclusive)
		if err != nil {
			return interruption(ctx, "waiting for "+a.Exclusive)
		}
		defer unlock()
	}
	switch {
	case a.Verb == stages.Run:
		return c.runHelper(ctx, a)
	case a.Verb == stages.Await && a.Spec != nil:
		return c.awaitDetector(ctx, a)
	case a.Verb == stages.Await:
		return c.awaitCondition(ctx, a, a.Unit.Condition)
	case a.Verb == stages.Start:
		return c.startService(ctx, a)
	case a.Verb == stages.Call:
		return c.call(ctx, a)
	case a.Verb == stages.Upgrade:
		return c.upgrade(ctx, a)
	}
	return failed("unknown verb %q", a.Verb)
}

// resolveSpec puts handed-on values and the run's labels into the spec.
func (c *Crew) resolveSpec(a *active) (outcome, bool) {
	spec, missing := resolve(c, *a.Step.Spec, a.App)
	if len(missing) > 0 {
		return failed("no step before it handed on %s (a helper hands a value on by printing ::set key=value::)", strings.Join(missing, ", ")), false
	}
	labels := make(map[string]string, len(spec.Labels)+4)
	for k, v := range spec.Labels {
		labels[k] = v
	}
	labels[containers.LabelRun] = c.Run
	labels[containers.LabelAttempt] = fmt.Sprint(a.attempt)
	labels[containers.LabelSpec] = spec.Hash()
	labels[containers.LabelCreated] = time.Now().UTC().Format(time.RFC3339Nano)
	spec.Labels = labels
	a.spec = spec
	return outcome{}, true
}

// ending is the event that records an outcome.
func ending(step *plan.Step, attempt int, o outcome) events.Event {
	e := record.About(events.StepEnded, step)
	e.Attempt, e.Outcome, e.Error, e.Conflict, e.Aside = attempt, o.kind, o.failure, o.conflict, o.aside
	e.Logs, e.Values, e.Addresses, e.Spec, e.Image = o.logs, o.values, o.addresses, o.spec, o.image
	if o.kind == events.Done {
		e.Parts = o.parts
	}
	if o.kind != events.Failed && o.kind != events.TimedOut {
		e.Logs = few(e.Logs)
	}
	if o.status != nil && o.status.Ended() {
		code := o.status.ExitCode
		e.ExitCode, e.OOM = &code, o.status.OOMKilled
	}
	if o.status != nil && (o.kind == events.Failed || o.kind == events.TimedOut) {
		e.Inspect = inspection(*o.status)
	}
	if o.held {
		e.Exclusive = step.Exclusive
	}
	if step.Container == "" {
		e.Spec = step.Hash
		if o.kind == events.Done {
			e.Parts = step.Parts
		}
	}
	return e
}

// inspection is a container's status without what its step's event or its stack's file tells: no labels, and no values
// of its environment.
func inspection(s containers.Status) *events.Inspection {
	return &events.Inspection{
		ID: s.ID, Image: s.Image, ImageID: s.ImageID, Error: s.Error, Health: string(s.Health), HealthLog: s.HealthLog, Restarts: s.Restarts,
		Created: s.Created, Started: s.Started, Finished: s.Finished, Volumes: s.Volumes, Networks: s.Networks,
	}
}

// pause says that another attempt follows, removes what the last one left and waits.
func (c *Crew) pause(ctx context.Context, a *active, o outcome) error {
	step, stage, attempt := a.Step, a.stage, a.attempt
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
	e := ending(step, attempt, o)
	e.Kind, e.Logs = events.StepRetrying, few(e.Logs)
	e.Cause = fmt.Sprintf("attempt %d of %d in %s", attempt+1, stage.Retries.Count+1, wait)
	if err := c.Record.Emit(e); err != nil {
		return err
	}
	if step.Helper() {
		if err := c.destroy(context.WithoutCancel(ctx), a); err != nil {
			return err
		}
	}
	_ = sleep.For(ctx, wait) // whoever tries again looks at ctx
	return nil
}

// cleanUp destroys a helper whose outcome is recorded, off the critical path.
func (c *Crew) cleanUp(ctx context.Context, a *active, o outcome) {
	if !a.Helper() {
		return
	}
	keep := a.stage.Keep
	if keep.Policy == "always" || keep.Policy == stages.KeepToNextUp || keep.For > 0 || keep.Policy == "on_failure" && o.failure != "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	cleared := c.clearing.begin()
	c.background.Go(func() error {
		defer cleared()
		if err := c.destroy(ctx, a); err != nil {
			return fmt.Errorf("destroying %s: %w", a.Container, err)
		}
		return c.Record.Emit(record.About(events.HelperDestroyed, a.Step))
	})
}

// destroy removes the step's container. Where the attempt ended before it was
// known to be ours, it is looked at first: what merely has its name stays.
func (c *Crew) destroy(ctx context.Context, a *active) error {
	if !a.ours {
		status, err := c.Engine.Status(ctx, a.Container)
		if errors.Is(err, containers.ErrNotFound) || err == nil && containers.StackOf(status.Labels) != c.Stack.Name {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return c.Engine.Destroy(ctx, a.Container)
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
