// Package schedule walks a plan's graph: it says which step is next, and what
// a failure or an interrupt means for the others. It knows no engine.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
)

// Options of a walk. All must be set but Prepare, Interrupt and Broken.
type Options struct {
	Plan *plan.Plan
	// Execute does a step and returns its recorded step.ended. A step that
	// failed says so in the event; the error means that engine or ledger broke.
	// It ends soon after its ctx, whose cause says why. behind is the step whose end let
	// this one begin, "" where none did. It calls underway, any number of times, when
	// all that is left is to wait.
	Execute func(ctx context.Context, step *plan.Step, stage *stages.Stage, behind string, underway func()) (events.Event, error)
	// Prepare is told each step that nothing but steps under way keep from being
	// executed. It returns at once. Whether the step will be executed is not known.
	Prepare func(context.Context, *plan.Step, *stages.Stage)
	// Recall is told each step that is skipped because it is recorded.
	Recall func(*plan.Step)
	// Emit records an event.
	Emit func(events.Event) error
	// Interrupt, closed, ends the walk in order.
	Interrupt <-chan struct{}
	// Broken gets an error that ends the walk as one of Execute does.
	Broken <-chan error
}

// Result is how a walk ended.
type Result struct {
	// Failures are the step.ended events of the steps that failed, in order.
	Failures    []events.Event
	Interrupted bool
}

// Walk executes the plan's steps, each when all that it waits for is there.
// It returns when no step runs any more and none can be started. The error
// is the first that Execute or Emit returned.
func Walk(ctx context.Context, o Options) (Result, error) {
	s := newSchedule(o)
	s.loop(ctx)
	return Result{Failures: s.failures, Interrupted: s.interrupted}, s.broken
}

// schedule walks the plan's graph. One goroutine (loop) owns all of its
// state; steps run in goroutines of their own and tell their result on ended.
type schedule struct {
	Options
	nodes  []*node
	byStep map[string]*node
	stages map[string]*stageState
	// underway and ended are what the steps' goroutines tell.
	underway, ended chan *node
	// ready are nodes that nothing blocks, first come first served.
	ready   []*node
	running int
	// mainLeft counts the steps outside finally stages that have not ended.
	mainLeft int

	// stopping says why no further step is started; nil while all is well.
	stopping    error
	failedApps  map[string]string // app → the step that failed
	failures    []events.Event
	broken      error
	interrupted bool
}

type node struct {
	step    *plan.Step
	stage   *stageState
	blocked int
	// ahead counts those of what blocks it that have not begun.
	ahead int
	begun bool
	// behind is the step, of those that were executed, that was waited for last.
	behind string
	// needers wait for this node to be done, followers only for its end.
	needers, followers []*node
	// missed is why a step that this one needs was not done.
	missed string
	done   bool
	cancel context.CancelCauseFunc
	ended  events.Event // its step.ended
	broken error
}

type stageState struct {
	plan *plan.Stage
	left int
	// unbegun counts the steps that are neither under way nor over.
	unbegun int
	running int
	queue   []*node
	// waiting nodes come after the whole stage.
	waiting []*node
	started time.Time
	failed  int
}

func newSchedule(o Options) *schedule {
	s := &schedule{
		Options: o, byStep: make(map[string]*node, len(o.Plan.Steps)), stages: map[string]*stageState{},
		underway: make(chan *node), ended: make(chan *node), failedApps: map[string]string{},
	}
	for _, st := range o.Plan.Stages {
		s.stages[st.Name] = &stageState{plan: st, left: len(st.Steps), unbegun: len(st.Steps)}
	}
	for _, step := range o.Plan.Steps {
		n := &node{step: step, stage: s.stages[step.Stage]}
		s.nodes = append(s.nodes, n)
		s.byStep[step.ID] = n
		if !n.stage.plan.Finally {
			s.mainLeft++
		}
	}
	for _, n := range s.nodes {
		s.link(n)
		n.ahead = n.blocked
	}
	return s
}

func (s *schedule) link(n *node) {
	for _, name := range n.step.After {
		if stage := s.stages[name]; stage != nil && stage.left > 0 {
			stage.waiting = append(stage.waiting, n)
			n.blocked++
		} else if stage != nil {
			s.inherit(n, stage, map[string]bool{})
		}
	}
	for _, id := range n.step.Needs {
		need := s.byStep[id]
		need.needers = append(need.needers, n)
		n.blocked++
	}
	if f := s.byStep[n.step.Follows]; f != nil {
		f.followers = append(f.followers, n)
		n.blocked++
	}
	if n.stage.plan.Finally {
		n.blocked++ // released when everything else has ended
	}
}

