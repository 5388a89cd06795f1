package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/follow"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
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
	stack, _, err := in.target(ctx)
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
	if len(names) > 0 {
		if list, err = in.choose(ctx, w.ledger, stack, list, names); err != nil {
			return err
		}
	} else if len(list) == 0 {
		in.say("%s has no containers; name a step to see what was recorded of it", stack)
	}
	return exit.OfEngine(follow.Containers(ctx, w.engine, list, o))
}

// choose returns the containers that names stand for, and prints the record of
// those steps that have none any more.
func (in *invocation) choose(ctx context.Context, l *ledger.Ledger, stack string, list []containers.Status, names []string) ([]containers.Status, error) {
	var chosen []containers.Status
	for _, name := range names {
		found := false
		for _, s := range list {
			if slices.Contains(identities(s), name) {
				found = true
				if !slices.ContainsFunc(chosen, func(c containers.Status) bool { return c.Name == s.Name }) {
					chosen = append(chosen, s)
				}
			}
		}
		if found {
			continue
		}
		ended, known, err := recorded(ctx, l, stack, name)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			known = append(known, identities(s)...)
		}
		if len(ended) == 0 {
			return nil, exit.Misuse("%s has no step, service or app %q: %s", stack, name, problems.OneOf(name, unique(known)))
		}
		for _, e := range ended {
			if err := in.printRecord(e); err != nil {
				return nil, err
			}
		}
	}
	return chosen, nil
}

// identities are the names that a container goes by.
func identities(s containers.Status) []string {
	return unique([]string{
		s.Labels[containers.LabelStep], s.Labels[containers.LabelStage], s.Labels[containers.LabelService], s.Labels[containers.LabelApp], s.Name,
	})
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// recorded finds how the steps that name stands for ended last, and the
// names of all steps that are known.
func recorded(ctx context.Context, l *ledger.Ledger, stack, name string) (ended []events.Event, known []string, err error) {
	runs, err := l.Runs(ctx, stack)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for _, run := range runs {
		all, err := l.Events(ctx, run.ID, 0)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range slices.Backward(all) {
			if e.Kind != events.StepEnded || e.Outcome == events.Skipped && e.ExitCode == nil || seen[e.Step] {
				continue
			}
			seen[e.Step] = true
			known = append(known, e.Step)
			if slices.Contains([]string{e.Step, e.Stage, e.Service, e.App, e.Container}, name) {
				ended = append(ended, e)
			}
		}
	}
	slices.Reverse(ended)
	return ended, known, nil
}

func (in *invocation) printRecord(e events.Event) error {
	how := string(e.Outcome)
	if e.ExitCode != nil {
		how = containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	}
	in.say("%s ended at %s (%s) and its container is gone; its last recorded lines:", e.Step, e.Time.Local().Format(time.DateTime), how)
	if len(e.Logs) == 0 {
		in.say("none: of steps that succeed no lines are kept; keep: always in the stack file keeps the container")
	}
	return follow.Recorded(e.Step, e.Container, e.Logs, follow.Options{W: in.Stdout, JSON: in.flags.JSON})
}

func onlyServices(list []containers.Status) []containers.Status {
	return slices.DeleteFunc(slices.Clone(list), func(s containers.Status) bool {
		return s.Labels[containers.LabelRole] != containers.RoleService
	})
}
