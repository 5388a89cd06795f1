package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/manual"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) man() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Writes the manual pages into a folder",
		Long: `Writes a manual page for each command into the folder DIR, which is made where it
is not there: stagehand.1, stagehand-up.1, ... man finds them in a folder man1 of
its path, such as ~/.local/share/man/man1.`,
		Example: `  stagehand man ~/.local/share/man/man1
  man stagehand-up`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Misuse("man needs the folder to write to: stagehand man DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return in.runMan(cmd.Root(), args[0]) },
	}
}

func (in *invocation) runMan(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(in.Within(dir), 0o755); err != nil {
		return exit.Misuse("%v", err)
	}
	count := 0
	for _, c := range flags.Commands(root) {
		if c.Hidden {
			continue
		}
		path := filepath.Join(in.Within(dir), manual.Name(c)+".1")
		if err := os.WriteFile(path, []byte(manual.Page(c, buildVersion().Version)), 0o644); err != nil {
			return exit.Misuse("%v", err)
		}
		count++
	}
	_, err := fmt.Fprintf(in.Stdout, "%s in %s\n", text.Plural(count, "page"), dir)
	return err
}
