package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/runner/internal/schedule"
	"github.com/stagehand-dev/stagehand/runner/internal/steps"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

// ControlOptions say which of a stack's services to stop, start or restart.
// Name, Engine, Sink, Ledger and Run must be set, of Start and Restart also Stack.
type ControlOptions struct {
	// Name is the stack's.
	Name string
	// Stack is the stack's file where it is at hand. Without it, what was made
	// last is stopped first.
	Stack *stages.Stack
	// Services by their names in Stack.Services; all where none is named.
	Services []string
	Engine   containers.Engine
	Sink     events.Sink
	Ledger   Ledger
	Run      string
	// Grace is how long each container has to stop; nil is its own.
	Grace *time.Duration
	// Kill, closed, stops waiting for graces.
	Kill <-chan struct{}
	// Lock says how the stack's lease is taken.
	Lock Lock
	// Key opens what is handed on and is secret, as in Options.
	Key *secrets.Key
}

// ErrNotMade: a service that was named has no container to start.
var ErrNotMade = errors.New("has no container")

// Stop stops services, what needs others before those, each by its own signal
// and grace. Their containers stay; helpers are left alone. The error means
// that the engine or the ledger broke, or that ctx ended.
func Stop(ctx context.Context, o ControlOptions) (Result, error) { return control(ctx, "stop", o) }

// Start starts the containers of services that stand there, in the stages'
// order, and waits until each is ready as its stage says. It makes no
// container, and runs no helper. One that does not become ready is a Result.
func Start(ctx context.Context, o ControlOptions) (Result, error) { return control(ctx, "start", o) }

// Restart is Stop and then Start, also of the running services whose
// depends_on says restart: true of one that is restarted.
func Restart(ctx context.Context, o ControlOptions) (Result, error) {
	return control(ctx, "restart", o)
}

func control(ctx context.Context, verb string, o ControlOptions) (Result, error) {
	c := &controller{ControlOptions: o, verb: verb}
	engine := patient(o.Engine, 0)
	turn, engineID, err := o.Lock.queue(ctx, engine, o.Ledger, o.Name, o.Run, nil)
	if err != nil {
		return Result{}, err
	}
	defer turn.Release()
	c.engineID, c.Engine = engineID, engine
	for {
		if err := c.look(ctx); err != nil {
			return Result{}, err
		}
		if c.idle() || turn.Needless() {
			break
		}
		if err := turn.Take(ctx); err != nil {
			return Result{}, err
		}
	}
	c.Engine = turn.Engine()
	recorder := record.New(o.Sink, o.Run, o.Name)
	recorder.Key = o.Key
	if o.Stack != nil {
		recorder.Secrets = o.Stack.Secrets
	}
	c.run = &run{
		opts: Options{Kill: o.Kill}, stack: o.Stack, plan: c.plan, engine: c.Engine, turn: turn, began: time.Now(), record: recorder,
	}
	started := events.Event{Kind: events.RunStarted, Verb: verb, Engine: engineID, Token: turn.Token(), Cause: c.intent()}
	if c.plan != nil {
		started.Plan = c.plan.Counts()
	}
	if err := recorder.Emit(started); err != nil {
		return Result{}, err
	}
	if err := acquired(recorder, turn); err != nil {
		return Result{}, err
	}
	return c.end(c.act(ctx))
}

// controller is one stop, start or restart.
type controller struct {
	ControlOptions
	verb     string
	engineID string
	// names are the services that this is about.
	names []string
	// waves are the containers to stop, wave after wave; plan is what to start.
	waves    [][]containers.Status
	plan     *plan.Plan
	recorded map[string]events.Event
	run      *run
}

// look finds what is to be done. It changes nothing.
func (c *controller) look(ctx context.Context) error {
	list, err := containers.ListStack(ctx, c.Engine, c.Name)
	if err != nil {
		return err
	}
	made := map[string]containers.Status{}
	for _, s := range list {
		if containers.RoleOf(s.Labels) == containers.RoleService && !c.helps(s) {
			made[containers.InstanceOf(s.Labels)] = s
		}
	}
	if err := c.choose(made); err != nil {
		return err
	}
	var running []containers.Status
	for _, name := range c.names {
		if s := made[name]; s.Running() {
			running = append(running, s)
		}
	}
	if c.verb != "start" {
		c.waves = waves(running, c.Stack)
	}
	if c.verb == "stop" {
		c.names = nil
		for _, s := range running {
			c.names = append(c.names, containers.InstanceOf(s.Labels))
		}
		return nil
	}
	return c.prepare(ctx, list)
}

// helps tells of a container that docker compose made that the stack's file
// has it as a helper.
func (c *controller) helps(s containers.Status) bool {
	if c.Stack == nil || !containers.MadeByCompose(s.Labels) {
		return false
	}
	stage := c.Stack.StageOf(containers.InstanceOf(s.Labels))
	return stage != nil && stage.Verb != stages.Start
}

