package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/stagehand-dev/stagehand/problems"
)

// write unpacks a txtar text into a new folder, which becomes the current one.
func write(t *testing.T, archive string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// load opens and loads, and fails on any error.
func load(t *testing.T, o Options) (*Source, *Project, *problems.List) {
	t.Helper()
	if o.Environ == nil {
		o.Environ = []string{"HOME=/home/user"}
	}
	var list problems.List
	s := Open(o, &list)
	if s == nil {
		t.Fatal(list.Render())
	}
	p := s.Load(t.Context(), nil, nil, &list)
	if p == nil || list.Err() != nil {
		t.Fatal(list.Render())
	}
	return s, p, &list
}

func warnings(list *problems.List) []string {
	var lines []string
	for _, p := range list.Warnings() {
		lines = append(lines, p.Pos.String()+": "+p.Message)
	}
	return lines
}

// TestMerge: files in order, what they include with its own folder and .env,
// what they extend, !reset and !override; and where each thing stands.
func TestMerge(t *testing.T) {
	write(t, `
-- compose.yaml --
name: merged
include:
  - sub/compose.yaml
services:
  web:
    image: nginx:${TAG}
    ports: ["80:80"]
    environment: {A: "1", B: "2"}
    volumes: ["./here:/here"]
  base: {image: base, user: "1000"}
  child: {extends: base, command: [x]}
  far: {extends: {file: sub/base.yaml, service: base}}
-- over.yaml --
services:
  web:
    ports: !override ["81:80"]
    environment: {B: "3"}
    volumes: !reset []
    labels: {over: "yes"}
-- .env --
TAG=from-dotenv
-- sub/.env --
TAG=from-sub
ONLY=sub
-- sub/compose.yaml --
services:
  db:
    image: pg:${TAG}-${ONLY}
    volumes: ["./data:/data"]
-- sub/base.yaml --
services:
  base: {image: far, env_file: [far.env], working_dir: /far}
-- sub/far.env --
FAR=away
`)
	s, p, list := load(t, Options{Files: []string{"compose.yaml", "over.yaml"}})
	wd, _ := os.Getwd()
	spec := func(name string) (out struct {
		Image, User, Dir   string
		Env, Ports, Mounts []string
	}) {
		c := p.Spec(name, Identity{}, list)
		out.Image, out.User, out.Dir, out.Env = c.Image, c.User, c.WorkingDir, c.Env
		for _, port := range c.Ports {
			out.Ports = append(out.Ports, port.Host)
		}
		for _, m := range c.Mounts {
			out.Mounts = append(out.Mounts, strings.TrimPrefix(m.Source, wd))
		}
		return out
	}
	if got := spec("web"); got.Image != "nginx:from-dotenv" || !slices.Equal(got.Env, []string{"A=1", "B=3"}) || !slices.Equal(got.Ports, []string{"81"}) || got.Mounts != nil {
		t.Errorf("web: %+v", got)
	}
	if got := spec("db"); got.Image != "pg:from-dotenv-sub" || !slices.Equal(got.Mounts, []string{"/sub/data"}) {
		t.Errorf("db: %+v", got)
	}
	if got := spec("child"); got.Image != "base" || got.User != "1000" {
		t.Errorf("child: %+v", got)
	}
	if got := spec("far"); got.Image != "far" || got.Dir != "/far" || !slices.Equal(got.Env, []string{"FAR=away"}) {
		t.Errorf("far: %+v", got)
	}
	for path, want := range map[string]string{
		"services.web":                 "over.yaml:2:3",
		"services.web.image":           "compose.yaml:6:5",
		"services.web.labels.over":     "over.yaml:6:14",
		"services.web.environment.A":   "compose.yaml:8:19",
		"services.web.environment.B":   "over.yaml:4:19",
		"services.web.ports.0":         "over.yaml:3:23",
		"services.web.nothing.deeper":  "over.yaml:2:3",
		"services.db.image":            "sub/compose.yaml:3:5",
		"services.nobody":              "over.yaml:1:1",
		"services.web.volumes.0.more":  "compose.yaml:9:15",
		"services.child.extends":       "compose.yaml:11:11",
		"services.far.extends.service": "compose.yaml:12:40",
	} {
		if got := s.At(strings.Split(path, ".")...).String(); got != want {
			t.Errorf("%s: at %s, want %s", path, got, want)
		}
	}
	if s.Name != "merged" || s.Dir != wd || p.Name != "merged" {
		t.Errorf("name %q, folder %q", s.Name, s.Dir)
	}
	if w := warnings(list); w != nil {
		t.Error(w)
	}
}

// TestApps: vars win over the environment, also where a name stands without a
// $; services that only leaves out are neither in the result nor checked, and
// may still be referred to.
func TestApps(t *testing.T) {
	write(t, `
-- stagehand.yaml --
apps: {alpha: {port: 1}}
x-common: &common
  image: "${APP_IMAGE}"
services:
  db: {image: pg}
  sync:
    <<: *common
    command: [sync, "${APP}", "${APP_MODE:-full}"]
    environment: [APP, HOME]
    ports: ["${APP_PORT}:80"]
    depends_on: [db, other]
    volumes: ["data:/data"]
  other: {<<: *common, ports: ["${APP_PORT:?}:81"]}
volumes: {data: {name: "${STACK_DATA}"}}
stages: [{name: a, run: "${NOT_OURS}"}]
-- stagehand.reset.yaml --
services:
  sync: {volumes: !reset [], init: true}
`)
	for _, files := range [][]string{nil, {"stagehand.yaml", "stagehand.reset.yaml"}} {
		var list problems.List
		s := Open(Options{Files: files, Name: "demo", Environ: []string{"HOME=/home", "STACK_DATA=d", "APP=wrong"}}, &list)
		if s == nil {
			t.Fatal(list.Render())
		}
		base := s.Load(t.Context(), nil, func(n string) bool { return n == "db" }, &list)
		if base == nil || !slices.Equal(base.ServiceNames(), []string{"db"}) {
			t.Fatalf("%v\n%s", base, list.Render())
		}
		vars := map[string]string{"APP": "alpha", "APP_IMAGE": "demo/alpha", "APP_PORT": "8081"}
		app := s.Load(t.Context(), func(n string) (string, bool) { v, ok := vars[n]; return v, ok }, func(n string) bool { return n == "sync" }, &list)
		if app == nil || !slices.Equal(app.ServiceNames(), []string{"sync"}) {
			t.Fatalf("%v\n%s", app, list.Render())
		}
		spec := app.Spec("sync", Identity{Service: "alpha-sync", Template: "sync", App: "alpha"}, &list)
		if diff := cmp.Diff([]string{"sync", "alpha", "full"}, spec.Command); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"APP=alpha", "HOME=/home"}, spec.Env); diff != "" {
			t.Error(diff)
		}
		if spec.Image != "demo/alpha" || spec.Ports[0].Host != "8081" || (len(spec.Mounts) == 0) != (files != nil) {
			t.Errorf("%+v", spec)
		}
		if files == nil && app.Volume("data").Name != "d" {
			t.Errorf("volume %q", app.Volume("data").Name)
		}
		if text := list.Render(); text != "" {
			t.Error(text)
		}
		// The same service with a mistake that only this app has.
		vars["APP_PORT"] = "port"
		list = problems.List{}
		if s.Load(t.Context(), func(n string) (string, bool) { v, ok := vars[n]; return v, ok }, func(n string) bool { return n == "sync" }, &list) != nil {
			t.Error("a port that is none was accepted")
		}
		if got := list.All(); len(got) != 1 || got[0].Pos.String() != "stagehand.yaml:10:13" {
			t.Error(list.Render())
		}
	}
}

