package stages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters/decode"
)

const reference = "../docs/stack-file.md"

var (
	block   = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	heading = regexp.MustCompile("(?m)^### `([a-z_-]+)`$")
)

// TestReference loads every example of the reference: whole files as they
// stand, single stages at the end of the stack that the document begins with.
func TestReference(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 25 {
		t.Fatalf("only %d examples", len(blocks))
	}
	first := blocks[0][1]
	for i, b := range blocks {
		example := b[1]
		if strings.HasPrefix(example, "- ") {
			example = first + "  " + strings.ReplaceAll(strings.TrimSuffix(example, "\n"), "\n", "\n  ") + "\n"
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		stack, err := load(t, file)
		if err != nil {
			t.Errorf("example %d does not load:\n%s\n%v", i+1, example, err)
			continue
		}
		if len(stack.Stages) == 0 {
			t.Errorf("example %d has no stages:\n%s", i+1, example)
		}
		for _, w := range stack.Warnings {
			if !strings.Contains(w.Message, "named in no stage") {
				t.Errorf("example %d: %s", i+1, w.Message)
			}
		}
	}
}

// TestReferenceIsComplete holds the document against the keys that there are.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		described = append(described, m[1])
	}
	for _, key := range append(stages.StageKeys(), compose.OwnKeys()...) {
		if !slices.Contains(described, key) && key != "stages" {
			t.Errorf("%s has no section in %s", key, reference)
		}
		if !strings.Contains(string(text), "| `"+key+"`") && !slices.Contains([]string{"run", "await", "start", "call"}, key) {
			t.Errorf("%s stands in no table of %s", key, reference)
		}
	}
	for _, kind := range append(decode.Kinds(), stages.LateKeys()...) {
		if !strings.Contains(string(text), "`"+kind+"`") {
			t.Errorf("%s is not in %s", kind, reference)
		}
	}
}

// TestExamples loads every stack of examples/.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Skipf("no examples here (%v)", err)
	}
	for _, file := range files {
		stack, err := stages.Load(t.Context(), options(file))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, w := range stack.Warnings {
			t.Errorf("%s: warning: %s", w.Pos, w.Message)
		}
	}
}
