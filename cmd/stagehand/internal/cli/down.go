package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views"
)

func (in *invocation) down() *cobra.Command {
	var volumes bool
	cmd := &cobra.Command{
		Use:   "down [OPTIONS]",
		Short: "Stops and removes what the stack has made",
		Long: `Stops the stack's containers, what was started last first, each by its own
signal and grace, and removes them and the stack's networks. Volumes stay
unless --volumes is given. With -p NAME no stack file is needed.`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runDown(cmd.Context(), volumes) },
	}
	cmd.Flags().BoolVar(&volumes, "volumes", false, "remove the stack's volumes too, and forget what was done")
	return cmd
}

func (in *invocation) runDown(ctx context.Context, volumes bool) (err error) {
	name, stack, err := in.target(ctx)
	if err != nil {
		return err
	}
	w, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer w.close(&err)
	lines := &views.Lines{W: in.Stdout}
	for _, s := range steps(stack) {
		lines.Steps = append(lines.Steps, s.ID)
	}
	var view events.Sink = lines
	if in.flags.JSON {
		view = views.JSON{W: in.Stdout}
	}
	fan := &views.Fan{Keep: w.ledger, Show: []events.Sink{view}}
	err = runner.Down(ctx, runner.DownOptions{
		Stack: name, Engine: w.engine, Sink: fan, Ledger: w.ledger, Run: runID(), Volumes: volumes, Order: stack,
	})
	if ctx.Err() != nil {
		in.say("what is not removed yet stays as it is; stagehand -p %s down goes on", name)
	}
	return exit.OfEngine(err)
}
