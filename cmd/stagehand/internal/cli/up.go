package cli

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/follow"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/reports"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/live"
)

type upOptions struct {
	attach    bool
	ephemeral bool
	keep      bool
	build     bool
	onFailure string
	again     again
	part      part
	lock      lockTimeout
	reports   reports.Flags
}

func (in *invocation) up() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [OPTIONS] [SERVICE...]",
		Short: "Takes the stack to where its file wants it",
		Long: `Takes the stack to where its file wants it and returns when every stage is
done; the services stay. What is done and unchanged is not done again, what
runs is taken over. One run at a time works on a stack: another one waits, and
is done when the stack is up.

With names, of services, steps, stages or apps, it does what these are and what
stands before them, and leaves all else as it is.

Ctrl-C stops the helpers in order, each within its grace; a second Ctrl-C kills
them. Services stay as they are.

With --ephemeral nothing stays: the stack gets a name of its own (the file's and
the run's last six digits, unless -p names it), does everything from the
beginning, and stays in the foreground until Ctrl-C or until its services have ended.
Then, and also when a step failed or this process is killed, all that
the run has made is removed, volumes too.`,
		Example: `  stagehand up
  stagehand up -f compose.yaml --attach
  stagehand up api                   # and what stands before it
  stagehand up --ephemeral           # until Ctrl-C
  stagehand up --ephemeral --attach  # with the services' logs`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.part.Words = args
			return in.runUp(cmd.Context(), o)
		},
	}
	accepted(cmd.Flags(), "detach", "d", "up returns when the stack serves: always so")
	accepted(cmd.Flags(), "wait", "", "for what starts to be ready: always so")
	cmd.Flags().BoolVar(&o.attach, "attach", false, "then follow the services' logs until Ctrl-C")
	cmd.Flags().BoolVar(&o.ephemeral, "ephemeral", false, "leave nothing behind, however this ends; stays in the foreground until Ctrl-C")
	cmd.Flags().BoolVar(&o.keep, "keep-helpers", false, "leave the helpers of this run there when they have ended, until the next up without this flag, or down")
	cmd.Flags().BoolVar(&o.build, "build", false, "build the images of services with build: first, also those that are there")
	in.flags.Scale.Bind(cmd.Flags())
	o.again.bind(cmd.Flags())
	o.part.bind(cmd.Flags())
	o.lock.bind(cmd.Flags())
	o.reports.Bind(cmd.Flags())
	in.bindLook(cmd.Flags())
	cmd.Flags().StringVar(&o.onFailure, "on-failure", "", "`keep|down` the services of a run that failed; down removes what this run made (default as the stack file says)")
	return cmd
}

func (in *invocation) runUp(ctx context.Context, o upOptions) (err error) {
	policy := stages.StackFailure(o.onFailure)
	if policy != "" && policy != stages.KeepUp && policy != stages.TakeDown {
		return exit.Misuse("--on-failure %s: expected keep or down", o.onFailure)
	}
	if in.quiet && in.flags.JSON {
		return exit.Misuse("--quiet and --json exclude each other")
	}
	if o.attach && in.flags.JSON {
		return exit.Misuse("--attach and --json exclude each other: follow with stagehand logs --follow --json")
	}
	lock, err := in.lock(o.lock)
	if err != nil {
		return err
	}
	if err := o.reports.Prepare(in.Within); err != nil {
		return err
	}
	if o.ephemeral {
		if policy == stages.KeepUp {
			return exit.Misuse("--ephemeral and --on-failure keep exclude each other")
		}
		if len(o.again.Rerun)+len(o.again.From) > 0 {
			return exit.Misuse("--ephemeral does everything from the beginning: leave --rerun and --from out")
		}
		if len(o.part.Words) > 0 || o.part.Alone {
			return exit.Misuse("--ephemeral brings the whole stack up: leave %s out", cmp.Or(strings.Join(o.part.Words, " "), "--no-deps"))
		}
		if o.keep {
			return exit.Misuse("--ephemeral and --keep-helpers exclude each other")
		}
		if o.build {
			return exit.Misuse("--ephemeral and --build exclude each other, as the images would stay: stagehand build comes first")
		}
		return in.runEphemeral(ctx, func(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported) error {
			return in.stay(ctx, w, stack, r, o)
		})
	}
	stack, err := in.LoadFor(ctx, o.part.Words)
	if err != nil {
		return err
	}
	if o.keep {
		stack.KeepHelpers()
	}
	wish, err := in.wished(stack, o.again, o.part)
	if err != nil {
		return err
	}
	w, err := in.ToolsFor(ctx, stack)
	if err != nil {
		return err
	}
	keep, err := in.retained()
	if err != nil {
		return err
	}
	defer func() { in.prune(ctx, w.Ledger, stack.Name, keep, err) }()
	if o.build {
		if err := runner.CheckApps(ctx, stack, w.Engine, w.Ledger); err != nil {
			return exit.OfEngine(err)
		}
		if err := in.buildFirst(ctx, w.Engine, stack); err != nil {
			return err
		}
	}
	began := time.Now()
	run := runID()
	result, err := in.carryOut(ctx, w, stack, runner.Options{Run: run, Ledger: w.Ledger, OnFailure: policy, Wish: wish, Lock: lock})
	in.sayOrphans(result.Plan)
	if err := in.report(ctx, w, stack, reported{run, stack.Name}, o.reports, ending(result, err)); err != nil || !o.attach {
		return err
	}
	return in.attach(ctx, w, stack.Name, began, "leaves them running")
}

