package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

func (in *invocation) diff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [OPTIONS] [RUN RUN]",
		Short: "Says what changed from one run to another: slower, faster, failed, new, gone",
		Long: `Says what changed from the first run to the second, step by step, from their
events in the ledger: what failed first, then what made the greatest difference in
time. Without IDs it compares the latest two that brought the stack up. stagehand runs
lists the runs.`,
		Example: `  stagehand diff  # the latest two runs of up
  stagehand diff 20260101-101010-abcdef 20260102-101010-abcdef`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return exit.Misuse("stagehand diff takes the IDs of two runs or none, got %d: stagehand runs lists them", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return in.runDiff(cmd.Context(), args) },
	}
}

func (in *invocation) runDiff(ctx context.Context, ids []string) error {
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		if ids, err = in.latestTwo(ctx, l); err != nil {
			return err
		}
	}
	first, err := in.timeline(ctx, l, ids[0])
	if err != nil {
		return err
	}
	second, err := in.timeline(ctx, l, ids[1])
	if err != nil {
		return err
	}
	c := timeline.Compare(first, second)
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, c)
	}
	_, err = c.WriteTo(in.Stdout)
	return err
}

// latestTwo are the IDs of the stack's latest two runs that brought it up, the older first: of others
// hardly a step is to be compared.
func (in *invocation) latestTwo(ctx context.Context, l *ledger.Ledger) ([]string, error) {
	name, _, err := in.Target(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := l.Runs(ctx, name)
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(r ledger.Run) bool { return r.Verb != "up" && r.Verb != "" })
	if len(runs) < 2 {
		return nil, exit.Misuse("the ledger %s has fewer than two runs that brought up %s: begin one with %s", l.Path(), name, in.flags.Command(name, "up"))
	}
	return []string{runs[1].ID, runs[0].ID}, nil
}

// timeline reads the run with this ID.
func (in *invocation) timeline(ctx context.Context, l *ledger.Ledger, id string) (*timeline.Run, error) {
	_, all, err := in.history(ctx, l, id)
	if err != nil {
		return nil, err
	}
	return timeline.Of(all), nil
}