func TestOwn(t *testing.T) {
	for name, c := range map[string]struct{ archive, file, value string }{
		"stagehand.yaml":       {"-- stagehand.yaml --\non_failure: down\nservices: {a: {image: x}}\n", "stagehand.yaml", "down"},
		"compose with stages":  {"-- compose.yaml --\nstages: []\non_failure: down\nservices: {a: {image: x}}\n", "compose.yaml", "down"},
		"extension":            {"-- compose.yaml --\nx-stagehand: {on_failure: down}\nservices: {a: {image: x}}\n", "compose.yaml", "down"},
		"the later file wins":  {"-- compose.yaml --\nx-stagehand: {on_failure: down}\nservices: {a: {image: x}}\n-- compose.override.yaml --\nx-stagehand: {on_failure: keep}\n", "compose.override.yaml", "keep"},
		"only Compose's":       {"-- docker-compose.yml --\nservices: {a: {image: x}}\n", "", ""},
		"in the second of two": {"-- compose.yaml --\nservices: {a: {image: x}}\n---\nx-stagehand: {on_failure: down}\nservices: {b: {image: y}}\n", "compose.yaml", "down"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, c.archive)
			s, p, _ := load(t, Options{Name: "demo"})
			file, node := s.Own("on_failure")
			if file != c.file || (node == nil) != (c.value == "") || node != nil && node.Value != c.value {
				t.Errorf("%v in %q, want %q in %q", node, file, c.value, c.file)
			}
			if len(p.Services) == 0 {
				t.Error("no services")
			}
		})
	}
}

