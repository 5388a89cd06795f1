package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) apps() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apps [list|show|history|remove] [OPTIONS]",
		Short: "Shows what each app was deployed with, and forgets apps",
		Long: `Shows what each app was deployed with: its fields that the stack file calls
immutable, which up refuses to change. Without a word it lists them.`,
		Example: `  stagehand apps
  stagehand apps show one
  stagehand apps history
  stagehand apps remove one  # when nothing is left of its data`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			words := []string{"history", "list", "remove", "show"}
			return exit.Misuse("stagehand apps has no command %q: %s", args[0], problems.OneOf(args[0], words))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runAppsList(cmd.Context()) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list [OPTIONS]",
			Short: "Lists the apps that are registered",
			Long: `Lists the stack's apps that are registered, on every engine. deploying says that a
step of the app was begun and none is done yet; removed, that it is deployed and
stands in the stack file no more.`,
			Example: `  stagehand apps list
  stagehand apps list --json`,
			Args: flags.NoArguments,
			RunE: func(cmd *cobra.Command, _ []string) error { return in.runAppsList(cmd.Context()) },
		},
		&cobra.Command{
			Use:     "show [OPTIONS] APP",
			Short:   "Says what an app was deployed with, by which run, and when",
			Example: `  stagehand apps show hivemind`,
			Args:    oneApp,
			RunE:    func(cmd *cobra.Command, args []string) error { return in.runAppsShow(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use:   "history [OPTIONS] [APP...]",
			Short: "Lists every change in the apps' registration, removals too",
			Example: `  stagehand apps history
  stagehand apps history hivemind`,
			RunE: func(cmd *cobra.Command, args []string) error { return in.runAppsHistory(cmd.Context(), args) },
		},
		in.appsRemove(),
	)
	return cmd
}

func (in *invocation) appsRemove() *cobra.Command {
	var force bool
	var timeout lockTimeout
	cmd := &cobra.Command{
		Use:   "remove [OPTIONS] APP...",
		Short: "Forgets what apps were deployed with",
		Long: `Forgets what apps were deployed with, so that they can be deployed otherwise. It removes no
data: do that first. An app of which a container stands on the engine is refused
(exit code 9), unless --force is given.`,
		Example: `  stagehand apps remove hivemind`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.Misuse("apps remove needs an APP: see stagehand apps list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return in.runAppsRemove(cmd.Context(), args, force, timeout)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also where containers of the app stand on the engine")
	timeout.bind(cmd.Flags())
	return cmd
}

func oneApp(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return exit.Misuse("%s takes one APP: see stagehand apps list", cmd.CommandPath())
	}
	return nil
}

// registeredApp is an app as people and JSON have it.
type registeredApp struct {
	events.App
	// Removed: it stands in the stack file no more.
	Removed bool `json:"removed,omitempty"`
}

func (a registeredApp) state() string {
	if a.Removed {
		return plan.AppRemoved
	}
	return string(a.State)
}

// registered are the stack's apps in the ledger; the stack's name comes with them.
func (in *invocation) registered(ctx context.Context, l *ledger.Ledger, names ...string) (stack string, found []registeredApp, err error) {
	stack, file, err := in.Target(ctx)
	if err != nil {
		return "", nil, err
	}
	all, err := l.AppsOf(ctx, stack)
	if err != nil {
		return "", nil, err
	}
	var known []string
	for _, a := range all {
		known = append(known, a.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return "", nil, in.notRegistered(stack, name, known)
		}
	}
	for _, a := range all {
		if len(names) == 0 || slices.Contains(names, a.Name) {
			gone := file != nil && !slices.ContainsFunc(file.Apps, func(app stages.App) bool { return app.Name == a.Name })
			found = append(found, registeredApp{a, gone})
		}
	}
	return stack, found, nil
}

func (in *invocation) notRegistered(stack, name string, known []string) error {
	said := problems.OneOf(name, slices.Compact(known))
	if said == "" {
		said = "no app of the stack is"
	}
	return exit.Misuse("no app %s of %s is registered: %s", name, stack, said)
}

func (in *invocation) runAppsList(ctx context.Context) error {
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	stack, all, err := in.registered(ctx, l)
	switch {
	case err != nil:
		return err
	case in.flags.JSON:
		return views.WriteJSON(in.Stdout, append([]registeredApp{}, all...))
	case len(all) == 0:
		_, err = fmt.Fprintf(in.Stdout, "no app of %s is registered\n", stack)
		return err
	}
	rows := [][]string{{"APP", "STATE", "FIELDS", "RUN", "SINCE", "ENGINE"}}
	for _, a := range all {
		rows = append(rows, []string{text.Clean(a.Name), a.state(), text.Clean(plan.Fields(a.Descriptor)), a.Run, at(a.Time), shortEngine(a.Engine)})
	}
	_, err = io.WriteString(in.Stdout, text.Table(rows))
	return err
}

