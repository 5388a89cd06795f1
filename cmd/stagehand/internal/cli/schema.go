package cli

import (
	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/stages"
)

func (in *invocation) schema() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "schema [OPTIONS]",
		Short: "Writes the JSON Schema of stack files, for editors",
		Long: `Writes the JSON Schema (2020-12) of stack files: Compose's, and the keys of stagehand
in it, with what they mean. An editor that has a language server for YAML completes
and checks with it. The first line of a stack file can name it:

  # yaml-language-server: $schema=stagehand.schema.json

What a schema cannot tell (names, their order, conditions that never hold), validate does.`,
		Example: `  stagehand schema -o stagehand.schema.json`,
		Args:    flags.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			text, err := stages.Schema()
			if err != nil {
				return err
			}
			return in.write(file, "schema", append(text, '\n'))
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` (default standard output)")
	return cmd
}
