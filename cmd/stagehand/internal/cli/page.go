package cli

import (
	"bytes"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/standing"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/views/report"
)

type pageOptions struct {
	run, output string
}

// reportPage is the command report.
func (in *invocation) reportPage() *cobra.Command {
	var o pageOptions
	cmd := &cobra.Command{
		Use:   "report [OPTIONS]",
		Short: "Writes what happened in a run as one HTML page",
		Long: `Writes what happened in a run as one HTML page that needs no network: what
failed, the critical path and the stages' shares of it, a timeline of all steps
with what they have printed, and a sequence diagram. It is made of the run's
events in the ledger and of the logs of those of its containers that still
stand; an engine that does not answer is left out.`,
		Example: `  stagehand report -o report.html
  stagehand report --run 20260102-030405-abcdef -o report.html`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runReportPage(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.run, "run", "", "the run's `ID` (default the stack's latest)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to `FILE` (default standard output)")
	return cmd
}

func (in *invocation) runReportPage(ctx context.Context, o pageOptions) error {
	if in.flags.JSON {
		return exit.Misuse("report writes HTML: leave --json out (stagehand diagram --json and events --json have the same as data)")
	}
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	run, err := in.findRun(ctx, l, eventsOptions{run: o.run})
	if err != nil {
		return err
	}
	r, err := in.reportOf(ctx, l, run, in.unseen)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := report.Write(&page, r); err != nil {
		return err
	}
	return in.write(o.output, "report", page.Bytes())
}

// unseen tells that the engine could not be asked.
func (in *invocation) unseen(err error) {
	in.say("only what is recorded, since the engine does not say what stands: %v", err)
}

// reportOf reads what there is to know of a run; unseen is told why the engine's part is not.
func (in *invocation) reportOf(ctx context.Context, l *ledger.Ledger, run ledger.Run, unseen func(error)) (report.Report, error) {
	r := report.Report{Command: func(words ...string) string { return in.flags.Command(run.Stack, words...) }}
	all, err := l.Events(ctx, run.ID, 0)
	if err != nil {
		return r, err
	}
	r.Run = all
	in.learn(in.Key(l), all)
	if err = in.standing(ctx, run, &r); err != nil {
		if ctx.Err() != nil {
			return r, err
		}
		unseen(err)
	}
	return r, nil
}

// standing puts into the report what the containers of its run that still stand have printed last, by
// their names, and whether the run is at work.
func (in *invocation) standing(ctx context.Context, run ledger.Run, r *report.Report) (err error) {
	engine, err := in.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	atWork, err := standing.AtWork(ctx, engine, run.Stack)
	if err != nil {
		return err
	}
	r.Goes = atWork == run.ID
	r.Standing, err = standing.Printed(ctx, in.discreet(engine), run.Stack, run.ID)
	return err
}