func (in *invocation) runAppsShow(ctx context.Context, name string) error {
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	_, all, err := in.registered(ctx, l, name)
	if err != nil {
		return err
	}
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, all)
	}
	var b strings.Builder
	for i, a := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "app:    %s\nstate:  %s\nengine: %s\nsince:  %s, run %s\n", text.Clean(a.Name), a.state(), text.Clean(a.Engine), at(a.Time), a.Run)
		for _, field := range sorted(a.Descriptor) {
			fmt.Fprintf(&b, "  %s: %s\n", text.Clean(field), text.Clean(a.Descriptor[field]))
		}
	}
	_, err = io.WriteString(in.Stdout, b.String())
	return err
}

func (in *invocation) runAppsHistory(ctx context.Context, names []string) error {
	stack, _, err := in.Target(ctx)
	if err != nil {
		return err
	}
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	all, err := l.AppHistory(ctx, stack)
	if err != nil {
		return err
	}
	var known []string
	for _, c := range all {
		known = append(known, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return in.notRegistered(stack, name, known)
		}
	}
	all = slices.DeleteFunc(all, func(c ledger.AppChange) bool { return len(names) > 0 && !slices.Contains(names, c.Name) })
	switch {
	case in.flags.JSON:
		return views.WriteJSON(in.Stdout, append([]ledger.AppChange{}, all...))
	case len(all) == 0:
		_, err = fmt.Fprintf(in.Stdout, "no app of %s was ever registered\n", stack)
		return err
	}
	rows := [][]string{{"APP", "CHANGE", "FIELDS", "RUN", "AT", "ENGINE", "CAUSE"}}
	for _, c := range all {
		rows = append(rows, []string{text.Clean(c.Name), string(c.State), text.Clean(plan.Fields(c.Descriptor)), c.Run, at(c.Time), shortEngine(c.Engine), dash(c.Cause)})
	}
	_, err = io.WriteString(in.Stdout, text.Table(rows))
	return err
}

func (in *invocation) runAppsRemove(ctx context.Context, names []string, force bool, timeout lockTimeout) error {
	lock, err := in.lock(timeout)
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	stack, _, err := in.registered(ctx, w.Ledger, names...)
	if err != nil {
		return err
	}
	slices.Sort(names)
	forgotten, err := runner.ForgetApps(ctx, runner.ForgetOptions{
		Stack: stack, Apps: slices.Compact(names), Engine: w.Engine, Sink: w.Ledger, Ledger: w.Ledger, Run: runID(), Force: force, Lock: lock,
	})
	switch {
	case errors.Is(err, runner.ErrNotDeployed):
		return exit.Misuse("%v on this engine: see %s", err, in.flags.Command(stack, "apps", "list"))
	case errors.Is(err, containers.ErrConflict) && exit.CodeOf(err) == exit.Conflict:
		return &exit.Error{Code: exit.Conflict, Err: fmt.Errorf("%w: remove them first (%s), or forget the app all the same with --force", err, in.flags.Command(stack, "down"))}
	case err != nil:
		return exit.OfEngine(err)
	case in.flags.JSON:
		return views.WriteJSON(in.Stdout, forgotten)
	}
	for _, a := range forgotten {
		fmt.Fprintf(in.Stdout, "%s is forgotten: it was deployed with %s\n", text.Clean(a.Name), text.Clean(plan.Fields(a.Descriptor)))
	}
	return nil
}

// sayRegistered says which apps a down with its volumes has not forgotten, and why.
func (in *invocation) sayRegistered(ctx context.Context, w *workshop.Tools, stack string, file *stages.Stack) error {
	kept := runner.Outliving(file)
	if len(kept) == 0 {
		return nil
	}
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return exit.OfEngine(err)
	}
	apps, err := w.Ledger.Apps(ctx, stack, info.ID)
	if err != nil || len(apps) == 0 {
		return err
	}
	in.say("still registered: %s, as the external volume %s stays; once nothing of them is in it: %s",
		strings.Join(sorted(apps), ", "), strings.Join(kept, ", "), in.flags.Command(stack, append([]string{"apps", "remove"}, sorted(apps)...)...))
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func at(t time.Time) string { return t.Local().Format(time.DateTime) }

// shortEngine is an engine's ID as far as people need it to tell engines apart.
func shortEngine(id string) string { return text.Clean(id[:min(len(id), 12)]) }
