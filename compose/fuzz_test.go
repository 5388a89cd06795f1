package compose

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/problems"
)

// FuzzLoad: no text makes us panic or run for ever, and none is both refused
// without a reason and accepted.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("stages: [{name: a, run: b}]\nservices: {b: {image: x, command: 'echo ${A:-${B:?c}} $$'}}\n")
	f.Add("services: {a: {<<: &x {image: x}, volumes: [{type: bind, source: ., target: /x}]}}\nx-stagehand: {apps: *x}\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for _, name := range []string{"-", filepath.Join(dir, "stagehand.yaml")} {
			if name != "-" {
				// A file must not include itself: another worker may be writing it.
				if strings.Contains(text, "include") || strings.Contains(text, "extends") {
					continue
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var list problems.List
			source := Open(Options{Files: []string{name}, Stdin: []byte(text), Environ: []string{"A=1"}, Dir: dir, Name: "fuzz"}, &list)
			if source == nil {
				if list.Err() == nil {
					t.Fatal("not opened, and no reason")
				}
				continue
			}
			for _, key := range OwnKeys() {
				source.Own(key)
			}
			project := source.Load(ctx, func(string) (string, bool) { return "v", true }, nil, &list)
			if ctx.Err() != nil {
				t.Fatal("no end")
			}
			if project == nil {
				if list.Err() == nil {
					t.Fatal("not loaded, and no reason")
				}
				continue
			}
			for _, service := range project.ServiceNames() {
				project.Spec(service, Identity{App: "x", Service: "x-" + service}, &list)
				source.At("services", service, "image", "0")
			}
			list.Render()
		}
	})
}
