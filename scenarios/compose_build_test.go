package scenarios

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestComposeBuild: what is not there is built, of a folder and of a
// Dockerfile that the stack file holds, and once; a build that fails says what it printed.
// Where Docker Compose is at hand, its image of the same file is the same.
func TestComposeBuild(t *testing.T) {
	t.Parallel()
	s := newStack(t, "build")
	t.Cleanup(func() {
		for _, image := range strings.Fields(s.docker("image", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+s.name)) {
			s.docker("image", "rm", "--force", image)
		}
	})
	context := filepath.Join(s.dir, "context")
	for path, text := range map[string]string{
		"Own.Dockerfile": "FROM " + actorImage + " AS base\nARG WHO=nobody\nENV WHO=$WHO\nCOPY . /context\n" +
			"FROM base AS wanted\nLABEL com.example.stage=wanted\nCMD [\"ls\", \"/context\", \"then\", \"env\", \"WHO\", \"then\", \"forever\"]\n" +
			"FROM base\nCMD [\"exit\", \"9\"]\n",
		".dockerignore": "*.secret\n", "kept": "k", "left.secret": "s",
	} {
		path = filepath.Join(context, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.file("compose.yaml", `
services:
  folder:
    build: {context: context, dockerfile: Own.Dockerfile, target: wanted, args: {WHO: somebody}, labels: {com.example.of: file}}
  inline:
    image: `+s.name+`-named
    pull_policy: build
    build:
      dockerfile_inline: |
        FROM `+actorImage+`
        CMD ["print", "inline", "then", "forever"]
`)
	s.stagehand(0, "up")
	eventually(t, func() string {
		if out := s.docker("logs", s.name+"-folder-1"); !strings.Contains(out, "kept") || strings.Contains(out, "left.secret") || !strings.Contains(out, "somebody") {
			return out
		}
		return ""
	})
	ours := s.imageConfig(s.name + "-folder")
	if inline := s.imageConfig(s.name + "-named"); !slices.Equal(inline.Cmd, []string{"print", "inline", "then", "forever"}) {
		t.Errorf("what is inline became %v", inline)
	}
	if labels := ours.Labels; labels["com.example.of"] != "file" || labels["com.example.stage"] != "wanted" {
		t.Errorf("labels %v", labels)
	}
	if out := s.stagehand(0, "up"); strings.Contains(out, "image: Step") {
		t.Errorf("built again:\n%s", out)
	}
	s.file("broken.yaml", `
services:
  folder: {pull_policy: build, build: {context: context, dockerfile: Own.Dockerfile, target: no-such-stage}}
`)
	if out := s.stagehand(3, "up", "--rerun", "folder"); !strings.Contains(out, "cannot be built") || !strings.Contains(out, "no-such-stage") {
		t.Errorf("a build that fails says:\n%s", out)
	}
	s.files = s.files[:1]
	s.stagehand(0, "down")
	if _, err := os.Stat(dockerCompose); err != nil {
		t.Log("no real Docker Compose to compare with: scripts/test-tools.sh brings it")
		return
	}
	s.docker("image", "rm", "--force", s.name+"-folder")
	// Without BuildKit it cannot build what is inline.
	if out, err := command(t.Context(), []string{"DOCKER_BUILDKIT=0"}, dockerCompose, "-p", s.name, "-f", s.files[0], "build", "folder"); err != nil {
		t.Fatalf("docker compose build: %v\n%s", err, out)
	}
	if diff := cmp.Diff(s.imageConfig(s.name+"-folder"), ours); diff != "" {
		t.Errorf("-Docker Compose +stagehand\n%s", diff)
	}
}

// imageConfig is what an image gives to its containers.
type imageConfig struct {
	Env, Cmd, Entrypoint []string
	Labels               map[string]string
	WorkingDir, User     string
}

// imageConfig leaves out Docker Compose's labels of its own, by which it knows images.
func (s *stack) imageConfig(ref string) imageConfig {
	s.t.Helper()
	var config imageConfig
	if err := json.Unmarshal([]byte(s.docker("image", "inspect", "--format", "{{json .Config}}", ref)), &config); err != nil {
		s.t.Fatal(err)
	}
	for label := range config.Labels {
		if strings.HasPrefix(label, "com.docker.compose.") {
			delete(config.Labels, label)
		}
	}
	return config
}
