package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/stagehand-dev/stagehand/problems"
)

// corpus finds the folder of Compose files of other projects.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STAGEHAND_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "compose-corpus")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Skipf("no corpus of Compose files in %s; STAGEHAND_CORPUS names another folder", dir)
	}
	return dir
}

// TestCorpus holds our reading against compose-go's own: every file that it
// loads we load, with as many services, and convert without an error that is
// not about files that the corpus leaves out; every other one gives a problem.
func TestCorpus(t *testing.T) {
	yaml := regexp.MustCompile(`\.ya?ml$`)
	count, refused := 0, 0
	err := filepath.WalkDir(corpus(t), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !yaml.MatchString(path) {
			return err
		}
		count++
		t.Run(strings.TrimPrefix(path, corpus(t)), func(t *testing.T) {
			options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv, cli.WithEnvFiles(), cli.WithDotEnv)
			if err != nil {
				t.Fatal(err)
			}
			want, wantErr := options.LoadProject(t.Context())
			var list problems.List
			source := Open(Options{Files: []string{path}}, &list)
			if source == nil {
				t.Fatalf("not opened:\n%s", list.Render())
			}
			got := source.Load(t.Context(), nil, nil, &list)
			t.Log(list.Render())
			if wantErr != nil {
				refused++
				if got != nil || list.Err() == nil {
					t.Fatalf("compose-go says %v, we say nothing", wantErr)
				}
				t.Logf("compose-go says: %v", wantErr)
				for _, p := range list.All() {
					if !p.Warning && p.Line == 0 {
						t.Errorf("a problem without a place: %s: %s", p.Pos, p.Message)
					}
				}
				return
			}
			if got == nil {
				t.Fatalf("compose-go loads it, we do not:\n%s", list.Render())
			}
			if got.Name != want.Name || len(got.Services) != len(want.Services) {
				t.Errorf("got %q with %d services, want %q with %d", got.Name, len(got.Services), want.Name, len(want.Services))
			}
			for _, name := range got.ServiceNames() {
				if spec := got.Spec(name, Identity{}, &list); spec.Image == "" || spec.Name == "" {
					t.Errorf("service %s: no image or no name", name)
				}
			}
			for _, p := range list.All() {
				if !p.Warning && p.Message != "" && !strings.Contains(p.Message, "no such file") && !strings.Contains(p.Message, "is not set") {
					t.Errorf("%s: %s", p.Pos, p.Message)
				}
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, compose-go refuses %d", count, refused)
}