func TestName(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		yaml    string
		env     []string
		want    string
		err     bool
	}{
		"the folder's":      {want: "my-folder"},
		"the file's":        {yaml: "name: filed", want: "filed"},
		"interpolated":      {yaml: "name: a-${X}", env: []string{"X=b"}, want: "a-b"},
		"the environment's": {yaml: "name: filed", env: []string{"COMPOSE_PROJECT_NAME=envd"}, want: "envd"},
		"-p":                {yaml: "name: filed", env: []string{"COMPOSE_PROJECT_NAME=envd"}, options: Options{Name: "given"}, want: "given"},
		"-p invalid":        {options: Options{Name: "Given"}, err: true},
		"tidied":            {yaml: "name: My Stack", want: "mystack"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, "-- My-Folder/compose.yaml --\n"+c.yaml+"\nservices: {a: {image: x}}\n")
			c.options.Files, c.options.Environ = []string{"My-Folder/compose.yaml"}, append(c.env, "HOME=/")
			var list problems.List
			s := Open(c.options, &list)
			if c.err {
				if s != nil || list.Err() == nil {
					t.Error("accepted")
				}
				return
			}
			if s == nil || s.Name != c.want {
				t.Errorf("%v\n%s", s, list.Render())
			}
		})
	}
}

// TestFind: in a folder below, by COMPOSE_FILE, from stdin, not at all.
func TestFind(t *testing.T) {
	write(t, "-- compose.yaml --\nservices: {a: {image: x}}\n-- other.yaml --\nservices: {b: {image: x}}\n-- more.yaml --\nservices: {c: {image: x}}\n-- below/deep/empty --\n")
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"above":        {Options{Dir: "below/deep"}, []string{"a"}},
		"COMPOSE_FILE": {Options{Environ: []string{"COMPOSE_FILE=other.yaml:more.yaml"}}, []string{"b", "c"}},
		"stdin":        {Options{Files: []string{"-"}, Stdin: []byte("services: {s: {image: x}}"), Name: "n"}, []string{"s"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, p, _ := load(t, c.o); !slices.Equal(p.ServiceNames(), c.want) {
				t.Error(p.ServiceNames())
			}
		})
	}
	var list problems.List
	if Open(Options{Dir: t.TempDir(), Environ: []string{}}, &list) != nil || !strings.Contains(list.Render(), "no stack file here") {
		t.Error(list.Render())
	}
	list = problems.List{}
	if Open(Options{Files: []string{"gone.yaml"}, Environ: []string{}}, &list) != nil || list.Render() != "gone.yaml: no such file\n" {
		t.Error(list.Render())
	}
}

func TestProfilesAndEnvFiles(t *testing.T) {
	write(t, "-- compose.yaml --\nservices:\n  a: {image: \"${I}\", env_file: [{path: none.env, required: false}, a.env]}\n  p: {image: x, profiles: [p]}\n-- one.env --\nI=one\n-- two.env --\nI=two\n-- a.env --\nK=${I}-v\n")
	_, p, _ := load(t, Options{EnvFiles: []string{"one.env", "two.env"}, Profiles: []string{"p"}})
	if !slices.Equal(p.ServiceNames(), []string{"a", "p"}) || p.Services["a"].Image != "two" {
		t.Errorf("%v %q", p.ServiceNames(), p.Services["a"].Image)
	}
	var list problems.List
	if got := p.Spec("a", Identity{}, &list).Env; !slices.Equal(got, []string{"K=two-v"}) {
		t.Error(got)
	}
	_, p, _ = load(t, Options{Environ: []string{"I=env"}})
	if !slices.Equal(p.ServiceNames(), []string{"a"}) || p.DisabledServiceNames()[0] != "p" {
		t.Error(p.ServiceNames())
	}
	if _, p, _ = load(t, Options{Environ: []string{"I=env", "COMPOSE_PROFILES=p, q"}}); len(p.Services) != 2 {
		t.Error(p.ServiceNames())
	}
	list = problems.List{}
	Open(Options{EnvFiles: []string{"gone.env"}, Environ: []string{}}, &list)
	if list.Render() != "gone.env: no such file\n" {
		t.Error(list.Render())
	}
}

// TestConcurrent: one Source, loaded from several goroutines.
func TestConcurrent(t *testing.T) {
	s := hundred(t)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			var list problems.List
			if p := s.Load(t.Context(), app(i), func(n string) bool { return strings.HasPrefix(n, "t") }, &list); p == nil || len(p.Services) != 5 {
				t.Error(list.Render())
			}
		})
	}
	wait.Wait()
}

// TestHAF: the operators' stack with its own example of an environment.
func TestHAF(t *testing.T) {
	dir := filepath.Join(corpus(t), "haf_api_node")
	s, p, list := load(t, Options{Files: []string{filepath.Join(dir, "compose.yml")}, EnvFiles: []string{filepath.Join(dir, ".env.example")},
		Environ: []string{"HOME=/home/user", "COMPOSE_PROFILES=*"}})
	if s.Name != "haf" || len(p.Services) != 78 {
		t.Errorf("%s with %d services", s.Name, len(p.Services))
	}
	if got := p.ContainerName("haf", Identity{}); got != "haf-haf-1" {
		t.Error(got)
	}
	for _, problem := range list.All() {
		if problem.Line == 0 {
			t.Errorf("no place: %s", problem.Message)
		}
	}
}
