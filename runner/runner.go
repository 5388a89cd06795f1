// Package runner carries out a plan on an engine. It decides nothing that the
// plan can decide: it starts what is due, waits, records each outcome before
// it destroys anything, and stops in order when something failed or the user
// asked.
package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/retry"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/lock"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/runner/internal/schedule"
	"github.com/stagehand-dev/stagehand/runner/internal/steps"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
)

// Ledger is what a runner reads of earlier runs.
type Ledger interface {
	// Recorded returns, by step ID, the latest step.ended with outcome done
	// that counts for the stack on the engine.
	Recorded(ctx context.Context, stack, engineID string) (map[string]events.Event, error)
	// Holders returns, by exclusive volume, the latest event in which a
	// container that held it ended.
	Holders(ctx context.Context, stack, engineID string) (map[string]events.Event, error)
	// Stops returns, by step ID, the latest step.stopping or service.stopped.
	Stops(ctx context.Context, stack, engineID string) (map[string]events.Event, error)
	// Forget takes the records of the named steps back; of all where none is named.
	Forget(ctx context.Context, stack, engineID string, steps ...string) error
	// Apps returns, by name, the apps that are registered. A ledger that keeps no
	// registry returns nil: then no app is checked, and none is registered.
	Apps(ctx context.Context, stack, engineID string) (map[string]events.App, error)
}

// Wish is what is wanted of a run beside what the stack's file says.
type Wish struct {
	// Asked are the steps to do again although they are done, by ID, each with
	// the cause to tell: see plan.Again.
	Asked map[string]string
	// Part is the part of the stack that is meant.
	Part plan.Part
	// RemoveOrphans: see plan.Facts.
	RemoveOrphans bool
}

// Options of a run. Engine, Sink, Ledger and Run must be set.
type Options struct {
	Engine containers.Engine
	// Sink gets every event. When it fails the run stops: what is not
	// recorded did not happen.
	Sink   events.Sink
	Ledger Ledger
	// Run is the run's ID.
	Run  string
	Wish Wish
	// OnFailure overrides the stack's own; "" leaves it.
	OnFailure stages.StackFailure
	// Interrupt, closed, asks the run to stop in order; Kill, closed, to stop at once.
	Interrupt, Kill <-chan struct{}
	// Patience is how long an engine that does not answer is asked again; 0 is 30 s.
	Patience time.Duration
	// Lock says how the stack's lease is taken.
	Lock Lock
	// Key seals what is handed on and is secret, for later runs. With nil it is not kept: then
	// the helper that hands it on runs again.
	Key *secrets.Key
}

// Result is how a run ended.
type Result struct {
	Verdict events.Verdict
	// Failures are the step.ended events of the steps that failed, in order.
	Failures []events.Event
	Plan     *plan.Plan
}

// Conflict tells whether all that failed was that something which is not the
// stack's is in the way.
func (r Result) Conflict() bool {
	for _, f := range r.Failures {
		if !f.Conflict {
			return false
		}
	}
	return len(r.Failures) > 0
}

// TimedOut tells whether nothing worse than waits that timed out happened.
func (r Result) TimedOut() bool {
	for _, f := range r.Failures {
		if f.Outcome != events.TimedOut {
			return false
		}
	}
	return len(r.Failures) > 0
}

// ErrLedger wraps the error of a Sink or Ledger.
var ErrLedger = record.ErrLedger

const defaultPatience = 30 * time.Second

// Up takes the stack from where it is to where its file wants it. A step that
// fails is a Result; an error means that the engine or the ledger broke, or
// that ctx ended, and that the run stopped where it was; or, a *DeployedError, that nothing
// was begun because an app is deployed otherwise, or the version does not follow on the recorded one.
func Up(ctx context.Context, stack *stages.Stack, opts Options) (Result, error) {
	engine := patient(opts.Engine, opts.Patience)
	turn, engineID, err := opts.Lock.queue(ctx, engine, opts.Ledger, stack.Name, opts.Run, opts.Interrupt)
	if err != nil {
		return Result{}, err
	}
	defer turn.Release()
	p, known, err := turnTo(ctx, turn, stack, engine, opts, engineID)
	if errors.Is(err, lock.ErrInterrupted) {
		return Result{Verdict: events.VerdictInterrupted, Plan: p}, nil
	}
	if err != nil {
		return Result{Plan: p}, err
	}
	r := newRun(opts, stack, p, turn, known, engineID)
	if err := r.start(engineID, known.heard); err != nil {
		return Result{Plan: p}, err
	}
	if err := r.recordVersion(ctx, engineID); err != nil {
		result, err := r.end(schedule.Result{}, err)
		result.Plan = p
		return result, err
	}
	result, err := r.carryOut(ctx)
	result.Plan = p
	return result, err
}

