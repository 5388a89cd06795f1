package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner/internal/lock"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/runner/internal/schedule"
	"github.com/stagehand-dev/stagehand/runner/internal/steps"
	"github.com/stagehand-dev/stagehand/stages"
)

// DownOptions say what to take down. Stack, Engine, Sink, Ledger and Run must be set.
type DownOptions struct {
	// Stack is the stack's name.
	Stack  string
	Engine containers.Engine
	Sink   events.Sink
	Ledger Ledger
	Run    string
	// Volumes removes the stack's volumes as well, and all records with them, those of its
	// apps too: see Outliving.
	Volumes bool
	// Order is the stack's file where it is at hand: what depends on something is
	// stopped before it. Without it, what was made last is stopped first.
	Order *stages.Stack
	// Grace is how long each container has to stop; nil is its own.
	Grace *time.Duration
	// Kill, closed, stops waiting for graces.
	Kill <-chan struct{}
	// Lock says how the stack's lease is taken.
	Lock Lock
}

// Down stops the stack's containers, each by its own signal and grace, what
// was started last first, and removes them and the stack's networks. It finds
// them by label, so that it needs no stack file and no ledger of the runs
// that made them.
func Down(ctx context.Context, o DownOptions) error {
	d := &demolition{
		engine: patient(o.Engine, 0), record: record.New(o.Sink, o.Run, o.Stack),
		stack: o.Stack, killed: o.Kill, grace: o.Grace,
	}
	if o.Order != nil {
		d.record.Secrets = o.Order.Secrets
	}
	began := time.Now()
	turn, engineID, err := o.Lock.queue(ctx, d.engine, o.Ledger, o.Stack, o.Run, nil)
	if err != nil {
		return err
	}
	defer turn.Release()
	if err := d.turnTo(ctx, turn, o.Volumes); err != nil {
		return err
	}
	d.engine = turn.Engine()
	if err := d.record.Emit(events.Event{Kind: events.RunStarted, Verb: "down", Engine: engineID, Token: turn.Token()}); err != nil {
		return err
	}
	if err := acquired(d.record, turn); err != nil {
		return err
	}
	d.forgotten = turn.Forget
	err = lost(d.record, turn, d.all(ctx, o, engineID))
	_, e := verdict("down", began, schedule.Result{Interrupted: ctx.Err() != nil}, err)
	return errors.Join(err, d.record.Emit(e))
}

// demolition takes containers and what belongs to them off the engine.
type demolition struct {
	engine containers.Engine
	record *record.Recorder
	stack  string
	killed <-chan struct{}
	// grace is what each container has in place of its own, if not nil.
	grace *time.Duration
	// forgotten is called when all records have been taken back.
	forgotten func()
}

// turnTo takes the lease unless there is nothing to remove.
func (d *demolition) turnTo(ctx context.Context, turn *lock.Turn, volumes bool) error {
	for !turn.Needless() {
		left, err := d.left(ctx, volumes)
		if err != nil || !left {
			return err
		}
		if err := turn.Take(ctx); err != nil {
			return err
		}
	}
	return nil
}

// left tells whether there is anything to remove. Containers, each of which has
// to be looked at, are asked for only where there is no network, which most stacks have.
func (d *demolition) left(ctx context.Context, volumes bool) (bool, error) {
	networks, err := d.engine.ListNetworks(ctx, containers.OfStack(d.stack))
	if err != nil || len(networks) > 0 {
		return true, err
	}
	if volumes {
		found, err := d.engine.ListVolumes(ctx, containers.OfStack(d.stack))
		if err != nil || len(found) > 0 {
			return true, err
		}
	}
	list, err := containers.ListStack(ctx, d.engine, d.stack)
	return len(list) > 0, err
}

