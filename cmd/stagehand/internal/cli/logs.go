package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/follow"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
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
	stack, file, err := in.target(ctx)
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
	if len(names) == 0 {
		if len(list) == 0 {
			in.say("%s has no containers; name a step to see what was recorded of it", stack)
		}
		return exit.OfEngine(follow.Containers(ctx, w.engine, list, o))
	}
	history, err := history(ctx, w.ledger, stack)
	if err != nil {
		return err
	}
	list, ended, err := choose(stack, names, list, history, steps(file))
	if err != nil {
		return err
	}
	for _, e := range ended {
		if err := in.printRecord(e, o); err != nil {
			return err
		}
	}
	return exit.OfEngine(follow.Containers(ctx, w.engine, list, o))
}

// choose returns the containers that names stand for and, of those steps that
// have none any more, how they ended last.
func choose(stack string, names []string, list []containers.Status, history []events.Event, steps []*plan.Step) ([]containers.Status, []events.Event, error) {
	var chosen []containers.Status
	var ended []events.Event
	for _, name := range names {
		before := len(chosen) + len(ended)
		for _, s := range list {
			if slices.Contains(identities(s), name) {
				chosen = append(chosen, s)
			}
		}
		for _, e := range history {
			if slices.Contains([]string{e.Step, e.Stage, e.Service, e.App, e.Container}, name) && !stands(list, e.Container) {
				ended = append(ended, e)
			}
		}
		if len(chosen)+len(ended) > before {
			continue
		}
		return nil, nil, stranger(stack, name, list, history, steps)
	}
	return once(chosen, func(s containers.Status) string { return s.Name }), once(ended, func(e events.Event) string { return e.Step }), nil
}

// stranger says that nothing is known of a name, and what may have been meant.
func stranger(stack, name string, list []containers.Status, history []events.Event, steps []*plan.Step) error {
	var known, ids []string
	for _, s := range steps {
		of := []string{s.ID, s.Stage, s.Service, s.App}
		if slices.Contains(of, name) {
			return exit.Misuse("%s of %s has not run yet", name, stack)
		}
		known, ids = append(known, of...), append(ids, s.ID)
	}
	for _, s := range list {
		known, ids = append(known, identities(s)...), append(ids, s.Labels[containers.LabelStep])
	}
	for _, e := range history {
		known, ids = append(known, e.Step, e.Stage, e.Service, e.App), append(ids, e.Step)
	}
	text := fmt.Sprintf("%s has no step, stage, service or app %q", stack, name)
	if near := problems.Nearest(name, unique(known)); near != "" {
		return exit.Misuse("%s: did you mean %q?", text, near)
	}
	if ids = unique(ids); len(ids) > 0 {
		text += "; its steps are " + strings.Join(ids, ", ")
	}
	return exit.Misuse("%s", text)
}

func stands(list []containers.Status, container string) bool {
	return slices.ContainsFunc(list, func(s containers.Status) bool { return s.Name == container })
}

// once leaves out what has the key of something before it.
func once[T any](list []T, key func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(x T) bool {
		again := seen[key(x)]
		seen[key(x)] = true
		return again
	})
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

// history is how each step of the stack ended last, in the order of the ends.
func history(ctx context.Context, l *ledger.Ledger, stack string) ([]events.Event, error) {
	runs, err := l.Runs(ctx, stack)
	if err != nil {
		return nil, err
	}
	var ended []events.Event
	seen := map[string]bool{}
	for _, run := range runs {
		all, err := l.Events(ctx, run.ID, 0)
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(all) {
			if e.Kind != events.StepEnded || e.Outcome == events.Skipped && e.ExitCode == nil || seen[e.Step] {
				continue
			}
			seen[e.Step] = true
			ended = append(ended, e)
		}
	}
	slices.Reverse(ended)
	return ended, nil
}

// printRecord prints what is known of a step that has no container any more.
func (in *invocation) printRecord(e events.Event, o follow.Options) error {
	at, how := e.Time.Local().Format(time.DateTime), string(e.Outcome)
	if e.ExitCode != nil {
		how = containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	}
	switch {
	case e.Container == "":
		in.say("%s has no container; it ended at %s (%s), see %s", e.Step, at, how, in.flags.Command(e.Stack, "events", "--run", e.Run))
	case len(e.Logs) > 0:
		in.say("%s ended at %s (%s) and its container is gone; its last recorded lines:", e.Step, at, how)
	case e.ExitCode == nil:
		in.say("the container of %s is gone, and with it what it printed", e.Step)
	default:
		in.say("%s ended at %s (%s) and its container is gone; no line of it is recorded", e.Step, at, how)
	}
	lines := e.Logs
	if o.Tail > 0 && o.Tail < len(lines) {
		lines = lines[len(lines)-o.Tail:]
	}
	return follow.Recorded(e.Step, e.Container, lines, o)
}

func onlyServices(list []containers.Status) []containers.Status {
	return slices.DeleteFunc(slices.Clone(list), func(s containers.Status) bool {
		return s.Labels[containers.LabelRole] != containers.RoleService
	})
}
