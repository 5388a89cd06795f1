package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/ephemeral"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/reaper"
)

// reap is what the process runs that watches over an ephemeral up.
func (in *invocation) reap() *cobra.Command {
	return &cobra.Command{
		Use:    "reap",
		Short:  "Removes what an ephemeral run has made when its runner dies (used by stagehand itself)",
		Hidden: true,
		Args:   flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// It has a session of its own, so these are meant for others; it ends
			// when there is nothing left to watch over.
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			_, err := reaper.Watch(cmd.Context(), in.Stdin, in.Stdout, reaper.Hands{
				Open: func(ctx context.Context, r reaper.Request) (containers.Engine, error) {
					return in.Open(ctx, r.Endpoint)
				},
				Bury: ephemeral.Bury,
			})
			return err
		},
	}
}
