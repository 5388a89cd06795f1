package plan_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// now is the time that tests plan at.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func load(t *testing.T, file string) *stages.Stack {
	t.Helper()
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// TestFreshPlans compares the plan of every stack file in testdata, and of
// the examples, for a machine on which nothing ran, with its golden text.
func TestFreshPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stack files: %v", err)
	}
	for _, file := range append(files, "../examples/haf/stagehand.yaml", "../examples/haf/sequential.yaml", "../examples/hello/stagehand.yaml") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if strings.HasPrefix(file, "..") {
			name = filepath.Base(filepath.Dir(file)) + "-" + name
		}
		t.Run(name, func(t *testing.T) {
			golden(t, name, plan.Make(load(t, file), plan.Facts{}, now).String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".plan")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("plan differs from %s (-want +got; go test ./plan -update writes it anew):\n%s", file, diff)
	}
}

// What does not fit goes on below itself, or near the margin where there is no room beside the columns.
func TestTextFitsTheTerminal(t *testing.T) {
	cause := "argv changed: … \"a first long argument\" … → … \"another one\" …; environment changed: LOG, MODE"
	p := &plan.Plan{Stack: "s", Stages: []*plan.Stage{{Name: "init", Verb: stages.Run, Steps: []string{"init"}}}, Steps: []*plan.Step{
		{ID: "init", Stage: "init", Action: plan.Create, Container: "s-init-1", Cause: cause},
	}}
	for width, want := range map[int]string{
		0: `  create    init  s-init-1  ` + cause + "\n",
		80: `  create    init  s-init-1  argv changed: … "a first long argument" … → …
                            "another one" …; environment changed: LOG, MODE
`,
		50: `  create    init  s-init-1  argv changed: … "a
            first long argument" … → … "another
            one" …; environment changed: LOG, MODE
`,
	} {
		_, got, _ := strings.Cut(p.Text(width), "at once\n")
		if got != want {
			t.Errorf("in %d columns:\n%swant:\n%s", width, got, want)
		}
	}
}
