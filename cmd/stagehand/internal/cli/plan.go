package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views"
	sequence "github.com/stagehand-dev/stagehand/views/mermaid"
)

func (in *invocation) plan() *cobra.Command {
	var mermaid bool
	var again again
	var part part
	cmd := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Says what up would do, and why, and does nothing",
		Example: `  stagehand plan
  stagehand plan --rerun setup/hivemind  # what that would do again
  stagehand plan api                     # that service, and what stands before it
  stagehand plan --mermaid`,
		RunE: func(cmd *cobra.Command, args []string) error {
			part.Words = args
			return in.runPlan(cmd.Context(), mermaid, again, part)
		},
	}
	in.flags.Scale.Bind(cmd.Flags())
	again.bind(cmd.Flags())
	part.bind(cmd.Flags())
	cmd.Flags().BoolVar(&mermaid, "mermaid", false, "as a Mermaid sequence diagram")
	return cmd
}

func (in *invocation) runPlan(ctx context.Context, mermaid bool, again again, part part) error {
	if mermaid && in.flags.JSON {
		return exit.Misuse("--mermaid and --json exclude each other")
	}
	stack, err := in.LoadFor(ctx, part.Words)
	if err != nil {
		return err
	}
	wish, err := in.wished(stack, again, part)
	if err != nil {
		return err
	}
	w, err := in.ToolsFor(ctx, stack)
	if err != nil {
		return err
	}
	p, err := runner.Plan(ctx, stack, w.Engine, w.Ledger, w.Key, wish)
	if err != nil {
		return exit.OfEngine(err)
	}
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, p)
	}
	text := p.Text(terminal.Width(in.Stdout))
	if mermaid {
		text = sequence.Draw(p)
	}
	_, err = io.WriteString(in.Stdout, text)
	return err
}