// all removes everything of the stack, its volumes only where asked.
func (d *demolition) all(ctx context.Context, o DownOptions, engineID string) error {
	list, err := containers.ListStack(ctx, d.engine, d.stack)
	if err != nil {
		return err
	}
	for _, wave := range waves(list, o.Order) {
		if err := d.remove(ctx, wave, "down"); err != nil {
			return err
		}
	}
	lenders, err := d.engine.List(ctx, containers.Namespaces(d.stack))
	if err != nil {
		return err
	}
	for _, status := range lenders {
		if err := d.engine.Destroy(ctx, status.Name); err != nil {
			return fmt.Errorf("removing %s: %w", status.Name, err)
		}
	}
	// A network that cannot be removed keeps nothing else from being.
	kept := d.networks(ctx)
	if errors.Is(kept, containers.ErrUnavailable) {
		return kept
	}
	return errors.Join(kept, d.volumes(ctx, o, engineID))
}

// volumes removes the volumes where asked, and takes back what is recorded where none is left.
func (d *demolition) volumes(ctx context.Context, o DownOptions, engineID string) error {
	volumes, err := d.engine.ListVolumes(ctx, containers.OfStack(d.stack))
	if err != nil {
		return err
	}
	if o.Volumes {
		for _, v := range volumes {
			if err := d.engine.RemoveVolume(ctx, v.Name); err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
	}
	if o.Volumes || len(volumes) == 0 {
		// Nothing is left of what the helpers did, so nothing is done any more.
		if err := o.Ledger.Forget(ctx, o.Stack, engineID); err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
		d.forgotten()
	}
	if o.Volumes {
		return d.forgetApps(ctx, o, engineID)
	}
	return nil
}

// takeDown removes the services that this run made, the last one first.
func (r *run) takeDown() error {
	ctx := context.Background()
	d := &demolition{
		engine: r.engine, record: r.record, killed: r.opts.Kill, stack: r.stack.Name,
	}
	for _, name := range slices.Backward(r.crew.Made()) {
		status, err := r.engine.Status(ctx, name)
		if errors.Is(err, containers.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := d.remove(ctx, []containers.Status{status}, "the run failed"); err != nil {
			return err
		}
	}
	left, err := containers.ListStack(ctx, r.engine, d.stack)
	if err != nil || len(left) > 0 {
		return err
	}
	return d.networks(ctx)
}

// remove stops and removes containers side by side.
func (d *demolition) remove(ctx context.Context, wave []containers.Status, cause string) error {
	return each(ctx, wave, func(ctx context.Context, status containers.Status) error {
		if err := d.halt(ctx, status, cause); err != nil {
			return err
		}
		if err := d.engine.Destroy(ctx, status.Name); err != nil {
			return fmt.Errorf("removing %s: %w", status.Name, err)
		}
		return nil
	})
}

const (
	// width is how many containers the engine takes apart at a time. More are slower: it
	// has one lock for all networks (25 at once: 1.75 s, 8 at a time: 1.42 s).
	width = 8
	// patience is how long one keeps others from their turn: one that takes longer is
	// using its grace, in which the engine has nothing to do.
	patience = 300 * time.Millisecond
	// mostly bounds the connections to the engine.
	mostly = 128
)

// each does the same to all containers of a wave side by side.
func each(ctx context.Context, wave []containers.Status, do func(context.Context, containers.Status) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostly)
	places := make(chan struct{}, width)
	for _, status := range wave {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			ended := ctx.Err()
			return cmp.Or(group.Wait(), ended) // what has not been begun is not done
		}
		leave := sync.OnceFunc(func() { <-places })
		slow := time.AfterFunc(patience, leave)
		group.Go(func() error {
			defer leave()
			defer slow.Stop()
			return do(ctx, status)
		})
	}
	return group.Wait()
}

// halt stops a container, if it runs, by its own signal and grace, and records
// the intent before and the end after. The container stays.
func (d *demolition) halt(ctx context.Context, status containers.Status, cause string) error {
	e := events.Event{
		Kind: events.ServiceStopped, Step: stepOf(status), Stage: status.Labels[containers.LabelStage],
		App: status.Labels[containers.LabelApp], Service: containers.InstanceOf(status.Labels), Container: status.Name, Cause: cause,
		Exclusive: status.Labels[containers.LabelExclusive],
	}
	if status.Running() {
		intent := e
		intent.Kind, intent.Exclusive = events.StepStopping, ""
		if err := d.record.Emit(intent); err != nil {
			return err
		}
		grace, err := time.ParseDuration(status.Labels[containers.LabelGrace])
		if err != nil {
			grace = containers.DefaultGrace
		}
		if d.grace != nil {
			grace = *d.grace
		}
		e.Error = steps.PreStop(ctx, d.engine, status, d.killed)
		ended, err := steps.Stop(ctx, d.engine, status.Name, grace, d.killed)
		if err != nil && !errors.Is(err, containers.ErrNotFound) {
			return fmt.Errorf("stopping %s: %w", status.Name, err)
		}
		if ended.Ended() {
			e.ExitCode, e.OOM = &ended.ExitCode, ended.OOMKilled
		}
	}
	return d.record.Emit(e)
}

