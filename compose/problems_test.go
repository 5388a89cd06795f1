package compose

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/problems"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestProblems holds what is said about each broken file, word for word, and
// that it is the same every time.
func TestProblems(t *testing.T) {
	t.Chdir("testdata/problems")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			got := render(t, file)
			for range 5 {
				if again := render(t, file); again != got {
					t.Fatalf("not the same every time:\n%s", cmp.Diff(got, again))
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func render(t *testing.T, file string) string {
	t.Helper()
	var list, loading problems.List
	if source := Open(Options{Files: []string{file}, Environ: []string{"HOME=/home/user"}, Name: nameFor(file)}, &list); source != nil {
		if project := source.Load(t.Context(), nil, nil, &loading); project != nil && loading.Err() != nil {
			t.Error("a project although there are problems")
		}
	}
	list.Merge(&loading)
	if list.Err() == nil {
		t.Error("no problem found")
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(list.Render(), wd+"/", "")
}

func nameFor(file string) string {
	if strings.Contains(file, "name") {
		return ""
	}
	return "demo"
}