// sayOrphans says what the run has left alone.
func (in *invocation) sayOrphans(p *plan.Plan) {
	if p != nil && len(p.Orphans) > 0 && !in.quiet && !in.told("COMPOSE_IGNORE_ORPHANS") {
		in.say("the file names no service of %s: up --remove-orphans removes what it does not name", strings.Join(p.Orphans, ", "))
	}
}

// ending is the error whose exit code says how a run ended that gave result and err.
func ending(result runner.Result, err error) error {
	if err != nil {
		return exit.OfEngine(err)
	}
	return upshot(result)
}

// upshot is the error whose exit code says how a run ended; it has been told.
func upshot(result runner.Result) error {
	switch {
	case result.Verdict == events.VerdictInterrupted:
		return &exit.Error{Code: exit.Interrupted}
	case result.Conflict():
		return &exit.Error{Code: exit.Conflict}
	case result.TimedOut():
		return &exit.Error{Code: exit.TimedOut}
	case result.Verdict != events.VerdictDone:
		return &exit.Error{Code: exit.Failed}
	}
	return nil
}

// carryOut runs the stack with a view beside it.
func (in *invocation) carryOut(ctx context.Context, w *workshop.Tools, stack *stages.Stack, o runner.Options) (runner.Result, error) {
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return runner.Result{}, err
	}
	interrupt, kill := in.stopping()
	steps, err := stepsOf(stack, o.Wish.Part)
	if err != nil {
		return runner.Result{}, err
	}
	run := live.NewRun(steps)
	run.Hint = "Ctrl-C stops the helpers in order; services stay"
	switch {
	case in.passing:
		run.Hint = "Ctrl-C stops and removes all of it"
	case cmp.Or(o.OnFailure, stack.OnFailure) == stages.TakeDown:
		run.Hint = "Ctrl-C stops the helpers in order, and takes down what this run has made"
	}
	return in.shown(ctx, info, in.lines(stack.Name, stack), run, &ledger.News{To: w.Ledger}, func(sink events.Sink) (runner.Result, error) {
		// The run ends by interrupt, not with ctx: what it stops it also records.
		o.Engine, o.Sink, o.Interrupt, o.Kill, o.Key = w.Engine, sink, interrupt, kill, w.Key
		return runner.Up(context.WithoutCancel(ctx), stack, o)
	})
}

// stopping makes Ctrl-C close the first channel, which stops a run in order, and the
// next one the second.
func (in *invocation) stopping() (interrupt, kill <-chan struct{}) {
	first, second := make(chan struct{}), make(chan struct{})
	in.signals.On(func(count int) {
		switch count {
		case 1:
			in.asked.Store(true)
			in.say("stopping the helpers in order; once more kills them")
			close(first)
		case 2:
			in.say("killing the helpers")
			close(second)
		}
	})
	return first, second
}

// attach follows the services' logs until the user has seen enough; leaving
// says what that does to them.
func (in *invocation) attach(ctx context.Context, w *workshop.Tools, stack string, since time.Time, leaving string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.signals.On(func(int) { cancel() })
	if in.asked.Load() { // while the run was ending
		return nil
	}
	list, err := containers.ListStack(ctx, w.Engine, stack)
	if err != nil {
		return exit.OfEngine(err)
	}
	in.say("following the services' logs; Ctrl-C %s", leaving)
	err = follow.Containers(ctx, in.discreet(w.Engine), onlyServices(list), follow.Options{W: in.Stdout, Follow: true, Since: since})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return exit.OfEngine(err)
}
