package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

func (in *invocation) exec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARG...]",
		Short: "Runs a command in a service's running container",
		Long: `Runs a command in a service's running container, and ends with its exit code.
There is no terminal: the command has no TTY and no standard input, and both of
its streams come on standard output. What follows SERVICE is the command's. With
-p NAME no stack file is needed.`,
		Example: `  stagehand exec db psql -U app -c 'select 1'
  stagehand exec hivemind-api env`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exit.Misuse("exec needs a SERVICE and a COMMAND: see stagehand exec --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return in.runExec(cmd.Context(), args[0], args[1:]) },
	}
	accepted(cmd.Flags(), "no-TTY", "T", "no terminal: always so")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (in *invocation) runExec(ctx context.Context, service string, command []string) (err error) {
	if in.flags.JSON {
		return exit.Misuse("exec prints what the command prints: leave --json out")
	}
	name, stack, err := in.target(ctx)
	if err != nil {
		return err
	}
	engine, err := in.engine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
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
		own := s.Labels[containers.LabelService]
		found[own] = append(found[own], s.Name)
		if stack != nil {
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
	code, err := execer.Exec(ctx, found[service][0], command, in.Stdout)
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