// inherit makes n wait for what an empty stage would have waited for: a stage
// without steps is a door, not a wall that is missing.
func (s *schedule) inherit(n *node, empty *stageState, seen map[string]bool) {
	for _, name := range empty.plan.Needs {
		stage := s.stages[name]
		if stage == nil || seen[name] {
			continue
		}
		seen[name] = true
		if stage.left > 0 {
			stage.waiting = append(stage.waiting, n)
			n.blocked++
		} else {
			s.inherit(n, stage, seen)
		}
	}
}

// loop runs until no step runs and none can be started.
func (s *schedule) loop(ctx context.Context) {
	// What the steps' own contexts end with is told by cancel causes; ctx
	// itself ending is an interrupt.
	stepCtx := context.WithoutCancel(ctx)
	for _, n := range s.nodes {
		if n.blocked == 0 {
			s.ready = append(s.ready, n)
		}
	}
	if s.mainLeft == 0 {
		s.releaseFinally("")
	}
	interrupt, done := s.Interrupt, ctx.Done()
	s.dispatch(stepCtx)
	for s.running > 0 {
		select {
		case n := <-s.underway:
			s.begin(stepCtx, n)
		case n := <-s.ended:
			s.running--
			s.finish(n)
			s.begin(stepCtx, n)
		case err := <-s.Broken:
			s.fatal(err)
		case <-interrupt:
			interrupt, done = nil, nil
			s.interrupt()
		case <-done:
			interrupt, done = nil, nil
			s.interrupt()
		}
		s.dispatch(stepCtx)
	}
}

// dispatch starts every ready step that its stage has room for and settles
// those that need no work. It leaves ready empty.
func (s *schedule) dispatch(ctx context.Context) {
	for len(s.ready) > 0 {
		n := s.ready[0]
		s.ready = s.ready[1:]
		if reason := s.notReached(n); reason != "" {
			s.settle(ctx, n, reason)
			continue
		}
		if n.step.Action == plan.Skip {
			s.Recall(n.step)
			s.settle(ctx, n, "")
			continue
		}
		if !s.room(n.stage) {
			n.stage.queue = append(n.stage.queue, n)
			continue
		}
		s.start(ctx, n)
	}
}

func (s *schedule) room(stage *stageState) bool {
	limit := stage.plan.MaxParallel
	if stage.plan.Sequential {
		limit = 1
	}
	return limit == 0 || stage.running < limit
}

// notReached says why a step must not be started; "" when it may be.
func (s *schedule) notReached(n *node) string {
	switch {
	case n.stage.plan.Finally && s.broken == nil:
		return ""
	case s.stopping != nil:
		return "not reached: " + s.stopping.Error()
	case n.missed != "":
		return "not reached: " + n.missed
	case n.step.App != "" && s.failedApps[n.step.App] != "":
		return "not reached: " + s.failedApps[n.step.App] + " failed"
	}
	return ""
}

func (s *schedule) start(ctx context.Context, n *node) {
	stage := n.stage
	if stage.started.IsZero() {
		stage.started = time.Now()
		s.emit(events.Event{Kind: events.StageStarted, Stage: stage.plan.Name, Verb: string(stage.plan.Verb)})
	}
	stage.running++
	s.running++
	ctx, n.cancel = context.WithCancelCause(ctx)
	behind := n.behind
	go func() { // owned by loop, which waits for its message
		n.ended, n.broken = s.Execute(ctx, n.step, stage.plan.Source, behind, func() { s.underway <- n })
		s.ended <- n
	}()
}

// begin tells those that come after a step, or its stage, that it is under way.
func (s *schedule) begin(ctx context.Context, n *node) {
	if n.begun {
		return
	}
	n.begun = true
	for _, later := range slices.Concat(n.needers, n.followers) {
		s.approach(ctx, later)
	}
	if n.stage.unbegun--; n.stage.unbegun == 0 {
		for _, later := range n.stage.waiting {
			s.approach(ctx, later)
		}
	}
}

// approach has a step prepared once all that blocks it has begun. One that
// nothing blocks any more is about to be started.
func (s *schedule) approach(ctx context.Context, n *node) {
	if n.ahead--; n.ahead == 0 && n.blocked > 0 && s.Prepare != nil && s.notReached(n) == "" {
		s.Prepare(ctx, n.step, n.stage.plan.Source)
	}
}

// settle ends a step that was never started: because it is recorded, or for a
// reason.
func (s *schedule) settle(ctx context.Context, n *node, reason string) {
	e := record.About(events.StepEnded, n.step)
	e.Outcome, e.Error = events.Skipped, reason
	if reason == "" {
		e.Cause = n.step.Cause
	}
	s.emit(e)
	n.ended = e
	s.unblock(n)
	s.begin(ctx, n)
}

