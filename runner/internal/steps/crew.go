// Package steps does the steps of a plan on an engine, one file per verb: it
// starts what is due, waits, records each outcome before it destroys
// anything, and stops what it is told to stop within its grace.
package steps

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
)

// Options of a Crew. All must be set but Namespaces, Seen, Upgrading and Killed.
type Options struct {
	Engine containers.Engine
	Stack  *stages.Stack
	Plan   *plan.Plan
	Record *record.Recorder
	// Run is the run's ID.
	Run string
	// Holders are, by exclusive volume, the events in which the last holders of
	// earlier runs ended.
	Holders map[string]events.Event
	// Volumes are those that stood there when the plan was made, by name.
	Volumes map[string]containers.VolumeStatus
	// Namespaces are the containers that lent helpers of an earlier run their network.
	Namespaces []containers.Status
	// Seen are containers as they were a moment ago, by name: what a step would
	// look up of them is taken from here. Only for a run that changes nothing.
	Seen map[string]containers.Status
	// Upgrading is for the plan's upgrade; not set where it has none.
	Upgrading *Upgrading
	// World is what conditions may look at.
	World waiters.World
	// Killed is closed when no grace is to be waited for any more.
	Killed <-chan struct{}
}

// Crew does the steps of one run. It is safe for concurrent use.
type Crew struct {
	Options
	holds    holders
	deaths   deaths
	clearing clearing
	// mu guards values, made, volumes and prepared.
	mu     sync.Mutex
	values plan.Values
	made   []string
	// prepared are the containers made ahead, by step; preparing owns their
	// making, and preparers bounds it.
	prepared  map[string]*preparation
	preparing sync.WaitGroup
	preparers chan struct{}
	// volumes that stand there now, by name.
	volumes map[string]containers.VolumeStatus
	// images are known to be on the engine by now, by reference.
	images     sync.Map
	building   chan struct{} // holds one while an image is built
	namespaces namespaces
	// background owns what is off the critical path: destroying helpers.
	background errgroup.Group
}

// destroyers is how many helpers are destroyed at a time.
const destroyers = 8

// New returns a crew that has done nothing yet.
func New(o Options) *Crew {
	c := &Crew{Options: o, building: make(chan struct{}, 1), values: plan.Values{}, volumes: map[string]containers.VolumeStatus{},
		prepared: map[string]*preparation{}, preparers: make(chan struct{}, preparers)}
	maps.Copy(c.volumes, o.Volumes)
	c.holds = holders{locks: map[string]chan struct{}{}, ends: map[string]lastEnd{}}
	c.holds.load(o.Holders)
	c.namespaces = namespaces{busy: make(chan struct{}, 1), held: map[string]bool{}}
	for _, status := range o.Namespaces {
		c.namespaces.held[status.Name] = false
	}
	c.background.SetLimit(destroyers)
	return c
}

// Recall takes over what a step that is recorded as done handed on.
func (c *Crew) Recall(step *plan.Step) {
	if step.Fact != nil {
		c.handOn(step, step.Fact.Values)
	}
}

// Stands tells the crew of a volume that the run has made or found: what is
// recorded of the steps to come holds for that one.
func (c *Crew) Stands(v containers.VolumeStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.volumes[v.Name] = v
}

// reliesOn says which volumes a step's record holds for.
func (c *Crew) reliesOn(step *plan.Step) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return plan.Identities(step.Relies, c.volumes)
}

// Made is the services' containers that this run made, in order.
func (c *Crew) Made() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.made...)
}

// Finish waits until every helper whose outcome is recorded is destroyed, and
// nothing is made ahead any more. The error is the first that the engine or
// the ledger gave.
func (c *Crew) Finish() error {
	c.endPreparing()
	return c.background.Wait()
}

func (c *Crew) handOn(step *plan.Step, values map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values.Set(step.Stage, step.App, values)
}

// resolve replaces the marks of handed-on values in x by what is known now.
func resolve[T any](c *Crew, x T, app string) (T, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return plan.Resolve(x, c.values, app)
}

// start starts a step's container when the engine is free for it.
func (c *Crew) start(ctx context.Context, name string) error {
	c.clearing.wait(ctx)
	return c.Engine.Start(ctx, name)
}

// stop stops a container within grace, at once when the crew is told to kill.
func (c *Crew) stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	return Stop(ctx, c.Engine, name, grace, c.Killed)
}