// stepOf is the step of a container. Without a stack's file nobody knows that of one
// that docker compose made: its service, which is the step where the stages
// follow from depends_on.
func stepOf(status containers.Status) string {
	return cmp.Or(status.Labels[containers.LabelStep], containers.InstanceOf(status.Labels))
}

// networks removes the stack's networks.
func (d *demolition) networks(ctx context.Context) error {
	networks, err := d.engine.ListNetworks(ctx, containers.OfStack(d.stack))
	if err != nil {
		return err
	}
	for _, name := range networks {
		if err := d.engine.RemoveNetwork(ctx, name); err != nil {
			return fmt.Errorf("network %s: %w", name, err)
		}
	}
	return nil
}

// waves groups containers by what may be stopped at one time: the stack
// file's levels, deepest first; without a file by docker compose's depends_on, or else
// stage by stage, the last made first. Containers of stages that the file does not know go first.
func waves(list []containers.Status, order *stages.Stack) [][]containers.Status {
	var level func(containers.Status) int64
	if order != nil {
		levels := depths(order)
		level = func(s containers.Status) int64 {
			name := s.Labels[containers.LabelStage]
			if stage := order.StageOf(containers.InstanceOf(s.Labels)); name == "" && stage != nil {
				name = stage.Name // docker compose made it
			}
			if depth, ok := levels[name]; ok {
				return depth
			}
			return 1 << 40
		}
	} else if depth := dependencies(list); depth != nil {
		level = func(s containers.Status) int64 { return depth[s.Labels[containers.LabelService]] }
	} else {
		newest := map[string]int64{}
		for _, s := range list {
			stage := s.Labels[containers.LabelStage]
			newest[stage] = max(newest[stage], s.Created.UnixNano())
		}
		level = func(s containers.Status) int64 { return newest[s.Labels[containers.LabelStage]] }
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b containers.Status) int { return cmp.Compare(level(b), level(a)) })
	var out [][]containers.Status
	for i, s := range sorted {
		if i == 0 || level(s) != level(sorted[i-1]) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

// dependencies is, for each service, the length of the longest chain of depends_on before
// it, as the labels of containers that docker compose made tell it. nil where stagehand made
// one: its labels name no helper, as helpers are gone, and so not what stands behind one.
func dependencies(list []containers.Status) map[string]int64 {
	needs := map[string][]string{}
	for _, s := range list {
		service := s.Labels[containers.LabelService]
		if !containers.MadeByCompose(s.Labels) {
			return nil
		}
		for need := range strings.SplitSeq(s.Labels[containers.LabelDependsOn], ",") {
			name, _, _ := strings.Cut(need, ":")
			needs[service] = append(needs[service], name)
		}
	}
	out := map[string]int64{}
	var visit func(service string) int64
	visit = func(service string) int64 {
		depth, known := out[service]
		if known {
			return depth
		}
		out[service] = 0 // a circle, which labels of several files may make, ends here
		for _, need := range needs[service] {
			if _, here := needs[need]; here {
				depth = max(depth, visit(need)+1)
			}
		}
		out[service] = depth
		return depth
	}
	for service := range needs {
		visit(service)
	}
	return out
}

// depths is, for each stage, the length of the longest chain of needs before it.
func depths(stack *stages.Stack) map[string]int64 {
	out := map[string]int64{}
	for _, s := range stack.Stages {
		var depth int64
		for _, need := range s.Needs {
			depth = max(depth, out[need]+1)
		}
		out[s.Name] = depth
	}
	return out
}
