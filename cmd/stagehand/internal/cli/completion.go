package cli

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/problems"
)

// shells are what writes the completion of each shell.
var shells = map[string]func(*cobra.Command, io.Writer) error{
	"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	"zsh":        (*cobra.Command).GenZshCompletion,
}

func (in *invocation) completion() *cobra.Command {
	names := slices.Sorted(maps.Keys(shells))
	return &cobra.Command{
		Use:   "completion " + strings.Join(names, "|"),
		Short: "Writes what a shell needs to complete commands, and the names in the stack file",
		Long: `Writes a script with which the shell completes commands and flags, and what the
stack file of this folder (or of -f) names: stages, steps, services, apps and profiles;
and the IDs of runs.

bash needs the package bash-completion. zsh needs compinit (autoload -U compinit; compinit).`,
		Example: `  stagehand completion bash > ~/.local/share/bash-completion/completions/stagehand
  stagehand completion zsh > "${fpath[1]}/_stagehand"
  stagehand completion fish > ~/.config/fish/completions/stagehand.fish
  stagehand completion powershell >> $PROFILE`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return exit.Misuse("completion needs to know for which shell: %s", problems.OneOf("", names))
			case len(args) > 1 || shells[args[0]] == nil:
				return exit.Misuse("no completion for the shell %q: %s", strings.Join(args, " "), problems.OneOf(args[0], names))
			}
			return nil
		},
		ValidArgs: names,
		RunE:      func(cmd *cobra.Command, args []string) error { return shells[args[0]](cmd.Root(), in.Stdout) },
	}
}