// finish takes the result of a step that ran.
func (s *schedule) finish(n *node) {
	n.cancel(nil)
	n.stage.running--
	if len(n.stage.queue) > 0 {
		n.stage.queue[0].behind = n.step.ID
		s.ready = append(s.ready, n.stage.queue[0])
		n.stage.queue = n.stage.queue[1:]
	}
	switch {
	case n.broken != nil:
		s.fatal(n.broken)
	case n.ended.Outcome == events.Failed || n.ended.Outcome == events.TimedOut:
		s.failures = append(s.failures, n.ended)
		n.stage.failed++
		s.fail(n)
	}
	s.unblock(n)
}

// fail applies the stage's policy to a step that failed.
func (s *schedule) fail(n *node) {
	if n.stage.plan.Finally {
		return
	}
	switch policy := n.stage.plan.Source.OnFailure; {
	case policy == stages.Continue, len(n.ended.Aside) > 0:
	case policy == stages.SkipApp && n.step.App != "":
		if s.failedApps[n.step.App] == "" {
			s.failedApps[n.step.App] = n.step.ID
		}
	case s.stopping == nil:
		s.stop(fmt.Errorf("%s failed", n.step.ID), func(other *node) bool {
			// Helpers of the same stage end by themselves: they are let, so
			// that all of the stage's failures are reported at once.
			return other.stage == n.stage && other.step.Verb == stages.Run
		})
	}
}

// stop starts no further step and cancels those that run, but for the spared.
func (s *schedule) stop(cause error, spared func(*node) bool) {
	s.stopping = cause
	for _, stage := range s.stages {
		if !stage.plan.Finally {
			s.ready = append(s.ready, stage.queue...)
			stage.queue = nil
		}
	}
	for _, n := range s.nodes {
		if n.cancel != nil && !n.done && !n.stage.plan.Finally && !spared(n) {
			n.cancel(cause)
		}
	}
}

var errInterrupted = errors.New("interrupted")

func (s *schedule) interrupt() {
	s.interrupted = true
	names := ""
	for _, n := range s.nodes {
		if n.cancel != nil && !n.done && n.step.Helper() {
			names += " " + n.step.ID
		}
	}
	e := events.Event{Kind: events.RunInterrupted, Cause: "nothing to stop"}
	if names != "" {
		e.Cause = "stopping" + names
	}
	s.emit(e)
	s.stop(errInterrupted, func(*node) bool { return false })
}

// fatal ends the run because the engine or the ledger broke.
func (s *schedule) fatal(err error) {
	if s.broken == nil {
		s.broken = err
		cause := &record.Broken{Err: err}
		s.stop(cause, func(*node) bool { return false })
		for _, n := range s.nodes {
			if n.cancel != nil && !n.done {
				n.cancel(cause)
			}
		}
	}
}

// unblock tells those that wait for a step, or its stage, that it has ended.
func (s *schedule) unblock(n *node) {
	n.done = true
	by := n.step.ID
	if n.cancel == nil { // it was settled
		by = n.behind
	}
	good := n.ended.Error == "" && n.broken == nil || len(n.ended.Aside) > 0 || n.ended.Outcome != events.Skipped && n.stage.plan.Source.OnFailure == stages.Continue
	for _, needer := range n.needers {
		if !good && needer.missed == "" {
			needer.missed = n.step.ID + " was not done"
		}
		s.release(needer, by)
	}
	for _, follower := range n.followers {
		s.release(follower, by)
	}
	stage := n.stage
	stage.left--
	if stage.left == 0 {
		s.complete(stage, by)
	}
	if !stage.plan.Finally {
		s.mainLeft--
		if s.mainLeft == 0 {
			s.releaseFinally(by)
		}
	}
}

func (s *schedule) complete(stage *stageState, by string) {
	if !stage.started.IsZero() {
		e := events.Event{Kind: events.StageCompleted, Stage: stage.plan.Name, Verb: string(stage.plan.Verb), Outcome: events.Done, Elapsed: time.Since(stage.started)}
		if stage.failed > 0 {
			e.Outcome, e.Error = events.Failed, fmt.Sprintf("%d of %d steps failed", stage.failed, len(stage.plan.Steps))
		} else if s.stopping != nil && !stage.plan.Finally {
			e.Outcome, e.Error = events.Skipped, s.stopping.Error()
		}
		s.emit(e)
	}
	for _, n := range stage.waiting {
		s.release(n, by)
	}
}

func (s *schedule) releaseFinally(by string) {
	for _, n := range s.nodes {
		if n.stage.plan.Finally {
			s.release(n, by)
		}
	}
}

// release tells a step that one thing fewer blocks it, since the step by has ended.
func (s *schedule) release(n *node, by string) {
	n.blocked--
	if n.blocked == 0 {
		n.behind = by
		s.ready = append(s.ready, n)
	}
}

func (s *schedule) emit(e events.Event) {
	if err := s.Emit(e); err != nil {
		s.fatal(err)
	}
}
