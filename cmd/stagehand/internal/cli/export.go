package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/stages"
)

func (in *invocation) export() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "export compose [OPTIONS]",
		Short: "Writes the stack as a plain Compose file",
		Long: `Writes the stack as a Compose file that docker compose up --wait runs: each
app's services by their names, the stages as depends_on. What Compose cannot say
(conditions of our own, calls, hand-overs, time-outs, ...) is told on standard
error, and stands at the head of the file. Values of the environment stand in it
as they are, secret ones too. It needs no engine.`,
		Example: `  stagehand export compose -o compose.yaml
  docker compose -f compose.yaml up --wait`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "compose" {
				return exit.Misuse("export needs to know as what: stagehand export compose")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runExport(cmd.Context(), file) },
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` (default standard output)")
	return cmd
}

func (in *invocation) runExport(ctx context.Context, file string) error {
	if in.flags.JSON {
		return exit.Misuse("export writes YAML: leave --json out (stagehand config --json prints the model)")
	}
	source, err := in.Source()
	if err != nil {
		return err
	}
	stack, model, lost, err := stages.Export(ctx, source)
	if err != nil {
		return err
	}
	in.Warn(stack)
	text, err := model.YAML()
	if err != nil {
		return err
	}
	var head strings.Builder
	head.WriteString("# Made by stagehand export compose.\n")
	for i, line := range lost {
		if i == 0 {
			head.WriteString("# What stages say and Compose cannot:\n")
		}
		line = strings.ReplaceAll(line, "\n", " ")
		fmt.Fprintf(&head, "# - %s\n", line)
		in.say("not in Compose: %s", line)
	}
	text = head.String() + text
	return in.write(file, "Compose file", []byte(text))
}
