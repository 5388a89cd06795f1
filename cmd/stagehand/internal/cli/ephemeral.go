package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/ephemeral"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/reaper"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

// lifetime is what an ephemeral run does between its beginning and the end of
// all that it has made. w's engine shows nothing but that.
type lifetime func(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported) error

// runEphemeral is live, and a down that comes in any case: from here in order,
// from the watching process when this one is killed.
func (in *invocation) runEphemeral(ctx context.Context, live lifetime) (err error) {
	in.passing = true
	run := runID()
	stack, base, err := in.loadEphemeral(ctx, run)
	if err != nil {
		return err
	}
	w, err := in.ToolsFor(ctx, stack)
	if err != nil {
		return err
	}
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return exit.OfEngine(err)
	}
	// Before anything is made, the lease too.
	guard, err := in.watch(ctx, reaper.Request{
		Run: run, Stack: stack.Name, Endpoint: in.Endpoint(), EngineID: info.ID, Ledger: in.LedgerAddress(w.Ledger),
	})
	if err != nil {
		return exit.OfEngine(err)
	}
	over := guard.Done
	defer func() { over() }()
	holder := in.holder()
	holder.Run = run
	release, err := ephemeral.Hold(ctx, w.Engine, stack.Name, holder)
	if err != nil {
		return exit.OfEngine(err)
	}
	defer func() { err = errors.Join(err, exit.OfEngine(release(context.WithoutCancel(ctx)))) }()
	if err := ephemeral.RefuseStanding(ctx, w.Engine, stack.Name, in.flags.Command(stack.Name, "down", "--volumes")); err != nil {
		return exit.OfEngine(err)
	}
	own := &workshop.Tools{Engine: reaper.Own(w.Engine, run), Ledger: w.Ledger, Key: w.Key}
	err = in.guarded(ctx, guard, stack.Name, func() error { return live(ctx, own, stack, reported{run, base}) })
	if broken := in.takeDown(ctx, own, stack); broken != nil {
		over = guard.Abandon
		in.say("what is left of %s is removed by the process that watches over this one", stack.Name)
		return errors.Join(err, broken)
	}
	return err
}

// guarded calls f, and says so if nobody watches over this process any more.
func (in *invocation) guarded(ctx context.Context, guard *reaper.Guard, stack string, f func() error) error {
	over := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		select {
		case <-guard.Lost():
			in.say("the process that watches over this one has ended: if this one is killed too, %s removes what stays", in.flags.Command(stack, "gc"))
		case <-over:
		}
		return nil
	})
	err := f()
	close(over)
	_ = group.Wait() // gives no error
	return err
}

// loadEphemeral reads the stack under the name that it has in the run only;
// base is its name otherwise.
func (in *invocation) loadEphemeral(ctx context.Context, run string) (stack *stages.Stack, base string, err error) {
	o, err := in.Source()
	if err != nil {
		return nil, "", err
	}
	// Where the files cannot be read at all, loading them says why.
	if source := compose.Open(o, &problems.List{}); source != nil {
		base = source.Name
		if o.Name == "" {
			o.Name = ephemeral.Name(base, run)
			in.flags.Name = o.Name // what is told to be typed is to find it
		}
	}
	stack, err = in.LoadFrom(ctx, o)
	return stack, base, err
}

// stay is the run and, where it came to that, the time of its services.
func (in *invocation) stay(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported, o upOptions) error {
	began := time.Now()
	result, err := in.carryOut(ctx, w, stack, runner.Options{Run: r.run, Ledger: ephemeral.Records{Ledger: w.Ledger}})
	if err := in.report(ctx, w, stack, r, o.reports, ending(result, err)); err != nil {
		return err
	}
	if o.attach {
		return in.attach(ctx, w, stack.Name, began, "removes them")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.signals.On(func(int) { cancel() })
	list, err := containers.ListStack(ctx, w.Engine, stack.Name)
	if err != nil && ctx.Err() == nil {
		return exit.OfEngine(err)
	}
	list = onlyServices(list)
	if len(list) == 0 || in.asked.Load() {
		return nil
	}
	in.say("%s is up; Ctrl-C removes it, volumes too", stack.Name)
	return exit.OfEngine(ephemeral.Stay(ctx, w.Engine, list, in.say))
}

// takeDown removes all that the run has made and forgets what it did.
func (in *invocation) takeDown(ctx context.Context, w *workshop.Tools, stack *stages.Stack) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	kill := make(chan struct{})
	in.signals.On(func(count int) {
		switch count {
		case 1:
			in.say("killing what is being stopped")
			close(kill)
		case 2:
			cancel(exit.ErrInterrupted)
		}
	})
	view, err := in.downView(ctx, w, stack.Name, stack, true)
	if err != nil {
		return exit.OfEngine(err)
	}
	observers, gone := in.observers(ctx)
	defer gone()
	fan := &views.Fan{Keep: w.Ledger, Show: append(in.folded(view), observers...)}
	err = runner.Down(ctx, runner.DownOptions{
		Stack: stack.Name, Engine: w.Engine, Sink: fan, Ledger: ephemeral.Records{Ledger: w.Ledger}, Run: runID(), Volumes: true, Order: stack, Kill: kill,
	})
	if errors.Is(context.Cause(ctx), exit.ErrInterrupted) {
		return exit.ErrInterrupted
	}
	return exit.OfEngine(err)
}

// watch starts the watching process: this program again, with the hidden
// command reap.
func (in *invocation) watch(ctx context.Context, r reaper.Request) (*reaper.Guard, error) {
	if in.Watch != nil {
		return in.Watch(ctx, r)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return reaper.Start(ctx, r, program, "reap")
}
