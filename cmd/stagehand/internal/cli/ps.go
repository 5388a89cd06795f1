package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) ps() *cobra.Command {
	var all, quiet bool
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS]",
		Short: "Lists the stack's running containers and where they are reached",
		Example: `  stagehand ps
  stagehand ps --all --json
  docker stats $(stagehand ps -q)`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runPS(cmd.Context(), all, quiet) },
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "those too that have ended")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only the containers' names, one a line")
	return cmd
}

func (in *invocation) runPS(ctx context.Context, all, quiet bool) error {
	if quiet && in.flags.JSON {
		return exit.Misuse("--quiet and --json exclude each other")
	}
	name, _, err := in.Target(ctx)
	if err != nil {
		return err
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	info, err := engine.Info(ctx)
	if err != nil {
		return exit.OfEngine(err)
	}
	list, err := containers.ListStack(ctx, engine, name)
	if err != nil {
		return exit.OfEngine(err)
	}
	rows := views.PS(list, engines.Host(info), all)
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, rows)
	}
	if quiet {
		for _, row := range rows {
			if _, err := fmt.Fprintln(in.Stdout, row.Container); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		said := name + ": nothing runs"
		switch ended := len(views.PS(list, "", true)); {
		case all:
			said = name + ": no containers"
		case ended > 0:
			said += fmt.Sprintf("; %s ended: %s", text.Plural(ended, "container"), in.flags.Command(name, "ps", "--all"))
		}
		_, err = fmt.Fprintln(in.Stdout, said)
		return err
	}
	_, err = io.WriteString(in.Stdout, views.PSTable(rows))
	return err
}
