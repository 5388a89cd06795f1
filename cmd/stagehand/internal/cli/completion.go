package cli

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/starter"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
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

// candidates lists what a word may be, each "WORD" or "WORD\tDESCRIPTION".
type candidates func(ctx context.Context) []string

// completes gives each command its candidates, and those of flags.
func (in *invocation) completes(root *cobra.Command) {
	arguments := map[string]cobra.CompletionFunc{
		"start": many(in.services(true)), "stop": many(in.services(true)), "restart": many(in.services(true)),
		"pull": many(in.services(false)), "build": many(in.services(false)),
		"exec": first(in.services(false)), "debug": first(in.steps(true)),
		"logs": many(in.steps(false), in.stages, in.services(false), in.appNames),
		"show": first(in.appNames), "history": many(in.appNames), "remove": many(in.appNames),
		"diff": many(in.runIDs), "export": first(fixed("compose")),
		"help": first(func(context.Context) []string { return commandNames(root) }),
		"man": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		"test": nil, // programs and files, which the shell knows
	}
	flags := map[string]candidates{
		"rerun": joined(in.steps(false), in.stages, in.appNames), "from": in.stages,
		"run": in.runIDs, "project-name": in.stacks, "profile": in.profiles, "on-failure": fixed("keep", "down"),
		"example": fixed(starter.Examples()...),
	}
	for _, c := range all(root) {
		if arguments, special := arguments[c.Name()]; special {
			c.ValidArgsFunction = arguments
		} else if len(c.ValidArgs) == 0 && !c.Hidden && c != root {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, list := range flags {
			if c.LocalFlags().Lookup(name) != nil {
				must(c.RegisterFlagCompletionFunc(name, many(list)))
			}
		}
	}
	must(root.MarkPersistentFlagFilename("file", "yaml", "yml"))
}

// must is for errors that only a wrong table above can give.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// many completes each argument that was not given yet.
func many(lists ...candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
		defer cancel()
		found := joined(lists...)(ctx)
		return slices.DeleteFunc(found, func(c string) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// completionLimit is how long people wait for a completion, of a ledger far away for example.
const completionLimit = 3 * time.Second

// first completes the first argument; what follows is not ours.
func first(list candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return many(list)(cmd, args, word)
	}
}

// joined are the candidates of all lists, each word once.
func joined(lists ...candidates) candidates {
	return func(ctx context.Context) []string {
		var out []string
		seen := map[string]bool{}
		for _, list := range lists {
			for _, c := range list(ctx) {
				word, _, _ := strings.Cut(c, "\t")
				if !seen[word] && word != "" {
					seen[word], out = true, append(out, c)
				}
			}
		}
		return out
	}
}

func fixed(words ...string) candidates {
	return func(context.Context) []string { return slices.Clone(words) }
}

// named is the stack of the command line; nil where there is none, or none that can be
// read: whoever is still typing wants no error.
func (in *invocation) named(ctx context.Context) *stages.Stack {
	if slices.Contains(in.flags.Files, "-") {
		return nil // standard input is the terminal
	}
	o, err := in.Source()
	if err != nil {
		return nil
	}
	stack, err := stages.Load(ctx, o)
	if err != nil {
		return nil
	}
	return stack
}

// services are the stack's, and templates; staying leaves out helpers.
func (in *invocation) services(staying bool) candidates {
	return func(ctx context.Context) (out []string) {
		stack := in.named(ctx)
		if stack == nil {
			return nil
		}
		for _, name := range sorted(stack.Services) {
			s := stack.Services[name]
			if stage := stack.StageOf(name); stage != nil && (!staying || stage.Verb == stages.Start) {
				out = append(out, name+"\tservice of stage "+stage.Name)
				if s.Template != name {
					out = append(out, s.Template+"\tservice of each app")
				}
			}
		}
		return out
	}
}

// steps are the IDs of the stack's steps; contained leaves out those without a container.
func (in *invocation) steps(contained bool) candidates {
	return func(ctx context.Context) (out []string) {
		for _, s := range steps(in.named(ctx)) {
			if !contained || s.Spec != nil {
				out = append(out, s.ID+"\tstep: "+string(s.Verb))
			}
		}
		return out
	}
}

func (in *invocation) stages(ctx context.Context) (out []string) {
	if stack := in.named(ctx); stack != nil {
		for _, s := range stack.Stages {
			out = append(out, s.Name+"\tstage: "+string(s.Verb))
		}
	}
	return out
}

func (in *invocation) appNames(ctx context.Context) (out []string) {
	if stack := in.named(ctx); stack != nil {
		for _, a := range stack.Apps {
			out = append(out, a.Name+"\tapp")
		}
	}
	return out
}

// profiles are those that the stack file's services have.
func (in *invocation) profiles(context.Context) []string {
	if slices.Contains(in.flags.Files, "-") {
		return nil
	}
	o, err := in.Source()
	if err != nil {
		return nil
	}
	source := compose.Open(o, &problems.List{})
	if source == nil {
		return nil
	}
	var out []string
	for _, f := range slices.Concat(source.Files, source.Included) {
		for _, doc := range f.Docs {
			_, services := trees.Get(doc, "services")
			if services == nil {
				continue
			}
			for _, s := range trees.Entries(services) {
				if _, profiles := trees.Get(s.Value, "profiles"); profiles != nil {
					for _, p := range trees.Resolve(profiles).Content {
						out = append(out, trees.Resolve(p).Value)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// runIDs are the IDs of the stack's runs, the latest first; of all stacks where none is named.
func (in *invocation) runIDs(ctx context.Context) (out []string) {
	name := in.flags.Name
	if stack := in.named(ctx); stack != nil {
		name = stack.Name
	}
	for _, r := range in.recorded(ctx, name) {
		out = append(out, r.ID+"\t"+r.Stack+", "+at(r.Started)+" "+string(r.Verdict))
	}
	return out
}

// stacks are those that the ledger has runs of.
func (in *invocation) stacks(ctx context.Context) (out []string) {
	for _, r := range in.recorded(ctx, "") {
		if !slices.Contains(out, r.Stack) {
			out = append(out, r.Stack)
		}
	}
	return out
}

func (in *invocation) recorded(ctx context.Context, stack string) []ledger.Run {
	l, err := in.OpenLedger(ctx)
	if err != nil {
		return nil
	}
	runs, err := l.Runs(ctx, stack)
	if errors.Join(err, l.Close()) != nil {
		return nil
	}
	return runs
}

// all are root's commands and theirs, root among them.
func all(root *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{root}
	for _, c := range root.Commands() {
		out = append(out, all(c)...)
	}
	return out
}

// commandNames are the names of the commands that people type.
func commandNames(root *cobra.Command) (names []string) {
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}
