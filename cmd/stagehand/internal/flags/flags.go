// Package flags is what every command understands beside its own arguments:
// the flags themselves, where they stand, what was meant by a wrong one, and
// how to write them down for the next command.
package flags

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
)

// Globals are the flags that belong to every command.
type Globals struct {
	Files, Profiles, EnvFiles []string
	Name, Engine, Ledger      string
	JSON                      bool
	// Scale is a flag of some.
	Scale Scale
}

// Bind declares the flags.
func (g *Globals) Bind(f *pflag.FlagSet) {
	f.StringArrayVarP(&g.Files, "file", "f", nil, "stack `FILE`, may be repeated; - is standard input (default stagehand.yaml, or compose.yaml, here or in a folder above)")
	f.StringVarP(&g.Name, "project-name", "p", "", "`NAME` of the stack (default the file's name:, then its folder's)")
	f.StringArrayVar(&g.Profiles, "profile", nil, "activate the profile `NAME`, may be repeated")
	f.StringArrayVar(&g.EnvFiles, "env-file", nil, "`FILE` with variables in place of .env, may be repeated")
	f.StringVar(&g.Engine, "engine", "", "`ENDPOINT` of the engine: a docker context, or an address as of DOCKER_HOST (default $STAGEHAND_ENGINE, then as docker finds it)")
	f.StringVar(&g.Ledger, "ledger", "", "`FILE` or postgres:// URL that events are kept in (default $STAGEHAND_LEDGER, then stagehand/ledger.db in the user's state folder)")
	f.BoolVar(&g.JSON, "json", false, "write JSON and nothing else on standard output")
}

// Command writes down the command line that runs words on the same stack, engine and
// ledger, quoted for a shell. stack is the stack's name: a file that came on
// standard input cannot be read twice, so that commands other than up name the stack instead.
func (g *Globals) Command(stack string, words ...string) string {
	out := []string{"stagehand"}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, flag, quote(v))
			}
		}
	}
	if slices.Contains(g.Files, "-") && words[0] != "up" {
		add("-p", cmp.Or(g.Name, stack))
	} else {
		add("-f", g.Files...)
		add("-p", g.Name)
	}
	add("--profile", g.Profiles...)
	add("--env-file", g.EnvFiles...)
	add("--engine", g.Engine)
	add("--ledger", ledger.Public(g.Ledger)) // a password belongs into PGPASSWORD, not on a screen
	for _, w := range words {
		out = append(out, quote(w))
	}
	if words[0] == "up" || words[0] == "plan" {
		add("--scale", g.Scale.words()...)
	}
	return strings.Join(out, " ")
}

// plain is what no shell gives a meaning of its own.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// NoArguments refuses arguments.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.Misuse("%s takes no argument, got %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// UnknownCommand says what was meant.
func UnknownCommand(parent *cobra.Command, word string) error {
	of := ""
	if parent.HasParent() {
		of = " of " + parent.CommandPath()
	}
	return exit.Misuse("unknown command %q%s: %s", word, of, problems.OneOf(word, Names(parent)))
}

// Names are the names of the commands under parent that people type.
func Names(parent *cobra.Command) (names []string) {
	for _, c := range parent.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}

// Commands are root's commands and theirs, root among them.
func Commands(root *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{root}
	for _, c := range root.Commands() {
		out = append(out, Commands(c)...)
	}
	return out
}

// Unknown puts a suggestion to an unknown flag.
func Unknown(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return exit.Misuse("%v: see %s --help", err, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	text := err.Error()
	if near := problems.Nearest(unknown.GetSpecifiedName(), names); near != "" && len(unknown.GetSpecifiedName()) > 1 {
		text += fmt.Sprintf(": did you mean --%s?", near)
	}
	return exit.Misuse("%s: see %s --help", text, cmd.CommandPath())
}

// Arguments makes "logs -f" mean what everybody types it for: after that
// command's name -f is --follow, before it a file.
func Arguments(root *cobra.Command, args []string) []string {
	at := commandAt(root.PersistentFlags(), args)
	switch {
	case at >= 0 && (args[at] == cobra.ShellCompRequestCmd || args[at] == cobra.ShellCompNoDescRequestCmd) && at < len(args)-1:
		// A shell asks how the words behind it go on: the last one is not whole.
		words, last := args[at+1:len(args)-1], args[len(args)-1]
		return slices.Concat(args[:at+1], Arguments(root, words), []string{last})
	case at < 0 || args[at] != "logs":
		return args
	}
	out := slices.Clone(args)
	for i := at + 1; i < len(out) && out[i] != "--"; i++ {
		if out[i] == "-f" {
			out[i] = "--follow"
		}
	}
	return out
}

// commandAt is where the command's name stands among args, -1 if nowhere.
func commandAt(flags *pflag.FlagSet, args []string) int {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			return i
		}
		if arg == "--" {
			return -1
		}
		var flag *pflag.Flag
		if name, isLong := strings.CutPrefix(arg, "--"); isLong {
			flag = flags.Lookup(name) // not found where it has =VALUE
		} else if len(arg) == 2 {
			flag = flags.ShorthandLookup(arg[1:])
		}
		if flag != nil && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return -1
}
