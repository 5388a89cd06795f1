package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/debug"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/containers"
)

type debugOptions struct{ shell string }

func (in *invocation) debug() *cobra.Command {
	var o debugOptions
	cmd := &cobra.Command{
		Use:   "debug [OPTIONS] STEP [--] [COMMAND [ARG...]]",
		Short: "Starts a step's image again as the step would, with a shell in its place",
		Long: `Starts a step's image again, with the step's environment, mounts, files and
networks, and the values that earlier steps handed on, but with a shell at this
terminal in place of its command, or with COMMAND, whose exit code it ends with.
What the step would run is said first. Published ports are left out, and so are
the names that others reach the step's service by. When the shell or COMMAND ends, its container is
removed. It is no part of a run: nothing is recorded.`,
		Example: `  stagehand debug setup/hivemind
  stagehand debug setup/hivemind -- env
  stagehand debug --shell /bin/bash migrate`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.Misuse("debug needs a STEP: see stagehand debug --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[1:]
			if len(command) > 0 && command[0] == "--" { // behind the first argument it is one
				command = command[1:]
			}
			return in.runDebug(cmd.Context(), o, args[0], command)
		},
	}
	cmd.Flags().StringVar(&o.shell, "shell", "/bin/sh", "`PATH` of the shell in the image")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (in *invocation) runDebug(ctx context.Context, o debugOptions, id string, command []string) (err error) {
	if in.flags.JSON {
		return exit.Misuse("debug prints what its container prints: leave --json out")
	}
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	step, err := debug.StepOf(stack, id)
	if err != nil {
		return err
	}
	tty := terminal.Of(in.Stdin)
	if len(command) == 0 && tty == nil {
		return exit.Misuse("there is no terminal for a shell: name a command, as in %s", in.flags.Command(stack.Name, "debug", id, "--", "env"))
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	spec, err := debug.Spec(ctx, step, debug.Options{
		Tools: *w, Stack: stack, Masker: in.masker, Say: in.say,
		Command: func(words ...string) string { return in.flags.Command(stack.Name, words...) },
	}, runID())
	if err != nil {
		return err
	}
	in.say("%s runs %s", step.ID, debug.Said(*step.Spec))
	spec.TTY, spec.OpenStdin = len(command) == 0, len(command) == 0
	if len(command) == 0 {
		command = []string{o.shell}
	}
	spec.Entrypoint, spec.Command = command[:1], command[1:]
	spec.Labels[containers.LabelSpec] = spec.Hash()
	if err := debug.Ensure(ctx, w.Engine, stack, spec); err != nil {
		return exit.OfEngine(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectLimit)
		defer cancel()
		err = errors.Join(err, exit.OfEngine(w.Engine.Destroy(ctx, spec.Name)))
	}()
	if _, err := w.Engine.Create(ctx, spec); err != nil {
		return exit.OfEngine(err)
	}
	if spec.TTY {
		err = in.attached(ctx, w.Engine, spec.Name, tty)
	} else {
		err = in.printed(ctx, w.Engine, spec.Name)
	}
	if err != nil {
		return exit.OfEngine(err)
	}
	status, err := w.Engine.Wait(ctx, spec.Name)
	switch {
	case err != nil:
		return exit.OfEngine(err)
	case status.ExitCode != 0:
		return &exit.Error{Code: status.ExitCode}
	}
	return nil
}

// printed starts the container and prints what it prints, to its end.
func (in *invocation) printed(ctx context.Context, engine containers.Engine, name string) (err error) {
	if err := engine.Start(ctx, name); err != nil {
		return err
	}
	reader, err := engine.Logs(ctx, name, containers.LogOptions{Follow: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	_, err = io.Copy(in.Stdout, reader)
	return err
}

// attached starts the container and gives the terminal to it until it ends.
func (in *invocation) attached(ctx context.Context, engine containers.Engine, name string, tty *os.File) error {
	attacher, ok := engine.(containers.Attacher)
	if !ok {
		return exit.Misuse("this engine cannot give a terminal to a container: name a command")
	}
	return terminal.Give(ctx, tty, in.Stdout, func(ctx context.Context, t containers.Terminal) error { return attacher.Attach(ctx, name, t) })
}
