package stages_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

func mustLoad(t *testing.T, text string, environ ...string) *stages.Stack {
	t.Helper()
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{"-"}, Stdin: []byte(text), Name: "demo", Dir: "/", Environ: append([]string{}, environ...)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return stack
}

// TestWhere: which values of a field count as yes.
func TestWhere(t *testing.T) {
	for value, want := range map[string]bool{
		"true": true, "yes": true, "1": true, "x": true, `"0.0"`: true, "on": true, "Falsey": true,
		"false": false, "False": false, "no": false, "NO": false, "off": false, "0": false, `""`: false, "null": false, "~": false, "": false, `"null"`: false,
	} {
		text := fmt.Sprintf("apps: {one: {flag: %s}, two: {}}\nservices: {s: {image: i}, n: {image: i}}\nstages:\n"+
			"  - {name: with, run: s, each: apps, where: flag}\n  - {name: without, run: n, each: apps, where: \"! flag\"}\n", value)
		stack := mustLoad(t, text)
		with, without := stack.Stages[0].Units, stack.Stages[1].Units
		if got := len(with) == 1 && with[0].App == "one"; got != want || len(with)+len(without) != 2 {
			t.Errorf("flag: %s: with %v, without %v", value, with, without)
		}
	}
}

// TestHandedOn: whose value a variable is.
func TestHandedOn(t *testing.T) {
	const file = `
services:
  a: {image: i}
  b: {image: i}
  user: {image: i, command: ["${SETUP_DB_KEY}", "${SETUP_KEY:-none}", "${SETUP_}", "${OTHER_KEY:-none}", "$$SETUP_KEY"]}
stages:
  - {name: setup, run: a}
  - {name: setup-db, await: b}
  - {name: other, await: {tcp: "10.0.0.1:80"}}
  - {name: user, start: user}
`
	mark := func(name string) string { return stages.HandedOpen + name + stages.HandedClose }
	for _, test := range []struct {
		environ, want []string
	}{
		{nil, []string{mark("SETUP_DB_KEY"), mark("SETUP_KEY"), "", "none", "$SETUP_KEY"}},
		{[]string{"SETUP_DB_KEY=x", "SETUP_KEY="}, []string{"x", "none", "", "none", "$SETUP_KEY"}},
	} {
		got := mustLoad(t, file, test.environ...).Services["user"].Spec.Command
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, not %q", test.environ, got, test.want)
		}
	}
}

// TestLongNames: what is too long for a DNS label is hashed, wherever it is named.
func TestLongNames(t *testing.T) {
	app, service := strings.Repeat("a", 60), "service"
	stack := mustLoad(t, fmt.Sprintf(`
apps: {%s: {}}
services: {%s: {image: i}}
stages:
  - {name: up, start: %[2]s, each: apps, ready: {tcp: "%[2]s:80"}}
  - {name: wait, await: {log: {service: "%[1]s-%[2]s", match: x}}}
`, app, service))
	name := stack.Stages[0].Units[0].Service
	made, ok := stack.Services[name]
	if !ok || len(name) > 63 || len(made.Spec.Name) > 63 || !slices.Contains(made.Spec.Networks[0].Aliases, name) {
		t.Fatalf("%q %+v", name, made)
	}
	if got := stack.Stages[0].Units[0].Ready.String(); got != "tcp "+name+":80" {
		t.Error(got)
	}
	if got := stack.Stages[1].Units[0].Condition.String(); !strings.Contains(got, name) {
		t.Error(got)
	}
}

// TestSeveralFiles: Compose merges its part; of ours the last file's counts.
func TestSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := write("stagehand.yaml", "apps: {one: {}}\nservices: {a: {image: first}, b: {image: i}}\nstages: [{name: a, start: a}]\n")
	over := write("over.yaml", "services: {a: {image: second}}\nx-stagehand: {on_failure: down, stages: [{name: a, start: a}, {name: b, run: b, each: apps}]}\n")
	stack, err := stages.Load(t.Context(), options(base, over))
	if err != nil {
		t.Fatal(err)
	}
	if len(stack.Stages) != 2 || stack.Services["a"].Spec.Image != "second" || stack.OnFailure != stages.TakeDown || len(stack.Services) != 2 || !slices.Equal(stack.Files, []string{base, over}) || stack.Dir != dir {
		t.Errorf("%+v", stack)
	}
	broken := write("broken.yaml", "x-stagehand: {stages: [{name: a, start: x}]}\n")
	_, err = stages.Load(t.Context(), options(base, broken))
	if !errors.Is(err, problems.ErrFile) || !strings.Contains(err.Error(), broken+":1:41: ") {
		t.Errorf("%v", err)
	}
}

// TestProfiles: a stage that names a service of an inactive profile has no unit for it.
func TestProfiles(t *testing.T) {
	const file = "services: {a: {image: i}, p: {image: i, profiles: [extra]}}\nstages: [{name: up, start: [a, p]}]\n"
	for _, profiles := range [][]string{nil, {"extra"}} {
		o := options("-")
		o.Stdin, o.Dir, o.Profiles = []byte(file), "/", profiles
		stack, err := stages.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(stack.Stages[0].Units); got != 1+len(profiles) || len(stack.Warnings) > 0 {
			t.Errorf("%v: %d units, warnings %v", profiles, got, stack.Warnings)
		}
	}
}
