package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/sleep"
	"github.com/stagehand-dev/stagehand/views"
)

type eventsOptions struct {
	follow bool
	run    string
}

func (in *invocation) events() *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use:   "events [OPTIONS]",
		Short: "Prints the events of a run from the ledger",
		Example: `  stagehand events
  stagehand events --follow --json
  stagehand events --run 20260101-101010-abcdef`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runEvents(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.follow, "follow", false, "go on until the run has ended; wait for one if there is none")
	cmd.Flags().StringVar(&o.run, "run", "", "the run's `ID` (default the stack's latest)")
	return cmd
}

// lookEvery is how often the ledger is looked at for new events: a query of
// well under a millisecond.
const lookEvery = 100 * time.Millisecond

func (in *invocation) runEvents(ctx context.Context, o eventsOptions) error {
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	run, err := in.findRun(ctx, l, o)
	if err != nil {
		return err
	}
	lines := in.lines(run.Stack, nil)
	var view events.Sink = lines
	if in.flags.JSON {
		view = views.JSON{W: in.Stdout}
	}
	for after := int64(0); ; {
		fresh, err := l.Events(ctx, run.ID, after)
		if err != nil {
			return err
		}
		for _, e := range fresh {
			if after == 0 { // later ones may widen the columns
				lines.Steps = append(lines.Steps, e.Step)
			}
		}
		for _, e := range fresh {
			if err := view.Emit(ctx, e); err != nil {
				return err
			}
			after = e.Seq
		}
		// What follows a verdict is clean-up, which ends with the process: it is not waited for.
		if !o.follow || len(fresh) > 0 && fresh[len(fresh)-1].Kind == events.RunEnded {
			return nil
		}
		if err := sleep.For(ctx, lookEvery); err != nil {
			return err
		}
	}
}

func (in *invocation) findRun(ctx context.Context, l *ledger.Ledger, o eventsOptions) (ledger.Run, error) {
	if o.run != "" {
		run, ok, err := l.Find(ctx, o.run)
		if err == nil && !ok {
			err = exit.Misuse("no run %s in the ledger %s: see %s for the latest run's ID", o.run, l.Path(), in.flags.Command("", "status"))
		}
		return run, err
	}
	name, _, err := in.Target(ctx)
	if err != nil {
		return ledger.Run{}, err
	}
	for {
		run, ok, err := l.Last(ctx, name)
		if err != nil || ok {
			return run, err
		}
		if !o.follow {
			return ledger.Run{}, exit.Misuse("no run of %s in the ledger %s: begin one with %s", name, l.Path(), in.flags.Command(name, "up"))
		}
		if err := sleep.For(ctx, lookEvery); err != nil {
			return ledger.Run{}, err
		}
	}
}

// history is the run of this ID, or the stack's latest where it is "", and its events.
func (in *invocation) history(ctx context.Context, l *ledger.Ledger, id string) (ledger.Run, []events.Event, error) {
	run, err := in.findRun(ctx, l, eventsOptions{run: id})
	if err != nil {
		return run, nil, err
	}
	all, err := l.Events(ctx, run.ID, 0)
	return run, all, err
}
