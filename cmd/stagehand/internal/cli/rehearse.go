package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/rehearse"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

func (in *invocation) rehearse() *cobra.Command {
	var allow bool
	cmd := &cobra.Command{
		Use:   "rehearse [OPTIONS]",
		Short: "Kills runner and helpers of a copy of the stack, and says which are not repeatable",
		Long: `Makes a copy of the stack under another name, with volumes and networks of its
own and no published port, and takes it up again and again: first undisturbed,
then with the runner killed at each boundary of each step, then with each helper
killed in the middle of its work and executed once more after its outcome was
lost. Each time it must end with the same containers and the same files in its
volumes. The helpers for which that is not so are named; then the exit code
is 3. Nothing of the copy is left, also after Ctrl-C.`,
		Example: `  stagehand rehearse
  stagehand rehearse --json  # for a CI job`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runRehearse(cmd.Context(), allow) },
	}
	cmd.Flags().BoolVar(&allow, "allow-external", false, "rehearse although the copy shares external volumes or networks, or folders of the host, with the stack: what is in them is written to, many times")
	return cmd
}

func (in *invocation) runRehearse(ctx context.Context, allow bool) (err error) {
	original, err := in.Load(ctx)
	if err != nil {
		return err
	}
	o, err := in.Source()
	if err != nil {
		return err
	}
	o.Name = original.Name + "-rehearse-" + strings.ToLower(rand.Text()[:6])
	stack, err := stages.Load(ctx, o)
	if err != nil {
		return err
	}
	if shared := rehearse.Isolate(stack, original); len(shared) > 0 && !allow {
		return exit.Misuse("the copy would share with %s:\n  %s\nrehearse with --allow-external if that does no harm", original.Name, strings.Join(shared, "\n  "))
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "stagehand-rehearse-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	var ledgers int
	report, err := rehearse.Run(ctx, rehearse.Options{
		Stack: stack, Engine: engine, Run: runID, Say: func(text string) { in.say("%s", text) },
		Ledger: func(ctx context.Context) (rehearse.Ledger, error) {
			ledgers++
			return ledger.Open(ctx, filepath.Join(folder, fmt.Sprintf("%d.db", ledgers)))
		},
	})
	switch {
	case errors.Is(err, rehearse.ErrUndisturbed):
		return &exit.Error{Code: exit.Failed, Err: err}
	case err != nil:
		return exit.OfEngine(err)
	}
	report.Stack = original.Name
	if in.flags.JSON {
		err = views.WriteJSON(in.Stdout, report)
	} else {
		_, err = io.WriteString(in.Stdout, report.String())
	}
	if err == nil && !report.Good() {
		return &exit.Error{Code: exit.Failed}
	}
	return err
}