// choose sets names to the services that are meant and have a container.
func (c *controller) choose(made map[string]containers.Status) error {
	c.names = slices.Sorted(maps.Keys(made))
	if len(c.Services) > 0 {
		c.names = slices.Clone(c.Services)
		slices.Sort(c.names)
		c.names = slices.Compact(c.names)
	}
	for _, name := range c.names {
		if _, there := made[name]; !there && c.verb != "stop" {
			return fmt.Errorf("%s %w", name, ErrNotMade)
		}
	}
	if c.Stack == nil || c.verb == "stop" {
		return nil
	}
	c.names = slices.DeleteFunc(c.names, func(name string) bool {
		_, known := c.Stack.Services[name]
		return !known // the file has it no more: up says what becomes of it
	})
	if c.verb != "restart" {
		return nil
	}
	for i := 0; i < len(c.names); i++ { // grows while dependants of dependants are found
		for _, name := range slices.Sorted(maps.Keys(c.Stack.Services)) {
			if slices.Contains(c.Stack.Services[name].RestartWith, c.names[i]) && made[name].Running() && !slices.Contains(c.names, name) {
				c.names = append(c.names, name)
			}
		}
	}
	return nil
}

// prepare plans the starts.
func (c *controller) prepare(ctx context.Context, list []containers.Status) error {
	facts, err := observe(ctx, c.Stack, c.Engine)
	if err != nil {
		return err
	}
	if c.recorded, err = c.Ledger.Recorded(ctx, c.Name, c.engineID); err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	facts.Steps = factsOf(c.recorded, c.Stack, c.Key)
	whole := plan.Make(c.Stack, facts, time.Now())
	c.plan = whole.Narrowed(func(s *plan.Step) bool { return s.Verb == stages.Start && slices.Contains(c.names, s.Service) })
	for _, step := range c.plan.Steps {
		switch {
		case step.Action == plan.Skip: // its volume was handed over to a later service
			continue
		case c.verb == "start" && facts.Containers[step.Container].Running():
			step.Action, step.Cause = plan.Adopt, "runs already"
			continue
		}
		step.Action, step.Cause = plan.Restart, c.verb
		spec := *step.Spec
		spec.Pull = containers.PullMissing // the container stands there: a newer image is up's business
		step.Spec = &spec
		if helper := helperOn(list, step.Exclusive); helper != "" {
			return fmt.Errorf("%s cannot be started while the helper %s holds %s: stagehand up goes on with that: %w", step.Service, helper, step.Exclusive, containers.ErrConflict)
		}
	}
	return nil
}

// helperOn is a running helper that mounts the volume, "" for none.
func helperOn(list []containers.Status, volume string) string {
	for _, s := range list {
		if volume != "" && s.Running() && s.Labels[containers.LabelRole] == containers.RoleHelper && slices.Contains(s.Volumes, volume) {
			return s.Name
		}
	}
	return ""
}

// idle tells whether nothing is to be changed.
func (c *controller) idle() bool {
	return len(c.waves) == 0 && (c.plan == nil || !slices.ContainsFunc(c.plan.Steps, func(s *plan.Step) bool { return s.Action.Changes() }))
}

// intent says what is to be done, for people.
func (c *controller) intent() string {
	if len(c.names) == 0 {
		return "nothing to " + c.verb
	}
	return c.verb + "s " + strings.Join(c.names, ", ")
}

// act stops and starts.
func (c *controller) act(ctx context.Context) (schedule.Result, error) {
	d := &demolition{engine: c.Engine, record: c.run.record, killed: c.Kill, grace: c.Grace}
	for _, wave := range c.waves {
		err := each(ctx, wave, func(ctx context.Context, s containers.Status) error { return d.halt(ctx, s, c.verb) })
		if err != nil {
			return schedule.Result{Interrupted: ctx.Err() != nil}, err
		}
	}
	if c.plan == nil {
		return schedule.Result{}, nil
	}
	holders, err := c.Ledger.Holders(ctx, c.Name, c.engineID) // with what was just stopped
	if err != nil {
		return schedule.Result{Interrupted: ctx.Err() != nil}, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	c.run.crew = steps.New(steps.Options{
		Engine: c.Engine, Stack: c.Stack, Plan: c.plan, Record: c.run.record, Run: c.Run,
		Holders: holders, World: World(c.Stack, c.Engine), Killed: c.Kill,
	})
	for _, e := range c.recorded {
		values, _ := Values(e, c.Key, c.Stack.Secrets) // a step that needs one that cannot be read says so
		c.run.crew.Recall(&plan.Step{Stage: e.Stage, App: e.App, Fact: &plan.Fact{Values: values}})
	}
	return c.run.walk(ctx)
}

// end records how that ended.
func (c *controller) end(walked schedule.Result, broken error) (Result, error) {
	broken = lost(c.run.record, c.run.turn, broken)
	result, e := verdict(c.verb, c.run.began, walked, broken)
	result.Plan = c.plan
	return result, errors.Join(broken, c.run.record.Emit(e))
}
