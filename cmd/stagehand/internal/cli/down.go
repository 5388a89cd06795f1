package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) down() *cobra.Command {
	var volumes bool
	var timeout lockTimeout
	var stopping grace
	cmd := &cobra.Command{
		Use:   "down [OPTIONS]",
		Short: "Stops and removes what the stack has made",
		Long: `Stops the stack's containers, what was started last first, each by its own
signal and grace, and removes them and the stack's networks. Volumes stay
unless --volumes is given, and what apps were deployed with is remembered as
long as they do. With -p NAME no stack file is needed.`,
		Example: `  stagehand down
  stagehand down --volumes  # its data too
  stagehand -p demo down     # without its file`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return in.runDown(cmd.Context(), volumes, timeout, stopping)
		},
	}
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the stack's volumes too, and forget what was done")
	accepted(cmd.Flags(), "remove-orphans", "", "what the file does not name goes too: always so")
	stopping.bind(cmd.Flags())
	timeout.bind(cmd.Flags())
	in.bindQuiet(cmd.Flags())
	return cmd
}

func (in *invocation) runDown(ctx context.Context, volumes bool, timeout lockTimeout, stopping grace) (err error) {
	grace, err := stopping.given()
	if err != nil {
		return err
	}
	lock, err := in.lock(timeout)
	if err != nil {
		return err
	}
	name, stack, err := in.Target(ctx)
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	keep, err := in.retained()
	if err != nil {
		return err
	}
	defer func() { in.prune(ctx, w.Ledger, name, keep, err) }()
	view, err := in.downView(ctx, w, name, stack, volumes)
	if err != nil {
		return exit.OfEngine(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	kill := in.onInterrupt(cancel)
	observers, over := in.observers(ctx)
	defer over()
	fan := &views.Fan{Keep: w.Ledger, Show: append(observers, view)}
	err = runner.Down(ctx, runner.DownOptions{
		Stack: name, Engine: w.Engine, Sink: fan, Ledger: w.Ledger, Run: runID(), Volumes: volumes, Order: stack, Grace: grace, Kill: kill, Lock: lock,
	})
	if broken := fan.Err(); broken != nil {
		in.say("%v", broken)
	}
	if errors.Is(context.Cause(ctx), exit.ErrInterrupted) {
		in.sayLeft(context.WithoutCancel(ctx), w.Engine, name)
		return &exit.Error{Code: exit.Interrupted}
	}
	if err != nil || !volumes {
		return exit.OfEngine(err)
	}
	return in.sayRegistered(ctx, w, name, stack)
}

// downView shows a down; it looks first at what there is, for the width of its
// columns and for what it will keep.
func (in *invocation) downView(ctx context.Context, w *workshop.Tools, name string, stack *stages.Stack, volumes bool) (events.Sink, error) {
	if in.flags.JSON {
		return views.JSON{W: in.Stdout}, nil
	}
	list, err := containers.ListStack(ctx, w.Engine, name)
	if err != nil {
		return nil, err
	}
	kept, err := w.Engine.ListVolumes(ctx, containers.OfStack(name))
	if err != nil {
		return nil, err
	}
	lines := in.lines(name, nil)
	for _, s := range list {
		lines.Steps = append(lines.Steps, cmp.Or(s.Labels[containers.LabelStep], containers.InstanceOf(s.Labels)))
	}
	switch {
	case len(kept) > 0 && volumes:
		lines.Left = text.Plural(len(kept), "volume") + " removed"
	case len(kept) == 1:
		lines.Left = "1 volume kept (remove it with --volumes)"
	case len(kept) > 1:
		lines.Left = text.Plural(len(kept), "volume") + " kept (remove them with --volumes)"
	}
	return lines, nil
}

// lookBriefly bounds a last look at the engine, for somebody who waits for the end.
const lookBriefly = 5 * time.Second

// sayLeft says which containers an interrupted down has left.
func (in *invocation) sayLeft(ctx context.Context, engine containers.Engine, name string) {
	ctx, cancel := context.WithTimeout(ctx, lookBriefly)
	defer cancel()
	list, err := containers.ListStack(ctx, engine, name)
	again := in.flags.Command(name, "down")
	switch {
	case err != nil:
		in.say("what is left cannot be listed (%v); %s goes on", err, again)
	case len(list) == 0:
		in.say("no container is left; %s removes networks that may be", again)
	default:
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		slices.Sort(names)
		in.say("%s left: %s; %s goes on", text.Plural(len(list), "container"), strings.Join(names, ", "), again)
	}
}
