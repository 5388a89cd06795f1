package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/live"
	"github.com/stagehand-dev/stagehand/views/text"
)

type upgradeOptions struct {
	app     string
	retries int
	all     bool
	dry     bool
}

func (in *invocation) upgrade() *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade [status] [OPTIONS]",
		Short: "Takes a stack and its tenants to the file's version, as up does",
		Long: `Takes the stack and its tenants to the version of its file, as up does on the way, and
starts no services: those that the upgrade needs must be up. Any number of them may run at
one time, on any machines with one ledger: they share the work, and none is done twice.

Tenants that were set aside are left alone, and named (exit code 3), unless --all or
--app asks for them.`,
		Example: `  stagehand upgrade status
  stagehand upgrade --dry-run
  stagehand upgrade --app t042 --retries 0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exit.Misuse("stagehand upgrade has no command %q: %s", args[0], problems.OneOf(args[0], []string{"status"}))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runUpgrade(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.app, "app", "", "upgrade the tenant `NAME` now, as far as the steps have come, also if it was set aside")
	cmd.Flags().IntVar(&o.retries, "retries", -1, "try a tenant that failed `N` more times; 0 does not (default as the stack file says)")
	cmd.Flags().BoolVar(&o.all, "all", false, "all tenants, also those that were set aside")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "say what there is to do, and do nothing")
	in.bindLook(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Says which version the stack has, and how far an upgrade is",
		Long: `Says which version of the stack is recorded, how far the upgrade under way is, step by step,
and which tenants are set aside. With --json it lists every tenant.`,
		Example: `  stagehand upgrade status
  stagehand upgrade status --json`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runUpgradeStatus(cmd.Context()) },
	})
	return cmd
}

func (in *invocation) runUpgrade(ctx context.Context, o upgradeOptions) (err error) {
	switch {
	case o.app != "" && o.all:
		return exit.Misuse("--app and --all exclude each other")
	case o.retries < -1:
		return exit.Misuse("--retries %d: expected 0 or more", o.retries)
	case in.quiet && in.flags.JSON:
		return exit.Misuse("--quiet and --json exclude each other")
	}
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	if stack.Upgrades == nil {
		return exit.Misuse("the file has no version, so that there is nothing to upgrade to")
	}
	w, err := in.ToolsFor(ctx, stack)
	if err != nil {
		return err
	}
	if o.dry {
		return in.upgradePlan(ctx, w, stack)
	}
	keep, err := in.retained()
	if err != nil {
		return err
	}
	defer func() { in.prune(ctx, w.Ledger, stack.Name, keep, err) }()
	upgraded, err := in.carryOutUpgrade(ctx, w, stack, o)
	if errors.Is(err, runner.ErrNoVersion) {
		return exit.Misuse("%v of %s on this engine: %s records it", err, stack.Name, in.flags.Command(stack.Name, "up"))
	}
	if err := ending(upgraded.Result, err); err != nil {
		return err
	}
	if in.flags.JSON || in.quiet {
		return nil
	}
	what, done := stack.Name, fmt.Sprintf("nothing to do on the way to %s", stack.Upgrades.Version)
	if o.app != "" {
		what = o.app
	}
	if upgraded.Changed {
		done = "upgraded"
	}
	_, err = fmt.Fprintf(in.Stdout, "%s: %s\n", text.Clean(what), done)
	return err
}

func (in *invocation) upgradePlan(ctx context.Context, w *workshop.Tools, stack *stages.Stack) error {
	p, err := runner.Plan(ctx, stack, w.Engine, w.Ledger, w.Key, runner.Wish{})
	if err != nil {
		return exit.OfEngine(err)
	}
	p = p.OnlyUpgrade(false)
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, p)
	}
	_, err = io.WriteString(in.Stdout, p.String())
	return err
}

// carryOutUpgrade upgrades with a view beside it.
func (in *invocation) carryOutUpgrade(ctx context.Context, w *workshop.Tools, stack *stages.Stack, o upgradeOptions) (upgraded runner.Upgraded, err error) {
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return upgraded, err
	}
	interrupt, kill := in.stopping()
	run := live.NewRun(nil)
	run.Hint = "Ctrl-C stops the helpers in order"
	_, err = in.shown(ctx, info, in.lines(stack.Name, stack), run, &ledger.News{To: w.Ledger}, func(sink events.Sink) (runner.Result, error) {
		var err error
		upgraded, err = runner.UpgradeStack(context.WithoutCancel(ctx), stack, runner.UpgradeOptions{
			Engine: w.Engine, Sink: sink, Ledger: w.Ledger, Run: runID(), Tenant: o.app, All: o.all, Retries: o.retries,
			Interrupt: interrupt, Kill: kill, Holder: in.holder(), Key: w.Key,
		})
		return upgraded.Result, err
	})
	return upgraded, err
}

func (in *invocation) runUpgradeStatus(ctx context.Context) error {
	stack, _, err := in.Target(ctx)
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return exit.OfEngine(err)
	}
	s := views.Versions{Stack: stack, Engine: info.ID, Tenants: []upgrades.TenantStatus{}}
	store, deployment := w.Ledger.Upgrades(), upgrades.Deployment{Name: stack, Engine: info.ID}
	if s.Status, err = store.Status(ctx, deployment); err != nil {
		return err
	}
	tenants, err := store.Tenants(ctx, deployment)
	if err != nil {
		return err
	}
	s.Tenants = append(s.Tenants, tenants...)
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, s)
	}
	_, err = io.WriteString(in.Stdout, s.Text())
	return err
}
