package sources

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/problems"
)

func opened(t rapid.TB, files ...string) *Source {
	t.Helper()
	var list problems.List
	s := Open(Options{Files: files, Environ: []string{"HOME=/"}}, &list)
	if s == nil {
		t.Fatal(list.Render())
	}
	return s
}

func written(t rapid.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func rendered(t rapid.TB, p *types.Project) string {
	t.Helper()
	text, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	disabled, err := (&types.Project{Name: p.Name, Services: p.DisabledServices}).MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "disabled:\n" + string(disabled)
}

// inParts reads the source in n parts and as a whole, and holds the one against the other; false
// where it is not read in parts.
func inParts(t rapid.TB, s *Source, n int) bool {
	t.Helper()
	names := s.separate(nil)
	whole, err := s.Run(context.Background(), s.Configs(nil, nil), s.Variables(nil), true)
	parts := s.loadParts(context.Background(), names, min(n, len(names)), s.Variables(nil))
	if parts == nil {
		return false
	}
	if err != nil {
		t.Fatalf("compose-go: %v; its parts are read", err)
	}
	if diff := cmp.Diff(rendered(t, whole), rendered(t, parts)); diff != "" {
		t.Errorf("in %d parts (-whole +parts):\n%s", n, diff)
	}
	return true
}

// TestPartsOfAnything: services that refer to each other, use networks or not, are left out by profiles, extend
// others, are in a circle, or wrong: what is read in parts is what compose-go makes of the whole.
func TestPartsOfAnything(t *testing.T) {
	dir := t.TempDir()
	read, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("name: many\nservices:\n")
		n := rapid.IntRange(2, 9).Draw(t, "services")
		another := func(label string) string { return fmt.Sprintf("s%d", rapid.IntRange(0, n).Draw(t, label)) } // the last one is not there
		for i := range n {
			fmt.Fprintf(&text, "  s%d:\n    image: demo\n", i)
			for _, key := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 3, rapid.ID).Draw(t, "keys") {
				switch key {
				case 0:
					fmt.Fprintf(&text, "    depends_on: {%s: {condition: service_healthy, required: %t}}\n", another("of"), rapid.Bool().Draw(t, "required"))
				case 1:
					fmt.Fprintf(&text, "    links: ['%s:db']\n", another("of"))
				case 2:
					text.WriteString("    networks: [front]\n")
				case 3:
					fmt.Fprintf(&text, "    network_mode: 'service:%s'\n", another("of"))
				case 4:
					text.WriteString("    profiles: [debug]\n")
				case 5:
					fmt.Fprintf(&text, "    extends: %s\n", another("of"))
				case 6:
					fmt.Fprintf(&text, "    volumes_from: ['%s:ro']\n", another("of"))
				case 7:
					fmt.Fprintf(&text, "    environment: {NUMBER: %d}\n    volumes: ['data:/data', './x:/x']\n", i)
				case 8:
					fmt.Fprintf(&text, "    build: {context: ., additional_contexts: {base: 'service:%s'}}\n", another("of"))
				case 9:
					fmt.Fprintf(&text, "    ports: ['%d:80']\n    deploy: {replicas: 2}\n", 9000+i)
				}
			}
		}
		text.WriteString("volumes: {data: }\nnetworks: {front: }\n")
		files := []string{written(t, dir, "compose.yaml", text.String())}
		if rapid.Bool().Draw(t, "a second file") {
			files = append(files, written(t, dir, "override.yaml", fmt.Sprintf(
				"services:\n  s0: {environment: {A: b}}\n  s1: {depends_on: [%s]}\n", another("of"))))
		}
		all++
		if inParts(t, opened(t, files...), rapid.IntRange(2, 4).Draw(t, "parts")) {
			read++
		}
	})
	if read*10 < all {
		t.Errorf("of %d stacks only %d were read in parts", all, read)
	}
}

// What one file needs of a service is not left out of another one, which only refers to it.
func TestNeededOfOneFileIsNeededOfAll(t *testing.T) {
	for _, tag := range []string{"", "ports: !reset [], "} {
		dir := t.TempDir()
		s := opened(t,
			written(t, dir, "compose.yaml", "services: {base: {image: x, networks: [n]}, t: {extends: base, image: y}}\nnetworks: {n: {}}\n"),
			written(t, dir, "override.yaml", "services: {base: {"+tag+"environment: {A: b}}, t: {depends_on: [base]}, u: {image: z}}\n"))
		project, err := s.Load(t.Context(), func(name string) bool { return name == "t" }, s.Variables(nil))
		if err != nil {
			t.Fatal(err)
		}
		if base := project.Services["base"]; base.Image != "x" || base.Environment["A"] == nil {
			t.Errorf("%q: base is %+v", tag, base)
		}
	}
}

// Where anything but services could refer to services, or anything is wrong of the whole, there are no parts.
func TestNoParts(t *testing.T) {
	for name, text := range map[string]string{
		"a circle":                    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
		"depends on nobody":           "services: {a: {image: x, depends_on: [c]}, b: {image: x}}",
		"depends on one left out":     "services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [p]}}",
		"includes":                    "include: [other.yaml]\nservices: {a: {image: x}, b: {image: x}}",
		"resets":                      "services: {a: {image: x, ports: !reset []}, b: {image: x}}",
		"builds on what is not built": "services: {a: {build: {context: ., additional_contexts: {base: 'service:b'}}}, b: {image: x}}",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte("services: {c: {image: x}}"), 0o644); err != nil {
				t.Fatal(err)
			}
			s := opened(t, written(t, dir, "compose.yaml", text))
			if s.loadParts(t.Context(), s.separate(nil), min(2, len(s.separate(nil))), s.Variables(nil)) != nil {
				t.Error("read in parts")
			}
		})
	}
}

// TestPartsOfCorpus: real files, in two parts and in as many as there are services.
func TestPartsOfCorpus(t *testing.T) {
	dir := os.Getenv("STAGEHAND_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "compose-corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus of Compose files in %s; STAGEHAND_CORPUS names another folder", dir)
	}
	var files []string
	yaml := regexp.MustCompile(`\.ya?ml$`)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && yaml.MatchString(path) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			var list problems.List
			s := Open(Options{Files: []string{file}}, &list)
			if s == nil {
				t.Skip("cannot be opened")
			}
			for _, n := range slices.Compact([]int{2, len(s.separate(nil))}) {
				if inParts(t, s, n) {
					read++
				}
			}
		})
	}
	t.Logf("%d files, %d readings in parts", len(files), read)
	if read == 0 {
		t.Error("none was read in parts")
	}
}
