package stages_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with the file, or writes it.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// load reads one file in an environment that has nothing but what is named.
func load(t *testing.T, file string, environ ...string) (*stages.Stack, error) {
	t.Helper()
	return stages.Load(context.Background(), compose.Options{Files: []string{file}, Name: "demo", Environ: append([]string{}, environ...)})
}

// TestProblems holds each broken file of testdata/problems against the text
// that people get for it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v: at least 40 are wanted", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := load(t, file)
			if err == nil {
				t.Fatal("loads without a problem")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".out", err.Error())
		})
	}
}

// TestGood holds what good files are read as against a dump of the stack.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			stack, err := load(t, file, "HELLO=from the environment")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".out", dump(stack))
		})
	}
}

// dump writes a stack for comparison: everything that stages decides, of the
// specs only what differs between instances.
func dump(s *stages.Stack) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("stack %s on_failure %s network %s", s.Name, s.OnFailure, s.DefaultNetwork)
	if s.Budget > 0 {
		line("budget %s", s.Budget)
	}
	for _, a := range s.Apps {
		line("app %s %v at %d:%d", a.Name, a.Fields, a.Pos.Line, a.Pos.Col)
		if len(a.Descriptor) > 0 {
			line("  never changes: %v", a.Descriptor)
		}
	}
	for _, st := range s.Stages {
		st := st
		units := st.Units
		st.Units = nil
		text, _ := json.Marshal(st)
		line("stage %s", text)
		for _, u := range units {
			line("  unit%s", unit(u))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		v := s.Services[name]
		line("service %s = %s of %q: %s %s command %q env %q", v.Name, v.Spec.Name, v.App, v.Template, v.Spec.Image, v.Spec.Command, v.Spec.Env)
		if v.Spec.NetworkMode+v.Spec.PidMode != "" {
			line("  joins network %q pid %q", v.Spec.NetworkMode, v.Spec.PidMode)
		}
		for _, n := range v.Spec.Networks {
			line("  network %s as %s", n.Network, strings.Join(n.Aliases, ", "))
		}
		for _, m := range v.Spec.Mounts {
			line("  mount %s %s at %s", m.Kind, m.Source, m.Target)
		}
	}
	for _, n := range s.Networks {
		line("network %s", n.Name)
	}
	for _, v := range s.Volumes {
		line("volume %s", v.Name)
	}
	for _, w := range s.Warnings {
		line("warning %d:%d %s", w.Line, w.Col, w.Message)
	}
	return b.String()
}

func unit(u stages.Unit) string {
	text := ""
	if u.Service != "" {
		text += " service " + u.Service
	}
	if u.App != "" {
		text += " app " + u.App
	}
	if u.SharedNetwork {
		text += " shares a network"
	}
	for _, c := range []struct {
		name string
		c    waiters.Condition
	}{{"await", u.Condition}, {"ready", u.Ready}, {"until", u.Until}, {"proof", u.Proof}} {
		if c.c == nil {
			continue
		}
		text += fmt.Sprintf(" %s (%s)", c.name, c.c)
		if timed, ok := c.c.(waiters.Timed); ok {
			text += fmt.Sprintf(" %+v", timed.Pace)
		}
	}
	if u.Call != nil {
		text += " call (" + u.Call.String() + ")"
	}
	return text
}
