package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

type execOptions struct {
	noTTY bool
	index int
	hook  containers.Hook
}

func (in *invocation) exec() *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARG...]",
		Short: "Runs a command in a service's running container",
		Long: `Runs a command in a service's running container, and ends with its exit code.
The command has this terminal where standard input and output are one, unless -T is
given, and else reads standard input. What follows SERVICE is the command's. With
-p NAME no stack file is needed.`,
		Example: `  stagehand exec db psql -U app -c 'select 1'
  stagehand exec db psql -U app < dump.sql
  stagehand exec api sh`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exit.Misuse("exec needs a SERVICE and a COMMAND: see stagehand exec --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hook.Command = args[1:]
			return in.runExec(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().BoolVarP(&o.noTTY, "no-TTY", "T", false, "no terminal, although there is one")
	cmd.Flags().StringVarP(&o.hook.User, "user", "u", "", "as this `USER` (default the container's)")
	cmd.Flags().StringVarP(&o.hook.WorkingDir, "workdir", "w", "", "in this `FOLDER` (default the container's)")
	cmd.Flags().StringArrayVarP(&o.hook.Env, "env", "e", nil, "with this variable, `KEY=VALUE`, beside the container's")
	cmd.Flags().IntVar(&o.index, "index", 1, "in the container with this `NUMBER`, of a service that has several")
	cmd.Flags().BoolVar(&o.hook.Privileged, "privileged", false, "with all privileges")
	accepted(cmd.Flags(), "interactive", "i", "standard input is the command's: always so")
	accepted(cmd.Flags(), "tty", "t", "a terminal, where there is one: always so but for -T")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (in *invocation) runExec(ctx context.Context, service string, o execOptions) error {
	if in.flags.JSON {
		return exit.Misuse("exec prints what the command prints: leave --json out")
	}
	if o.index > 1 {
		service = fmt.Sprintf("%s/%d", service, o.index)
	}
	name, stack, err := in.Target(ctx)
	if err != nil {
		return err
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	execer, ok := engine.(containers.Execer)
	if !ok {
		return exit.Misuse("this engine cannot run a command in a container")
	}
	list, err := containers.ListStack(ctx, engine, name)
	if err != nil {
		return exit.OfEngine(err)
	}
	found := map[string][]string{} // containers by the words that mean them
	for _, s := range list {
		own := containers.InstanceOf(s.Labels)
		found[own] = append(found[own], s.Name)
		if stack != nil && own == s.Labels[containers.LabelService] {
			if template := stack.Services[own].Template; template != "" && template != own {
				found[template] = append(found[template], s.Name)
			}
		}
	}
	switch meant := found[service]; {
	case len(meant) == 0 && stack != nil && serves(stack.Services, service):
		return exit.Misuse("%s of %s has no container: %s makes it", service, name, in.flags.Command(name, "up"))
	case len(meant) == 0:
		return exit.Misuse("%s has no service %q with a container: %s", name, service, problems.OneOf(service, slices.Sorted(maps.Keys(found))))
	case len(meant) > 1:
		return exit.Misuse("%s stands for %s: name the service of one app", service, strings.Join(meant, ", "))
	}
	code, err := in.execIn(ctx, engine, execer, found[service][0], o)
	switch {
	case errors.Is(err, containers.ErrConflict):
		return exit.Misuse("%s of %s does not run: see %s", service, name, in.flags.Command(name, "ps", "--all"))
	case err != nil:
		return exit.OfEngine(err)
	case code != 0:
		return &exit.Error{Code: code}
	}
	return nil
}

// serves tells whether word is a service's name or a template's.
func serves(services map[string]stages.Service, word string) bool {
	for _, s := range services {
		if s.Name == word || s.Template == word {
			return true
		}
	}
	return false
}

// execIn has the command talk to the user's terminal or, where there is none, to the standard streams; an
// engine that cannot do that runs it without input.
func (in *invocation) execIn(ctx context.Context, engine containers.Engine, execer containers.Execer, container string, o execOptions) (code int, err error) {
	attacher, ok := engine.(containers.Attacher)
	if !ok || in.Stdin == nil {
		return execer.Hook(ctx, container, o.hook, in.Stdout)
	}
	tty := terminal.Of(in.Stdin)
	if tty == nil || terminal.Of(in.Stdout) == nil || o.noTTY {
		return attacher.AttachExec(ctx, container, o.hook, containers.Terminal{Stdin: in.Stdin, Stdout: in.Stdout, Stderr: in.Stderr})
	}
	err = terminal.Give(ctx, tty, in.Stdout, func(ctx context.Context, t containers.Terminal) (err error) {
		code, err = attacher.AttachExec(ctx, container, o.hook, t)
		return err
	})
	return code, err
}
