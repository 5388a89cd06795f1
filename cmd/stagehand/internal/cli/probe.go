package cli

import (
	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers/docker/lease"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

// probe is what a probe container runs: this very program, inside the stack's network.
func (in *invocation) probe() *cobra.Command {
	return &cobra.Command{
		Use:                "probe-dial",
		Short:              "Dials from inside a container (used by stagehand itself)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := probe.Main(args, in.Stdin, in.Stdout, in.Stderr); code != 0 {
				return &exit.Error{Code: code}
			}
			return nil
		},
	}
}

// leaseHold is what a lease's container runs: this very program.
func (in *invocation) leaseHold() *cobra.Command {
	return &cobra.Command{
		Use:                lease.Command,
		Short:              "Keeps a stack's lease inside a container (used by stagehand itself)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := lease.Main(args, in.Stdin, in.Stdout, in.Stderr); code != 0 {
				return &exit.Error{Code: code}
			}
			return nil
		},
	}
}
