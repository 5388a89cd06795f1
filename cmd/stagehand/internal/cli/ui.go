package cli

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/dashboard"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/loopback"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/standing"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/views/report"
)

func (in *invocation) ui() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "ui [OPTIONS]",
		Short: "Shows the runs in a browser, live",
		Long: `Shows the runs of the ledger in a browser until Ctrl-C, on the loopback
interface only: the stacks that stand on the engine, a list of the runs, and for each
run the page of stagehand report, which follows a run that goes on, with what its
containers print. It changes nothing.

The address that it prints has a token in it; without that, and to other pages,
nothing is answered.`,
		Example: `  stagehand ui
  stagehand ui --listen 127.0.0.1:9000`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runUI(cmd.Context(), address) },
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:0", "loopback `ADDRESS` to listen on; port 0 is any that is free")
	return cmd
}

func (in *invocation) runUI(ctx context.Context, address string) error {
	address, err := loopback.Address(address)
	if err != nil {
		return err
	}
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	listener, err := loopback.Listen(ctx, address)
	if err != nil {
		return err
	}
	host, token := listener.Addr().String(), rand.Text()
	in.say("shows the runs at http://%s/%s/ ; Ctrl-C ends that", host, token)
	var once sync.Once // a page that is looked at is made each second
	unseen := func(err error) { once.Do(func() { in.unseen(err) }) }
	seen := &standing.Looker{Connect: in.Connect}
	return loopback.Serve(ctx, listener, dashboard.Handler(dashboard.Options{
		Ledger: l, Host: host, Token: token, Standing: seen.Stacks,
		Report: func(ctx context.Context, run ledger.Run) (report.Report, error) {
			return in.reportOf(ctx, l, run, unseen)
		},
	}))
}
