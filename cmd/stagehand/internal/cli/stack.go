package cli

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

// steps are the stack's, as a plan has them; none for no stack.
func steps(stack *stages.Stack) []*plan.Step {
	if stack == nil {
		return nil
	}
	return plan.Make(stack, plan.Facts{}, time.Now()).Steps
}

// stepsOf are those of a part that the stack has.
func stepsOf(stack *stages.Stack, part plan.Part) ([]*plan.Step, error) {
	p, err := part.Of(plan.Make(stack, plan.Facts{}, time.Now()), stack)
	if err != nil {
		return nil, err
	}
	return p.Steps, nil
}

// lines is the view of a run of the stack for people; file may be nil.
func (in *invocation) lines(name string, file *stages.Stack) *views.Lines {
	lines := &views.Lines{W: in.Stdout, Brief: in.quiet, Command: func(words ...string) string { return in.flags.Command(name, words...) }}
	lines.After = map[string]string{}
	for _, s := range steps(file) {
		lines.Steps = append(lines.Steps, s.ID)
		lines.After[s.ID] = strings.Join(slices.Concat(s.After, s.Needs), ", ")
	}
	return lines
}

// runID makes the ID of a new run: sortable, and readable in a terminal.
func runID() string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails, as of Go 1.24
	return fmt.Sprintf("%s-%x", time.Now().UTC().Format("20060102-150405"), random)
}
