package cli

import (
	"context"
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
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] [STEP or SERVICE...]",
		Short: "Prints what the stack's containers have printed",
		Long: `Prints what the stack's containers have printed: of the named steps, stages,
services or apps, or of all. Of a helper that was removed it prints the last
lines that were recorded. After logs, -f means --follow; a stack file is named
with --file, or before logs.`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.runLogs(cmd.Context(), o, args) },
	}
	cmd.Flags().BoolVar(&o.Follow, "follow", false, "go on until the containers have ended (also -f)")
	cmd.Flags().IntVar(&o.Tail, "tail", 0, "begin with the last `N` lines of each (default all)")
	cmd.Flags().BoolVar(&o.Timestamps, "timestamps", false, "put the time before each line")
	return cmd
}

func (in *invocation) runLogs(ctx context.Context, o follow.Options, names []string) (err error) {
	o.W, o.JSON = in.Stdout, in.flags.JSON
	stack, file, err := in.target(ctx)
	if err != nil {
		return err
	}
	w, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer w.close(&err)
	list, err := w.engine.List(ctx, ofStack(stack))
	if err != nil {
		return exit.OfEngine(err)
	}
	list = slices.DeleteFunc(list, func(s containers.Status) bool { return s.Labels[containers.LabelRole] == containers.RoleProbe })
	if len(names) == 0 {
		if len(list) == 0 {
			in.say("%s has no containers; name a step to see what was recorded of it", stack)
		}
		return exit.OfEngine(follow.Containers(ctx, w.engine, list, o))
	}
	history, err := past.Ends(ctx, w.ledger, stack)
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
	return exit.OfEngine(follow.Containers(ctx, w.engine, list, o))
}

// printRecord prints what is known of a step that has no container any more.
func (in *invocation) printRecord(e events.Event, o follow.Options) error {
	at, how := e.Time.Local().Format(time.DateTime), string(e.Outcome)
	if e.ExitCode != nil {
		how = containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	}
	switch {
	case e.Container == "":
		in.say("%s has no container; it ended at %s (%s), see %s", e.Step, at, how, in.flags.Command(e.Stack, "events", "--run", e.Run))
	case len(e.Logs) > 0:
		in.say("%s ended at %s (%s) and its container is gone; its last recorded lines:", e.Step, at, how)
	case e.ExitCode == nil:
		in.say("the container of %s is gone, and with it what it printed", e.Step)
	default:
		in.say("%s ended at %s (%s) and its container is gone; no line of it is recorded", e.Step, at, how)
	}
	lines := e.Logs
	if o.Tail > 0 && o.Tail < len(lines) {
		lines = lines[len(lines)-o.Tail:]
	}
	return follow.Recorded(e.Step, e.Container, lines, o)
}

func onlyServices(list []containers.Status) []containers.Status {
	return slices.DeleteFunc(slices.Clone(list), func(s containers.Status) bool {
		return s.Labels[containers.LabelRole] != containers.RoleService
	})
}
