package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/past"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
)

func (in *invocation) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Says where each step of the latest run stands",
		Long: `Says where each step of the latest run stands: what a wait saw last, how a step
ended, the container's state now, and who is at work on the stack. It can be asked while a run goes on.`,
		Example: `  stagehand status
  stagehand status -p demo --json`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runStatus(cmd.Context()) },
	}
}

func (in *invocation) runStatus(ctx context.Context) error {
	name, stack, err := in.Target(ctx)
	if err != nil {
		return err
	}
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	run, down, err := past.LatestUp(ctx, l, name)
	if err != nil {
		return err
	}
	list, holder, unobserved := in.observe(ctx, name)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	report := views.Status(name, run, steps(stack), list)
	report.TakenDown, report.Lease = down, holder
	if unobserved != nil {
		report.Unobserve(unobserved)
	}
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, report)
	}
	_, err = io.WriteString(in.Stdout, report.Table(time.Now()))
	return err
}

// observe lists the stack's containers and looks who is at work on it. Status
// has something to say without them, too.
func (in *invocation) observe(ctx context.Context, name string) ([]containers.Status, *containers.Holder, error) {
	engine, err := in.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := containers.ListStack(ctx, in.discreet(engine), name)
	holder, lookErr := leaseHolder(ctx, engine, name)
	return list, holder, errors.Join(err, lookErr, engine.Close())
}
