package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/views"
	sequence "github.com/stagehand-dev/stagehand/views/mermaid"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

func (in *invocation) diagram() *cobra.Command {
	var run string
	cmd := &cobra.Command{
		Use:   "diagram [OPTIONS]",
		Short: "Draws what happened in a run, as a Mermaid sequence diagram",
		Long: `Draws what happened in a run, from its events in the ledger, as a Mermaid
sequence diagram: containers appear and go, with the time since the run's start.
With --json it writes when each step began and how it ended.
stagehand plan --mermaid draws what is going to happen.`,
		Example: `  stagehand diagram > run.mmd
  stagehand diagram --run 20260101-101010-abcdef`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runDiagram(cmd.Context(), run) },
	}
	cmd.Flags().StringVar(&run, "run", "", "the run's `ID` (default the stack's latest)")
	return cmd
}

func (in *invocation) runDiagram(ctx context.Context, id string) error {
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	_, all, err := in.history(ctx, l, id)
	if err != nil {
		return err
	}
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, timeline.Of(all))
	}
	_, err = io.WriteString(in.Stdout, sequence.DrawRun(all))
	return err
}
