// Package cli is the command line: it wires files, engine, ledger, runner and
// views together, one file per command, and decides nothing else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Command is the world that the command line runs in. Nothing below Main
// touches the process's own.
type Command struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Dir is the current folder; "" is the process's.
	Dir string
	// Environ is the environment as KEY=VALUE; nil is the process's.
	Environ []string
	// Signals are the user's requests to stop; nil never asks.
	Signals <-chan os.Signal
	// Open connects to the engine that an endpoint names; nil is OpenEngine.
	Open func(ctx context.Context, endpoint string) (containers.Engine, error)
}

// Main runs the command line with the process's folder, environment and
// signals, and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	// A reader of our output that goes away is an error of the write, which
	// ends a listing but never a run.
	signal.Ignore(syscall.SIGPIPE)
	c := Command{Stdin: stdin, Stdout: stdout, Stderr: stderr, Signals: signals}
	return c.Main(args)
}

// Main runs one command line and returns the exit code.
func (c Command) Main(args []string) int {
	if c.Open == nil {
		c.Open = OpenEngine
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	in := &invocation{Command: c}
	stop := in.watchSignals(func(int) { cancel(errInterrupted) })
	defer stop()
	root := in.root()
	root.SetArgs(in.arguments(root, args))
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		err = errInterrupted // whatever a call that was cut short says of it
	}
	return in.report(err)
}

// invocation is one command line being run.
type invocation struct {
	Command
	flags   globals
	handler handler
	// asked: the user wanted the run to stop.
	asked atomic.Bool
}

// globals are the flags that belong to every command.
type globals struct {
	files, profiles, envFiles []string
	name, engine, ledger      string
	json                      bool
}

func (in *invocation) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "stagehand",
		Short: "Takes a stack of containers from nothing to serving, one stage after another",
		Long: `Takes a stack of containers from nothing to serving, one stage after another:
helpers appear, do their one job and are gone; detectors wait for what must be
true; services stay. The same command, run again after any failure, goes on
where it ended.

` + exitTable(),
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	f := root.PersistentFlags()
	f.StringArrayVarP(&in.flags.files, "file", "f", nil, "stack `FILE`, may be repeated; - is standard input (default stagehand.yaml, or compose.yaml, here or in a folder above)")
	f.StringVarP(&in.flags.name, "project-name", "p", "", "`NAME` of the stack (default the file's name:, then its folder's)")
	f.StringArrayVar(&in.flags.profiles, "profile", nil, "activate the profile `NAME`, may be repeated")
	f.StringArrayVar(&in.flags.envFiles, "env-file", nil, "`FILE` with variables in place of .env, may be repeated")
	f.StringVar(&in.flags.engine, "engine", "", "`ENDPOINT` of the engine: a docker context, or an address as of DOCKER_HOST (default $STAGEHAND_ENGINE, then as docker finds it)")
	f.StringVar(&in.flags.ledger, "ledger", "", "`FILE` that events are kept in (default $STAGEHAND_LEDGER, then stagehand/ledger.db in the user's state folder)")
	f.BoolVar(&in.flags.json, "json", false, "write JSON and nothing else on standard output")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "help [COMMAND]", Short: "Says what a command does", RunE: help})
	root.AddCommand(in.up(), in.down(), in.plan(), in.validate(), in.ps(), in.logs(), in.status(), in.events(), in.version(), in.probe())
	root.InitDefaultHelpFlag()
	for _, c := range root.Commands() {
		c.InitDefaultHelpFlag() // also where help is asked for by another command
		c.DisableFlagsInUseLine = true
	}
	return root
}

func help(cmd *cobra.Command, args []string) error {
	root := cmd.Root()
	if len(args) == 0 {
		return root.Help()
	}
	for _, c := range root.Commands() {
		if c.Name() == args[0] {
			return c.Help()
		}
	}
	return unknownCommand(root, args[0])
}

func unknownCommand(root *cobra.Command, word string) error {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "completion" {
			names = append(names, c.Name())
		}
	}
	return usage("unknown command %q: %s", word, problems.OneOf(word, names))
}

// flagError puts a suggestion to an unknown flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage("%v: see stagehand %s --help", err, strings.TrimPrefix(cmd.CommandPath(), "stagehand "))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	text := err.Error()
	if near := problems.Nearest(unknown.GetSpecifiedName(), names); near != "" && len(unknown.GetSpecifiedName()) > 1 {
		text += fmt.Sprintf(": did you mean --%s?", near)
	}
	return usage("%s: see %s --help", text, cmd.CommandPath())
}

// arguments makes "logs -f" mean what everybody types it for: after that
// command's name -f is --follow, before it a file.
func (in *invocation) arguments(root *cobra.Command, args []string) []string {
	at := commandAt(root.PersistentFlags(), args)
	if at < 0 || args[at] != "logs" {
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

// getenv reads the environment.
func (in *invocation) getenv(name string) string {
	if in.Environ == nil {
		return os.Getenv(name)
	}
	for _, pair := range slices.Backward(in.Environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// say tells people something that is no result: on standard error.
func (in *invocation) say(format string, args ...any) {
	fmt.Fprintf(in.Stderr, "stagehand: "+format+"\n", args...)
}
