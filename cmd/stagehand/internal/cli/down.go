package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
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
		Args: noArguments,
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
	info, err := w.engine.Info(ctx)
	if err != nil {
		return ofEngine(err)
	}
	var view events.Sink = &views.Lines{W: in.Stdout}
	if in.flags.json {
		view = views.JSON{W: in.Stdout}
	}
	sink := &framed{to: &views.Fan{Keep: w.ledger, Show: []events.Sink{view}}, run: events.Event{
		V: events.Version, Run: runID(), Stack: name, Engine: info.ID, Cause: "down",
	}}
	err = sink.frame(ctx, func() error { return in.takeDown(ctx, w, sink, name, stack, volumes) })
	if ctx.Err() != nil {
		in.say("what is not removed yet stays as it is; stagehand -p %s down goes on", name)
	}
	return ofEngine(err)
}

func (in *invocation) takeDown(ctx context.Context, w *workshop, sink *framed, name string, stack *stages.Stack, volumes bool) error {
	return runner.Down(ctx, runner.DownOptions{
		Stack: name, Engine: w.engine, Sink: sink, Ledger: w.ledger, Run: sink.run.Run, Volumes: volumes, Order: stack,
	})
}

// framed puts a beginning and an end around the events of a down, so that the ledger knows it as a
// run like any other.
type framed struct {
	to  events.Sink
	run events.Event // what all have in common
	seq int64
}

func (f *framed) Emit(ctx context.Context, e events.Event) error {
	f.seq++
	e.Seq = f.seq
	return f.to.Emit(ctx, e)
}

func (f *framed) mark(ctx context.Context, change func(*events.Event)) error {
	e := f.run
	e.Time = time.Now().UTC()
	change(&e)
	if err := f.Emit(ctx, e); err != nil {
		return fmt.Errorf("%w: %w", runner.ErrLedger, err)
	}
	return nil
}

func (f *framed) frame(ctx context.Context, work func() error) error {
	began := time.Now()
	if err := f.mark(ctx, func(e *events.Event) { e.Kind = events.RunStarted }); err != nil {
		return err
	}
	err := work()
	return errors.Join(err, f.mark(context.WithoutCancel(ctx), func(e *events.Event) {
		e.Kind, e.Elapsed, e.Verdict = events.RunEnded, time.Since(began), events.VerdictDone
		switch {
		case ctx.Err() != nil:
			e.Verdict = events.VerdictInterrupted
		case err != nil:
			e.Verdict, e.Error = events.VerdictFailed, err.Error()
		}
	}))
}
