package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
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
	step, err := stepOf(stack, id)
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
	spec, err := in.debugSpec(ctx, w, stack, step)
	if err != nil {
		return err
	}
	in.say("%s runs %s", step.ID, said(*step.Spec))
	spec.TTY, spec.OpenStdin = len(command) == 0, len(command) == 0
	if len(command) == 0 {
		command = []string{o.shell}
	}
	spec.Entrypoint, spec.Command = command[:1], command[1:]
	spec.Labels[containers.LabelSpec] = spec.Hash()
	if err := ensure(ctx, w.Engine, stack, spec); err != nil {
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

// stepOf finds the step that has a container, by its ID.
func stepOf(stack *stages.Stack, id string) (*plan.Step, error) {
	var ids []string
	for _, s := range steps(stack) {
		if s.ID == id && s.Spec == nil {
			return nil, exit.Misuse("%s of %s has no container: its verb, %s, has no service", id, stack.Name, s.Verb)
		}
		if s.ID == id {
			return s, nil
		}
		if s.Spec != nil {
			ids = append(ids, s.ID)
		}
	}
	return nil, exit.Misuse("%s has no step %q with a container: %s", stack.Name, id, problems.OneOf(id, ids))
}

// said is a spec's command as people read it.
func said(s containers.Spec) string {
	words := slices.Concat(s.Entrypoint, s.Command)
	if len(words) == 0 {
		return "what its image " + s.Image + " names"
	}
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n\"'$") {
			words[i] = fmt.Sprintf("%q", word)
		}
	}
	return strings.Join(words, " ")
}

// debugSpec is the step's container as it would be made now, but under a name of its own, and
// with nothing that others would meet.
func (in *invocation) debugSpec(ctx context.Context, w *workshop.Tools, stack *stages.Stack, step *plan.Step) (containers.Spec, error) {
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return containers.Spec{}, exit.OfEngine(err)
	}
	recorded, err := w.Ledger.Recorded(ctx, stack.Name, info.ID)
	if err != nil {
		return containers.Spec{}, err
	}
	values := plan.Values{}
	for _, e := range recorded {
		plain, err := runner.Values(e, w.Key, in.masker)
		if err != nil {
			in.say("%v", err)
		}
		values.Set(e.Stage, e.App, plain)
	}
	spec, missing := plan.Resolve(*step.Spec, values, step.App)
	if len(missing) > 0 {
		return spec, exit.Misuse("no step has handed on %s yet, which %s needs: run %s first", strings.Join(missing, ", "), step.ID, in.flags.Command(stack.Name, "up"))
	}
	if err := in.refuseHeld(ctx, w, stack.Name, step); err != nil {
		return spec, err
	}
	id := runID()
	spec.Name = containers.Name(step.Container, "debug", id[strings.LastIndexByte(id, '-')+1:])
	spec.Ports, spec.Health, spec.Restart = nil, &containers.Healthcheck{Test: []string{"NONE"}}, containers.Restart{}
	spec.Networks = slices.Clone(spec.Networks)
	for i := range spec.Networks {
		spec.Networks[i] = containers.Attachment{Network: spec.Networks[i].Network, Options: spec.Networks[i].Options}
	}
	spec.Labels = map[string]string{
		containers.LabelStack: stack.Name, containers.LabelStep: step.ID, containers.LabelRole: containers.RoleDebug,
		containers.LabelCreated: time.Now().UTC().Format(time.RFC3339Nano), containers.LabelGrace: "0s",
	}
	return spec, nil
}

// refuseHeld is a conflict where somebody else holds the step's exclusive volume.
func (in *invocation) refuseHeld(ctx context.Context, w *workshop.Tools, stack string, step *plan.Step) error {
	if step.Exclusive == "" {
		return nil
	}
	list, err := w.Engine.List(ctx, containers.OfStack(stack))
	if err != nil {
		return exit.OfEngine(err)
	}
	for _, s := range list {
		if s.Running() && slices.Contains(s.Volumes, step.Exclusive) {
			return &exit.Error{Code: exit.Conflict, Err: fmt.Errorf(
				"%s holds the volume %s, which %s must have for itself: stop it first, with %s",
				s.Name, step.Exclusive, step.ID, in.flags.Command(stack, "stop", s.Labels[containers.LabelService]))}
		}
	}
	return nil
}

// ensure sees to the image, networks and volumes of the spec.
func ensure(ctx context.Context, engine containers.Engine, stack *stages.Stack, spec containers.Spec) error {
	if _, err := engine.EnsureImage(ctx, spec.Image, spec.Platform, spec.Pull, nil); err != nil {
		return err
	}
	for _, n := range stack.Networks {
		if slices.ContainsFunc(spec.Networks, func(a containers.Attachment) bool { return a.Network == n.Name }) {
			if err := engine.EnsureNetwork(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, v := range stack.Volumes {
		if slices.ContainsFunc(spec.Mounts, func(m containers.Mount) bool { return m.Kind == containers.MountVolume && m.Source == v.Name }) {
			if _, err := engine.EnsureVolume(ctx, v); err != nil {
				return err
			}
		}
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
