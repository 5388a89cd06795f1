package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestExported: the Compose file that a stack is exported to has the same
// containers, of which the same are helpers, in the same order.
func TestExported(t *testing.T) {
	for _, file := range []string{"../examples/hello/stagehand.yaml", "../examples/haf/stagehand.yaml", "../examples/haf/sequential.yaml", "testdata/compose.yaml"} {
		t.Run(file, func(t *testing.T) {
			_, model, _, err := stages.Export(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			text, err := model.YAML()
			if err != nil {
				t.Fatal(err)
			}
			exported := filepath.Join(t.TempDir(), "compose.yaml")
			if err := os.WriteFile(exported, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			before, after := plan.Make(load(t, file), plan.Facts{}, now), plan.Make(load(t, exported), plan.Facts{}, now)
			if diff := cmp.Diff(roles(before), roles(after)); diff != "" {
				t.Errorf("containers, and whether they are helpers (-stack +exported):\n%s", diff)
			}
			if diff := cmp.Diff(order(before), order(after)); diff != "" {
				t.Errorf("what stands before each container (-stack +exported):\n%s", diff)
			}
		})
	}
}

func roles(p *plan.Plan) map[string]bool {
	out := map[string]bool{}
	for _, s := range p.Steps {
		if s.Container != "" {
			out[s.Container] = s.Helper()
		}
	}
	return out
}

// order is, by container, all the containers whose steps are over before its
// own begins.
func order(p *plan.Plan) map[string]map[string]bool {
	of := map[string][]*plan.Step{} // the steps of each stage
	before := map[string]map[string]bool{}
	for _, s := range p.Steps {
		of[s.Stage] = append(of[s.Stage], s)
	}
	needs := map[string][]string{} // of each stage
	for _, s := range p.Stages {
		needs[s.Name] = s.Needs
	}
	all := map[string]map[string]bool{}
	var behind func(stage string) map[string]bool
	behind = func(stage string) map[string]bool { // all that is over when the stage is
		if known := all[stage]; known != nil {
			return known
		}
		out := map[string]bool{}
		all[stage] = out
		for _, s := range of[stage] {
			for c := range before[s.ID] {
				out[c] = true
			}
			if s.Container != "" {
				out[s.Container] = true
			}
		}
		if len(of[stage]) == 0 {
			for _, need := range needs[stage] {
				for c := range behind(need) {
					out[c] = true
				}
			}
		}
		return out
	}
	result := map[string]map[string]bool{}
	for _, s := range p.Steps { // needs stand before
		before[s.ID] = map[string]bool{}
		for _, stage := range s.After {
			for c := range behind(stage) {
				before[s.ID][c] = true
			}
		}
		for _, id := range append(append([]string{}, s.Needs...), s.Follows) {
			for c := range before[id] {
				before[s.ID][c] = true
			}
			if step := p.Step(id); step != nil && step.Container != "" {
				before[s.ID][step.Container] = true
			}
		}
		if s.Container != "" {
			result[s.Container] = before[s.ID]
		}
	}
	return result
}
