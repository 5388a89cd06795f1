package stages_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

func options(files ...string) compose.Options {
	return compose.Options{Files: files, Name: "demo", Environ: []string{}}
}

var isCompose = regexp.MustCompile(`\.ya?ml$`)

// TestCorpus reads Compose files of other projects. Each loads, or says in
// its place what is wrong; none may panic or take for ever.
func TestCorpus(t *testing.T) {
	const root = "../../shared/compose-corpus"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the corpus of other projects' Compose files is not here")
	}
	loaded, refused := 0, 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isCompose.MatchString(path) {
			return err
		}
		begin := time.Now()
		stack, err := stages.Load(t.Context(), options(path))
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %s", path, took)
		}
		var problem *problems.Error
		switch {
		case err == nil:
			loaded++
			consistent(t, path, stack)
		case errors.As(err, &problem):
			refused++
			checkRefusal(t, problem)
		default:
			t.Errorf("%s: not a problem of the file: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d loaded, %d refused", loaded, refused)
}

// reasons are why some of the corpus cannot be used: overlays that only make
// sense over another file, files that the corpus leaves out, and one word
// that only another program knows.
var reasons = []string{"neither an image nor a build", "no such file", `there is no network "haf-network"`, `"stopped" is not allowed here`}

func checkRefusal(t *testing.T, refusal *problems.Error) {
	for _, p := range refusal.All() {
		if !p.Warning && !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(p.Message, r) }) {
			t.Errorf("%s: %s", p.Pos, p.Message)
		}
	}
}

// TestRealStack reads the whole of the real HAF stack, with the profiles of its manual.
func TestRealStack(t *testing.T) {
	const file = "../../shared/compose-corpus/haf_api_node/compose.yml"
	if _, err := os.Stat(file); err != nil {
		t.Skip("the corpus of other projects' Compose files is not here")
	}
	o := options(file)
	o.EnvFiles = []string{filepath.Join(filepath.Dir(file), ".env.example")}
	o.Profiles = []string{"core", "servers", "apps", "hivemind", "haproxy"} // admin mounts files that the corpus leaves out
	stack, err := stages.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, file, stack)
	runs := 0
	for _, st := range stack.Stages {
		if st.Verb == stages.Run {
			runs++
		}
	}
	t.Logf("%d services in %d stages, %d of them helpers", len(stack.Services), len(stack.Stages), runs)
	if len(stack.Services) < 30 || runs < 5 {
		t.Errorf("%d services, %d helpers", len(stack.Services), runs)
	}
}

// consistent holds what every stack promises.
func consistent(t interface{ Errorf(string, ...any) }, path string, s *stages.Stack) {
	seen := map[string]bool{}
	containers := map[string]string{}
	for _, st := range s.Stages {
		if st.Name == "" || seen[st.Name] {
			t.Errorf("%s: stage %q", path, st.Name)
		}
		for _, need := range st.Needs {
			if !seen[need] {
				t.Errorf("%s: stage %s stands before %s, which it needs", path, st.Name, need)
			}
		}
		seen[st.Name] = true
		for _, u := range st.Units {
			service, ok := s.Services[u.Service]
			switch {
			case u.Service != "" && (!ok || service.Name != u.Service || service.App != u.App):
				t.Errorf("%s: stage %s has a unit of %q, the stack has %+v", path, st.Name, u.Service, service.Name)
			case u.Service == "" && u.Condition == nil && u.Call == nil:
				t.Errorf("%s: stage %s has a unit of nothing", path, st.Name)
			}
		}
	}
	for name, service := range s.Services {
		if other := containers[service.Spec.Name]; other != "" || service.Spec.Name == "" || service.Spec.Image == "" {
			t.Errorf("%s: service %s has container %q of image %q, and so has %q", path, name, service.Spec.Name, service.Spec.Image, other)
		}
		containers[service.Spec.Name] = name
	}
}