// patient repeats calls that an engine does not answer.
func patient(engine containers.Engine, patience time.Duration) containers.Engine {
	if patience == 0 {
		patience = defaultPatience
	}
	return retry.Wrap(engine, patience)
}

// Plan says what Up would do, and does nothing. key and wish are as in Options. The
// error may be a *plan.Unknown.
func Plan(ctx context.Context, stack *stages.Stack, engine containers.Engine, ledger Ledger, key *secrets.Key, wish Wish) (*plan.Plan, error) {
	engine = retry.Wrap(engine, time.Second)
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	p, _, err := prepare(ctx, stack, engine, ledger, info.ID, key, wish)
	return p, err
}

// knowledge is what a run needs to know of earlier ones beside its plan.
type knowledge struct {
	holders map[string]events.Event
	volumes map[string]containers.VolumeStatus
	// namespaces lend helpers their network.
	namespaces []containers.Status
	// seen are the stack's containers as they were when the plan was made.
	seen map[string]containers.Status
	// recorded are the steps that are done; heard are those of them that only
	// the ledgers of others have.
	recorded map[string]events.Event
	heard    []events.Event
	// stops are those of the ledger, by step.
	stops map[string]events.Event
}

func prepare(ctx context.Context, stack *stages.Stack, engine containers.Engine, ledger Ledger, engineID string, key *secrets.Key, wish Wish) (*plan.Plan, knowledge, error) {
	apps, err := checkedApps(ctx, stack, ledger, engineID)
	if err != nil {
		return nil, knowledge{}, err
	}
	versioned, err := version(ctx, stack, ledger, engineID)
	if err != nil {
		return nil, knowledge{}, err
	}
	facts, err := observe(ctx, stack, engine)
	if err != nil {
		return nil, knowledge{}, err
	}
	recorded, err := ledger.Recorded(ctx, stack.Name, engineID)
	if err != nil {
		return nil, knowledge{}, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	holders, err := ledger.Holders(ctx, stack.Name, engineID)
	if err != nil {
		return nil, knowledge{}, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	stops, err := ledger.Stops(ctx, stack.Name, engineID)
	if err != nil {
		return nil, knowledge{}, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	facts.Steps, facts.Stops, facts.Asked, facts.Apps, facts.Version = factsOf(recorded, stack, key), stopsOf(stops), wish.Asked, apps, versioned
	facts.RemoveOrphans = wish.RemoveOrphans
	now := time.Now()
	p := plan.Make(stack, facts, now)
	facts.Disproved, err = disproved(ctx, World(stack, engine), p)
	if err != nil {
		return nil, knowledge{}, err
	}
	facts.Attempts, err = attempts(ctx, p, facts, ledger, engineID)
	if err != nil {
		return nil, knowledge{}, err
	}
	if len(facts.Disproved) > 0 || len(facts.Attempts) > 0 {
		p = plan.Make(stack, facts, now)
	}
	if p, err = wish.Part.Of(p, stack); err != nil {
		return nil, knowledge{}, err
	}
	return p, knowledge{holders: holders, volumes: facts.Volumes, namespaces: facts.Namespaces, seen: facts.Containers, recorded: recorded, stops: stops}, nil
}

// run is one execution of a plan.
type run struct {
	opts   Options
	stack  *stages.Stack
	plan   *plan.Plan
	engine containers.Engine
	turn   *lock.Turn
	record *record.Recorder
	crew   *steps.Crew
	began  time.Time
}

// newRun makes the run of a plan that was made with known, through the turn's engine.
func newRun(opts Options, stack *stages.Stack, p *plan.Plan, turn *lock.Turn, known knowledge, engineID string) *run {
	engine := turn.Engine()
	if acts(p) {
		known.seen = nil // by its turn a step would be looking at what has been
	}
	r := &run{
		opts: opts, stack: stack, plan: p, engine: engine, turn: turn, began: time.Now(),
		record: record.New(turn.Teller(opts.Sink, known.recorded), opts.Run, stack.Name),
	}
	r.record.Secrets, r.record.Key = stack.Secrets, opts.Key
	r.crew = steps.New(steps.Options{
		Engine: engine, Stack: stack, Plan: p, Record: r.record, Run: opts.Run,
		Holders: known.holders, Volumes: known.volumes, Namespaces: known.namespaces, Seen: known.seen, World: World(stack, engine), Killed: opts.Kill,
		Upgrading: r.upgrading(engineID, known.stops),
	})
	return r
}

// carryOut executes the plan and records the verdict, then cleans up.
func (r *run) carryOut(ctx context.Context) (Result, error) {
	if err := r.ensure(ctx); err != nil {
		return r.end(schedule.Result{Interrupted: ctx.Err() != nil}, err)
	}
	return r.end(r.walk(ctx))
}

// walk does the plan's steps, and waits until what they leave to be done is done.
func (r *run) walk(ctx context.Context) (schedule.Result, error) {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	watcher := r.crew.WatchDeaths(watching)
	walked, broken := schedule.Walk(ctx, schedule.Options{
		Plan: r.plan, Execute: r.crew.Execute, Prepare: r.crew.Prepare, Recall: r.crew.Recall, Emit: r.record.Emit, Interrupt: r.opts.Interrupt,
		Broken: r.turn.Broken(),
	})
	if err := r.crew.Finish(); broken == nil {
		broken = err
	}
	stopWatching()
	<-watcher
	return walked, broken
}

// verdict is how a run ended that began then, and the event that says so.
func verdict(verb string, began time.Time, walked schedule.Result, broken error) (Result, events.Event) {
	result := Result{Verdict: events.VerdictDone, Failures: walked.Failures}
	e := events.Event{Kind: events.RunEnded, Verb: verb, Elapsed: time.Since(began)}
	switch {
	case walked.Interrupted:
		result.Verdict = events.VerdictInterrupted
	case broken != nil:
		result.Verdict, e.Error = events.VerdictFailed, broken.Error()
	case len(walked.Failures) > 0:
		result.Verdict = events.VerdictFailed
	}
	e.Verdict = result.Verdict
	return result, e
}

// end records the verdict and then, never before, takes down what the run
// made where the stack wants that.
func (r *run) end(walked schedule.Result, broken error) (Result, error) {
	broken = lost(r.record, r.turn, broken)
	result, e := verdict("up", r.began, walked, broken)
	policy := r.opts.OnFailure
	if policy == "" {
		policy = r.stack.OnFailure
	}
	down := result.Verdict != events.VerdictDone && policy == stages.TakeDown
	if down {
		e.Cause = "taking down what this run made"
	}
	if err := r.record.Emit(e); err != nil && broken == nil {
		broken = err
	}
	if broken == nil {
		broken = r.crew.Discard(context.Background())
	}
	if down && broken == nil {
		broken = r.takeDown()
	}
	return result, broken
}

// ensure makes the networks and volumes that the steps to come need, and
// removes helpers that outlived their reason.
func (r *run) ensure(ctx context.Context) error {
	if !r.needsContainers() {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, n := range r.stack.Networks {
		group.Go(func() error { return r.engine.EnsureNetwork(ctx, n) })
	}
	for _, v := range r.stack.Volumes {
		group.Go(func() error {
			status, err := r.engine.EnsureVolume(ctx, v)
			if err == nil {
				r.crew.Stands(status)
			}
			return err
		})
	}
	for _, leftover := range r.plan.Sweep {
		group.Go(func() error { return r.crew.Sweep(ctx, leftover) })
	}
	return group.Wait()
}

func (r *run) needsContainers() bool {
	for _, s := range r.plan.Steps {
		if s.Action.Changes() {
			return true
		}
	}
	return len(r.plan.Sweep) > 0
}

// World lets conditions look at a stack's services on an engine.
func World(stack *stages.Stack, engine containers.Engine) waiters.World {
	return waiters.World{
		Engine:  engine,
		Network: stack.DefaultNetwork,
		Instance: func(name string) (waiters.Instance, bool) {
			service, ok := stack.Services[name]
			if !ok {
				return waiters.Instance{}, false
			}
			i := waiters.Instance{Container: service.Spec.Name, Health: service.Spec.Health}
			if len(service.Spec.Networks) > 0 {
				i.Network = service.Spec.Networks[0].Network
			}
			return i, true
		},
	}
}
