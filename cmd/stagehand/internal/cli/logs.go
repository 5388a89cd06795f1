package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/follow"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/past"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
)

func (in *invocation) logs() *cobra.Command {
	var o follow.Options
	var run string
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] [STEP or SERVICE...]",
		Short: "Prints what the stack's containers have printed",
		Long: `Prints what the stack's containers have printed: of the named steps, stages,
services or apps, or of all. Of a helper that was removed it prints the last
lines that were recorded: 20 of one that was done, up to 1000 of one that
failed. With --run it prints what is known of an earlier run. After logs, -f
means --follow; a stack file is named with --file, or before logs.`,
		Example: `  stagehand logs
  stagehand logs --follow api
  stagehand logs setup/hivemind --tail 20
  stagehand logs --run 20260101-101010-abcdef setup`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if run != "" {
				return in.runLogsOf(cmd.Context(), run, o, args)
			}
			return in.runLogs(cmd.Context(), o, args)
		},
	}
	cmd.Flags().BoolVar(&o.Follow, "follow", false, "go on until the containers have ended (also -f)")
	cmd.Flags().IntVar(&o.Tail, "tail", 0, "begin with the last `N` lines of each (default all)")
	cmd.Flags().BoolVar(&o.Timestamps, "timestamps", false, "put the time before each line")
	cmd.Flags().StringVar(&run, "run", "", "print what is known of the run with this `ID`; no stack file is needed")
	return cmd
}

func (in *invocation) runLogs(ctx context.Context, o follow.Options, names []string) error {
	o.W, o.JSON = in.Stdout, in.flags.JSON
	stack, file, err := in.Target(ctx)
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	list, err := containers.ListStack(ctx, w.Engine, stack)
	if err != nil {
		return exit.OfEngine(err)
	}
	if err := in.learnOf(ctx, w.Ledger, stack, list); err != nil {
		return err
	}
	if len(names) == 0 {
		if len(list) == 0 {
			in.say("%s has no containers; name a step to see what was recorded of it", stack)
		}
		return exit.OfEngine(follow.Containers(ctx, in.discreet(w.Engine), list, o))
	}
	history, err := past.Ends(ctx, w.Ledger, stack)
	if err != nil {
		return err
	}
	list, ended, err := follow.Choose(stack, names, list, history, steps(file))
	if err != nil {
		return err
	}
	for _, e := range ended {
		if err := in.printRecord(e, o); err != nil {
			return err
		}
	}
	return exit.OfEngine(follow.Containers(ctx, in.discreet(w.Engine), list, o))
}

// runLogsOf prints what the containers of one run have printed: those that stand still,
// as long as the engine has their logs, and of the others what is recorded.
func (in *invocation) runLogsOf(ctx context.Context, id string, o follow.Options, names []string) error {
	o.W, o.JSON = in.Stdout, in.flags.JSON
	if o.Follow {
		return exit.Misuse("--run and --follow exclude each other: stagehand logs --follow follows what runs")
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	run, all, err := in.history(ctx, w.Ledger, id)
	if err != nil {
		return err
	}
	list, err := containers.ListRun(ctx, w.Engine, run.Stack, run.ID)
	if err != nil {
		in.say("only what is recorded, since the engine does not say what stands: %v", err)
	}
	in.learn(w.Key, all)
	var ends []events.Event
	for _, e := range all {
		ended := e.Kind == events.StepRetrying || e.Kind == events.StepEnded
		if ended && (e.ExitCode != nil || len(e.Logs) > 0 || e.Outcome == events.Failed || e.Outcome == events.TimedOut) {
			ends = append(ends, e)
		}
	}
	if len(names) > 0 {
		chosen, ended, err := follow.Choose(run.Stack, names, list, ends, nil)
		if err != nil {
			return err
		}
		list = chosen
		ends = slices.DeleteFunc(ends, func(e events.Event) bool {
			return !slices.ContainsFunc(ended, func(c events.Event) bool { return c.Step == e.Step })
		})
	}
	stands := func(e events.Event) bool {
		return e.Kind == events.StepEnded && slices.ContainsFunc(list, func(s containers.Status) bool { return s.Name == e.Container })
	}
	ends = slices.DeleteFunc(ends, stands)
	if len(ends)+len(list) == 0 {
		in.say("nothing that a container printed is known of run %s", run.ID)
	}
	for _, e := range ends {
		if err := in.printRecord(e, o); err != nil {
			return err
		}
	}
	return exit.OfEngine(follow.Containers(ctx, in.discreet(w.Engine), list, o))
}

// printRecord prints what is known of a step that has no container any more.
func (in *invocation) printRecord(e events.Event, o follow.Options) error {
	at, how, step := e.Time.Local().Format(time.DateTime), string(e.Outcome), e.Step
	if e.Kind == events.StepRetrying {
		step = fmt.Sprintf("attempt %d of %s", max(e.Attempt, 1), e.Step)
	}
	if e.ExitCode != nil {
		how = containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	}
	switch {
	case e.Container == "":
		in.say("%s has no container; it ended at %s (%s), see %s", step, at, how, in.flags.Command(e.Stack, "events", "--run", e.Run))
	case len(e.Logs) > 0:
		in.say("%s ended at %s (%s) and its container is gone; its last recorded lines:", step, at, how)
	case e.ExitCode == nil:
		in.say("the container of %s is gone, and with it what it printed", step)
	default:
		in.say("%s ended at %s (%s) and its container is gone; no line of it is recorded", step, at, how)
	}
	lines := e.Logs
	if o.Tail > 0 && o.Tail < len(lines) {
		lines = lines[len(lines)-o.Tail:]
	}
	return follow.Recorded(e.Step, e.Container, lines, o)
}

func onlyServices(list []containers.Status) []containers.Status {
	return slices.DeleteFunc(slices.Clone(list), func(s containers.Status) bool {
		return containers.RoleOf(s.Labels) != containers.RoleService
	})
}
