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
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/completion"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/signals"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/reaper"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/views/live"
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
	// Open connects to the engine that an endpoint names; nil is engines.Open.
	Open func(ctx context.Context, endpoint string) (containers.Engine, error)
	// Watch starts what watches over an ephemeral run; nil makes a process of this program.
	Watch func(ctx context.Context, r reaper.Request) (*reaper.Guard, error)
}

// Main runs the command line with the process's folder, environment and
// signals, and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return Command{Stdin: stdin, Stdout: stdout, Stderr: stderr}.Process(args)
}

// Process is Main with the process's signals in place of Signals.
func (c Command) Process(args []string) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	// A reader of our output that goes away is an error of the write, which
	// ends a listing but never a run.
	signal.Ignore(syscall.SIGPIPE)
	c.Signals = signals
	return c.Main(args)
}

// Main runs one command line and returns the exit code.
func (c Command) Main(args []string) int {
	if c.Open == nil {
		c.Open = engines.Open
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	in := &invocation{Command: c, masker: &secrets.Masker{}}
	in.Workshop = workshop.New(workshop.Options{
		Flags: &in.flags, Stdin: c.Stdin, Stderr: c.Stderr, Dir: c.Dir, Environ: c.Environ, Connect: c.Open, Masker: in.masker, Say: in.say,
	})
	stop := in.signals.Watch(c.Signals, func(int) { cancel(exit.ErrInterrupted) })
	defer stop()
	root := in.root()
	root.SetArgs(flags.Arguments(root, args))
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	err := errors.Join(root.ExecuteContext(ctx), in.Workshop.Close())
	if err != nil && errors.Is(context.Cause(ctx), exit.ErrInterrupted) {
		err = exit.ErrInterrupted // whatever a call that was cut short says of it
	}
	return exit.Tell(in.masker.Writer(c.Stderr), err)
}

// invocation is one command line being run.
type invocation struct {
	Command
	*workshop.Workshop
	flags   flags.Globals
	signals signals.Handler
	// masker hides the secrets that are known so far: of the stacks that were read, and of runs that are shown.
	masker *secrets.Masker
	// asked: the user wanted the run to stop.
	asked atomic.Bool
	// passing: what this command line makes goes with it.
	passing bool
	// plain and quiet are how a run is shown: see bindLook.
	plain, quiet bool
	// live is the view that has the terminal now; nil where none has.
	live atomic.Pointer[live.View]
}

func (in *invocation) root() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "stagehand",
		Short: "Takes a stack of containers from nothing to serving, one stage after another",
		Long: `Takes a stack of containers from nothing to serving, one stage after another:
helpers appear, do their one job and are gone; detectors wait for what must be
true; services stay. The same command, run again after any failure, goes on
where it ended.

` + exit.Table(),
		Example: `  stagehand up    # the stack file of this folder, or of one above
  stagehand ps    # where it is reached
  stagehand logs  # what it prints
  stagehand down`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return flags.UnknownCommand(cmd, args[0])
			case version:
				return in.runVersion()
			}
			return cmd.Help()
		},
	}
	in.flags.Bind(root.PersistentFlags())
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", "FlagUsagesWrapped 80"))
	root.SetFlagErrorFunc(flags.Unknown)
	root.CompletionOptions.DisableDefaultCmd = true // ours knows how to install it
	root.SetHelpCommand(&cobra.Command{
		Use: "help [COMMAND]", Short: "Says what a command does",
		Example: "  stagehand help up\n  stagehand help apps remove", RunE: help,
	})
	root.AddCommand(in.init(), in.up(), in.test(), in.down(), in.stop(), in.start(), in.restart(), in.exec(), in.debug(), in.pull(), in.build(), in.config(), in.export(), in.plan(), in.rehearse(), in.validate(), in.lint(), in.ps(), in.logs(), in.status(), in.events(), in.runs(), in.apps(), in.upgrade(), in.serve(), in.diagram(), in.diff(), in.reportPage(), in.ui(), in.gc(), in.doctor(), in.schema(), in.completion(), in.man(), in.version(), in.probe(), in.leaseHold(), in.reap())
	root.InitDefaultHelpCmd()
	for _, c := range flags.Commands(root) {
		c.InitDefaultHelpFlag() // also where help is asked for by another command
		c.DisableFlagsInUseLine = c != root
	}
	completion.Complete(root, in.Workshop, &in.flags)
	return root
}

func help(cmd *cobra.Command, args []string) error {
	c := cmd.Root()
words:
	for _, word := range args {
		for _, sub := range c.Commands() {
			if sub.Name() == word {
				c = sub
				continue words
			}
		}
		return flags.UnknownCommand(c, word)
	}
	return c.Help()
}

// say tells people something that is no result: on standard error, above the live view where one stands there.
func (in *invocation) say(format string, args ...any) {
	text := in.masker.Text(fmt.Sprintf("stagehand: "+format, args...))
	if view := in.live.Load(); view == nil || !view.Say(text) {
		fmt.Fprintln(in.Stderr, text)
	}
}
