// Package docs holds the documents, and the tests that hold them to the code.
package docs

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const module = "github.com/stagehand-dev/stagehand/"

// floors reads the table of architecture.md: folder to what it may import,
// and the folders from the ground up.
func floors(t *testing.T) (order []string, imports map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	imports = map[string][]string{}
	row := regexp.MustCompile("^\\| `([a-z]+)` \\|.*\\|([^|]*)\\|$")
	name := regexp.MustCompile("`([a-z]+)`")
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		order = append(order, m[1])
		for _, n := range name.FindAllStringSubmatch(m[2], -1) {
			imports[m[1]] = append(imports[m[1]], n[1])
		}
		if strings.Contains(m[2], "all of the above") {
			imports[m[1]] = slices.Clone(order)
		}
	}
	if len(order) < 8 {
		t.Fatalf("the table of floors is not there: %v", order)
	}
	return order, imports
}

// engineTypes are the modules whose types belong to one engine.
var engineTypes = regexp.MustCompile(`^github\.com/(docker/(docker|cli|go-connections)|testcontainers)(/|$)`)

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// TestImportsAreThoseOfTheTable: the table says all that is imported and
// nothing that is not, and each floor stands on lower ones only.
func TestImportsAreThoseOfTheTable(t *testing.T) {
	order, allowed := floors(t)
	used := map[string]map[string]bool{}
	for _, p := range packages(t) {
		path, ours := strings.CutPrefix(p.ImportPath, module)
		floor, _, _ := strings.Cut(path, "/")
		if !ours || !slices.Contains(order, floor) || path == "containers/docker/strategies" {
			continue
		}
		for _, imported := range p.Imports {
			target, ours := strings.CutPrefix(imported, module)
			if !ours {
				if engineTypes.MatchString(imported) && !strings.HasPrefix(path, "containers/docker") {
					t.Errorf("%s imports %s: engine types stay inside containers/docker", path, imported)
				}
				continue
			}
			target, _, _ = strings.Cut(target, "/")
			if target == floor {
				continue
			}
			if !slices.Contains(allowed[floor], target) {
				t.Errorf("%s imports %s, which its row does not allow", path, target)
			}
			if slices.Index(order, target) > slices.Index(order, floor) {
				t.Errorf("%s imports %s, a floor above it", path, target)
			}
			if used[floor] == nil {
				used[floor] = map[string]bool{}
			}
			used[floor][target] = true
		}
	}
	for floor, list := range allowed {
		for _, target := range list {
			if floor != "cmd" && !used[floor][target] {
				t.Errorf("the row of %s allows %s, which it does not import", floor, target)
			}
		}
	}
}

// TestLinksLead: every link to a file in a document leads to one.
func TestLinksLead(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range append(files, "../README.md", "../CHANGELOG.md", "../examples/haf/README.md", "../examples/hello/README.md", "../examples/voedger/README.md", "../examples/matrixone/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, m[1])
			}
		}
	}
}

// TestWorkflowsAreYAML: the workflows to copy can be read, and run what there is.
func TestWorkflowsAreYAML(t *testing.T) {
	text, err := os.ReadFile("ci.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 3 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	for _, b := range blocks {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(b[1]), &content); err != nil || len(content) == 0 {
			t.Errorf("%v:\n%s", err, b[1])
		}
	}
}

// TestReadmeShowsTheExample: the README's stack file is the example, to the letter.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../examples/hello/stagehand.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+string(example)+"```\n") {
		t.Error("the README does not show examples/hello/stagehand.yaml as it is")
	}
	for _, command := range []string{"make demo", "make test"} {
		if first := strings.Join(strings.SplitN(string(readme), "\n", 31)[:30], "\n"); !strings.Contains(first, command) {
			t.Errorf("%q is not on the README's first screen", command)
		}
	}
}
