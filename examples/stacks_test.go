// Package examples holds stacks that run as they stand.
package examples

import (
	"os"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

func TestStacksAreRight(t *testing.T) {
	for file, want := range map[string]int{"haf/stagehand.yaml": 8, "haf/sequential.yaml": 8, "hello/stagehand.yaml": 6, "voedger/stagehand.yaml": 9} {
		stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
			continue
		}
		if len(stack.Stages) != want || len(stack.Warnings) > 0 {
			t.Errorf("%s has %d stages, want %d; warnings: %v", file, len(stack.Stages), want, stack.Warnings)
		}
	}
}

// The two HAF stacks must not drift apart.
func TestSequentialDiffersInOneStage(t *testing.T) {
	body := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, after, ok := strings.Cut(string(text), "\nname: ")
		if !ok {
			t.Fatalf("%s has no name:", file)
		}
		return after
	}
	const parallel, sequential = "{name: setup,    run: app-setup, each: apps,", "{name: setup,    run: app-setup, each: apps, order: sequential,"
	want := strings.Replace(body("haf/stagehand.yaml"), parallel, sequential, 1)
	if got := body("haf/sequential.yaml"); got != want || !strings.Contains(got, sequential) {
		t.Errorf("sequential.yaml is not stagehand.yaml with %q", sequential)
	}
}

func TestHelloIsShort(t *testing.T) {
	text, err := os.ReadFile("hello/stagehand.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n >= 40 {
		t.Errorf("hello/stagehand.yaml has %d lines: too long to be the first example", n)
	}
}
