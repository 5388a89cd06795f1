package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [OPTIONS]",
		Short: "Says everything that is wrong with the stack file",
		Long:  "Says everything that is wrong with the stack file, each with its place. It needs no engine.",
		Example: `  stagehand validate
  stagehand validate -f compose.yaml --json`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runValidate(cmd.Context()) },
	}
}

// verdict is what validate --json writes.
type verdict struct {
	Valid    bool               `json:"valid"`
	Stack    string             `json:"stack,omitempty"`
	Files    []string           `json:"files,omitempty"`
	Problems []problems.Problem `json:"problems"`
}

func (in *invocation) runValidate(ctx context.Context) error {
	if !in.flags.JSON {
		stack, err := in.Load(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(in.Stdout, "%s: no problems: %s, %s, %s, %s\n", stack.Name, text.Plural(len(stack.Stages), "stage"),
			text.Plural(len(steps(stack)), "step"), text.Plural(len(stack.Services), "service"), text.Plural(len(stack.Apps), "app"))
		return err
	}
	o, err := in.Source()
	if err != nil {
		return err
	}
	stack, err := stages.Load(ctx, o)
	var broken *problems.Error
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	v := verdict{Valid: err == nil, Problems: []problems.Problem{}}
	if broken != nil {
		v.Problems = broken.All()
	} else {
		v.Stack, v.Files = stack.Name, stack.Files
		v.Problems = append(v.Problems, stack.Warnings...)
	}
	if err := views.WriteJSON(in.Stdout, v); err != nil {
		return err
	}
	if !v.Valid {
		return &exit.Error{Code: exit.Usage}
	}
	return nil
}
