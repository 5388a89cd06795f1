package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) runs() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "runs [OPTIONS]",
		Short: "Lists the runs that the ledger has, the latest first",
		Long: fmt.Sprintf(`Lists the stack's runs that the ledger has, the latest first: the newest %d, or
as many as $STAGEHAND_RETAIN says. STEPS are those that there was something to
do for, of all. stagehand events --run RUN prints what happened in one.`, ledger.Retained),
		Example: `  stagehand runs
  stagehand runs --all`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runRuns(cmd.Context(), all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "those of all stacks; no stack file is needed")
	return cmd
}

// ranRun is a run in JSON.
type ranRun struct {
	ledger.Run
	Elapsed time.Duration `json:"elapsed,omitempty"` // nanoseconds
	Steps   int           `json:"steps"`
}

func (in *invocation) runRuns(ctx context.Context, all bool) (err error) {
	name := ""
	if !all {
		if name, _, err = in.Target(ctx); err != nil {
			return err
		}
	}
	l, err := in.Ledger(ctx)
	if err != nil {
		return err
	}
	runs, err := l.Runs(ctx, name)
	if err != nil {
		return err
	}
	if in.flags.JSON {
		list := make([]ranRun, len(runs))
		for i, r := range runs {
			list[i] = ranRun{Run: r, Steps: total(r.Plan)}
			if !r.Ended.IsZero() {
				list[i].Elapsed = r.Ended.Sub(r.Started)
			}
		}
		return views.WriteJSON(in.Stdout, list)
	}
	if len(runs) == 0 {
		if all {
			name = "any stack"
		}
		return exit.Misuse("no run of %s in the ledger %s: begin one with %s", name, l.Path(), in.flags.Command(name, "up"))
	}
	rows := [][]string{{"RUN", "VERB", "VERDICT", "BEGAN", "TOOK", "STEPS", "HOST"}}
	if all {
		rows[0] = append([]string{"STACK"}, rows[0]...)
	}
	for _, r := range runs {
		row := runRow(r)
		if all {
			row = append([]string{r.Stack}, row...)
		}
		rows = append(rows, row)
	}
	_, err = io.WriteString(in.Stdout, text.Table(rows))
	return err
}

func runRow(r ledger.Run) []string {
	verdict, took, steps := string(r.Verdict), "-", "-"
	if r.Ended.IsZero() {
		verdict = "no end" // it goes on, or its process was killed
	} else {
		took = text.Duration(r.Ended.Sub(r.Started))
	}
	if all := total(r.Plan); all > 0 {
		steps = fmt.Sprintf("%d of %d", all-r.Plan[string(plan.Skip)]-r.Plan[string(plan.Adopt)], all)
	}
	return []string{r.ID, dash(r.Verb), verdict, r.Started.Local().Format(time.DateTime), took, steps, dash(r.Host)}
}

func dash(word string) string {
	if word == "" {
		return "-"
	}
	return text.Clean(word)
}

func total(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

// prune leaves in the ledger as many of the stack's runs as are to be kept, after a run that
// ended with that error. That it cannot is told and no more: the run is over.
func (in *invocation) prune(ctx context.Context, l *ledger.Ledger, stack string, keep int, ended error) {
	if errors.Is(ended, runner.ErrLedger) {
		return
	}
	if err := l.Prune(context.WithoutCancel(ctx), stack, keep); err != nil {
		in.say("older runs stay in the ledger: %v", err)
	}
}

// retained is how many runs of a stack the ledger keeps.
func (in *invocation) retained() (int, error) {
	value := in.Getenv("STAGEHAND_RETAIN")
	if value == "" {
		return ledger.Retained, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, exit.Misuse("STAGEHAND_RETAIN=%s: expected how many runs of a stack the ledger keeps, 1 or more", value)
	}
	return n, nil
}
