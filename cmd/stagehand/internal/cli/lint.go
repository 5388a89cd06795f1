package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) lint() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint [OPTIONS]",
		Short: "Names the traps in a stack file or Compose file, each with its mend",
		Long: "Names the traps in a stack file or a plain Compose file: what is allowed, and yet makes\n" +
			"a start-up hang, fail or take longer than it must, each with its place and its mend.\n" +
			"It needs no engine. What is an error is said by validate, and here too.",
		Example: `  stagehand lint
  stagehand lint -f compose.yaml --strict`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runLint(cmd.Context(), strict) },
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 2 when there is any")
	return cmd
}

// traps is what lint --json writes.
type traps struct {
	Traps []problems.Problem `json:"traps"`
}

func (in *invocation) runLint(ctx context.Context, strict bool) error {
	o, err := in.Source()
	if err != nil {
		return err
	}
	list, err := stages.Lint(ctx, o)
	if err != nil {
		return err
	}
	found := list.All()
	if in.flags.JSON {
		err = views.WriteJSON(in.Stdout, traps{append([]problems.Problem{}, found...)})
	} else if len(found) == 0 {
		_, err = fmt.Fprintln(in.Stdout, "no traps")
	} else {
		_, err = fmt.Fprintf(in.Stdout, "%s\n%s\n", list.Render(), text.Plural(len(found), "trap"))
	}
	if err == nil && strict && len(found) > 0 {
		err = &exit.Error{Code: exit.Usage}
	}
	return err
}
