package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/child"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/ephemeral"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/evidence"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/reach"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/reports"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/junit"
	"github.com/stagehand-dev/stagehand/views/text"
)

// logsFolder is where logs are collected, each run's in a folder of its own.
const logsFolder = "stagehand-logs"

type testOptions struct {
	logs    string
	reports reports.Flags
	// path and args are the command's, stdout is its standard output.
	path   string
	args   []string
	stdout io.Writer
}

func (in *invocation) test() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [OPTIONS] [--] COMMAND [ARG...]",
		Short: "Runs a command against the stack, and leaves nothing of the stack behind",
		Long: `Takes the stack up as up --ephemeral does, runs COMMAND on this machine, takes the
stack down, and ends with COMMAND's exit code, or with one of stagehand's own where the
stack did not come up. Standard output is COMMAND's alone.

COMMAND finds in its environment
  <SERVICE>_<PORT>_ADDR  HOST:PORT of each port that a service publishes or exposes
  STAGEHAND_STACK        the stack's name in this run, for -p
  STAGEHAND_RUN          the run's ID
A service of an app is <APP>_<SERVICE>. A port that is not published is reached
through a port of 127.0.0.1 that is open as long as COMMAND runs.

When the stack or COMMAND fails, the logs of all containers are
collected into a folder, those of helpers that are gone as far as they are recorded.
Signals are handed on to COMMAND; the third one kills it.`,
		Example: `  stagehand test -- go test ./...
  stagehand test -f compose.yaml --logs logs -- ./smoke.sh
  stagehand test sh -c 'curl --fail "http://$WEB_8080_ADDR/"'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.Misuse("test needs a COMMAND: see stagehand test --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return in.runTest(cmd.Context(), o, args) },
	}
	cmd.Flags().StringVar(&o.logs, "logs", "", "`DIR` that logs are collected into after a failure (default "+logsFolder+"/RUN)")
	o.reports.Bind(cmd.Flags())
	in.bindLook(cmd.Flags())
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (in *invocation) runTest(ctx context.Context, o testOptions, command []string) (err error) {
	if in.flags.JSON {
		return exit.Misuse("test prints what COMMAND prints: leave --json out, and see stagehand events --json")
	}
	if o.path, err = child.Find(command[0], in.Dir); err != nil {
		return exit.Misuse("%v: nothing was done", err)
	}
	if err := o.reports.Prepare(in.Within); err != nil {
		return err
	}
	o.args = command[1:]
	o.stdout, in.Stdout = in.Stdout, in.Stderr // what we say is not to stand between what COMMAND says
	return in.runEphemeral(ctx, func(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported) error {
		stack.KeepHelpers() // they go with the run, and until then their logs can be read
		err := in.upAndTest(ctx, w, stack, r, o)
		if err != nil && exit.CodeOf(err) != exit.Interrupted {
			in.collect(ctx, w, stack.Name, r.run, o.logs)
		}
		return err
	})
}

// upAndTest takes the stack up and runs the command, and reports both.
func (in *invocation) upAndTest(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported, o testOptions) error {
	result, err := in.carryOut(ctx, w, stack, runner.Options{Run: r.run, Ledger: ephemeral.Records{Ledger: w.Ledger}})
	command := junit.Case{Class: "test", Name: in.commandLine(o)}
	if err := ending(result, err); err != nil {
		command.Skipped = "the stack did not come up"
		return in.report(ctx, w, stack, r, o.reports, err, command)
	}
	began := time.Now()
	err = in.runCommand(ctx, w, stack.Name, r.run, o)
	command.Took = time.Since(began)
	if err != nil {
		command.Failure, command.Kind = fmt.Sprintf("exit %d", exit.CodeOf(err)), "exit"
	}
	return in.report(ctx, w, stack, r, o.reports, err, command)
}

// commandLine is the command as it may be shown.
func (in *invocation) commandLine(o testOptions) string {
	words := secrets.Words(append([]string{filepath.Base(o.path)}, o.args...), func(string) string { return secrets.Hidden })
	return in.masker.Text(strings.Join(words, " "))
}

// runCommand runs the command while the stack is up.
func (in *invocation) runCommand(ctx context.Context, w *workshop.Tools, stack, run string, o testOptions) error {
	ways, err := in.ways(ctx, w, stack)
	if err != nil {
		return exit.OfEngine(err)
	}
	defer ways.Close()
	if in.asked.Load() { // while the run was ending
		return &exit.Error{Code: exit.Interrupted}
	}
	name := filepath.Base(o.path)
	in.say("%s is up; runs %s", stack, in.commandLine(o))
	began := time.Now()
	code, err := child.Run(context.WithoutCancel(ctx), o.path, o.args, child.Options{
		Dir: in.Dir, Environ: slices.Concat(in.Environment(), ways.Environ, []string{"STAGEHAND_STACK=" + stack, "STAGEHAND_RUN=" + run}),
		Stdin: in.Stdin, Stdout: o.stdout, Stderr: in.Stderr,
		Pass: func(signal func(os.Signal), kill func()) {
			in.signals.Forward(func(s os.Signal, count int) {
				switch {
				case count < 3:
					in.say("%s is asked to stop (%s); the third time it is killed", name, s)
					signal(s)
				case count == 3:
					in.say("killing %s", name)
					kill()
				}
			})
		},
	})
	switch {
	case err != nil:
		return &exit.Error{Code: exit.Usage, Err: err}
	case code != 0:
		status := containers.Status{State: containers.StateExited, ExitCode: code}
		in.say("%s failed: %s after %s", name, status.Verdict(), text.Duration(time.Since(began)))
		return &exit.Error{Code: code}
	}
	in.say("%s is done after %s", name, text.Duration(time.Since(began)))
	return nil
}

// ways opens the ways to the stack's services and says what there is.
func (in *invocation) ways(ctx context.Context, w *workshop.Tools, stack string) (*reach.Ways, error) {
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	list, err := containers.ListStack(ctx, w.Engine, stack)
	if err != nil {
		return nil, err
	}
	ways, err := reach.Open(ctx, w.Engine, onlyServices(list), engines.Host(info))
	if err != nil {
		return nil, err
	}
	for _, variable := range ways.Environ {
		fmt.Fprintln(in.Stderr, "  "+variable)
	}
	for _, unknown := range ways.Unknown {
		in.say("no address of %s", unknown)
	}
	return ways, nil
}

// collectLimit bounds the collecting of logs: whoever waits wants the stack's end.
const collectLimit = 2 * time.Minute

// collect collects logs into dir and says where they are. A run has failed
// already when it is called: what it cannot do is said and changes nothing.
func (in *invocation) collect(ctx context.Context, w *workshop.Tools, stack, run, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectLimit)
	defer cancel()
	in.signals.On(func(int) { cancel() })
	if dir == "" {
		dir = filepath.Join(logsFolder, run)
	}
	told := dir
	dir = in.Within(dir)
	list, missing := containers.ListStack(ctx, in.discreet(w.Engine), stack)
	history, broken := w.Ledger.Events(ctx, run, 0)
	count, err := evidence.Collect(ctx, in.discreet(w.Engine), list, history, dir)
	if count > 0 {
		in.say("%s in %s", text.Plural(count, "log"), told)
	}
	if err := errors.Join(missing, broken, err); err != nil {
		in.say("not all logs could be collected: %v", err)
	}
}
