package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/cli"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/reaper"
)

func TestMain(m *testing.M) { testscript.Main(leakTest{m}, map[string]func(){"stagehand": program}) }

// program is the whole program, but for one more engine: memory:, which is made
// empty and is gone with the process.
func program() {
	c := cli.Command{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Open: func(ctx context.Context, endpoint string) (containers.Engine, error) {
		if endpoint == "memory:" {
			return halting{newMemory()}, nil
		}
		return engines.Open(ctx, endpoint)
	}}
	os.Exit(c.Process(os.Args[1:]))
}

// actorImage is the image that the memory engine has: the contract suite's actor.
const actorImage = "stagehand-actor:test"

func newMemory() *memory.Engine {
	return memory.New(memory.Options{Images: map[string]memory.Program{actorImage: actor.Main}})
}

// halting ends the containers with the connection: they live in this process.
type halting struct{ *memory.Engine }

func (h halting) Close() error {
	h.Halt()
	return h.Engine.Close()
}

// leakTest looks for goroutines that the commands left behind.
type leakTest struct{ m *testing.M }

func (l leakTest) Run() int {
	code := l.m.Run()
	if folder := os.Getenv(staticFolder); folder != "" {
		_ = os.RemoveAll(folder)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintf(os.Stderr, "left behind: %v\n", err)
		return 1
	}
	return code
}

// The scripts' own commands, beside testscript's:
//
//	run CODE ARGS...     stagehand ARGS in this process, which must exit with CODE
//	begin ARGS...        the same beside the script
//	reached KIND [STEP]  wait until a run that is younger than begin has told such an event
//	said TEXT            wait until what was begun has said so on standard error
//	signal               ask what was begun to stop, as Ctrl-C does
//	finish CODE          wait for the end of what was begun, which must exit with CODE
//	sever, restore       the engine does not answer, answers again
//	foreign NAME         put a container that is nobody's on the memory engine
//	lay ARGS             for scripts with [docker]: put the actor's image on the engine
//
// All of a script runs on one memory engine, or with "env STAGEHAND_ENGINE=…"
// on that one. In what run and finish leave on standard output, times are 0.00, durations T and runs RUN.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") == "1",
		Setup: func(env *testscript.Env) error {
			w := &world{engine: newMemory(), signals: make(chan os.Signal, 4)}
			env.Values[worldKey{}] = w
			env.Setenv("STAGEHAND_ENGINE", "memory:")
			env.Setenv("STAGEHAND_LEDGER", filepath.Join(env.WorkDir, ".ledger.db"))
			env.Setenv("STACK", fmt.Sprintf("sh%d-%s", os.Getpid(), filepath.Base(env.WorkDir)[len("script-"):]))
			env.Defer(func() {
				w.group.Wait()
				w.engine.Halt()
			})
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "docker":
				return os.Getenv("STAGEHAND_NO_ENGINE") != "1", nil
			case "bash-completion":
				_, err := os.Stat("/usr/share/bash-completion/bash_completion")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": run, "begin": begin, "reached": reached, "signal": signal, "finish": finish, "lay": lay, "said": said, "foreign": foreign,
			"sever":   func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).engine.Sever() },
			"restore": func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).engine.Restore() },
		},
	})
}

type worldKey struct{}

// world is what a script's commands share.
type world struct {
	engine         *memory.Engine
	signals        chan os.Signal
	group          sync.WaitGroup
	code           int
	before         int64 // the number of the last run before begin
	stdout, stderr screen
}

// screen is a buffer that can be read while it is written.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(text)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// shared is the script's engine for one command: closing it leaves it to the next.
type shared struct{ *memory.Engine }

func (shared) Close() error { return nil }

func (w *world) command(ts *testscript.TestScript, signals <-chan os.Signal, stdout, stderr io.Writer) cli.Command {
	var environ []string
	for _, name := range []string{"STAGEHAND_ENGINE", "STAGEHAND_LEDGER", "STAGEHAND_RETAIN", "HOME", "IMAGE", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "GITLAB_CI", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE", "COMPOSE_REMOVE_ORPHANS", "COMPOSE_IGNORE_ORPHANS"} {
		if value := ts.Getenv(name); value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	return cli.Command{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Dir: ts.MkAbs("."), Environ: environ, Signals: signals,
		Open: func(ctx context.Context, endpoint string) (containers.Engine, error) {
			if endpoint == "memory:" {
				return shared{w.engine}, nil
			}
			return engines.Open(ctx, endpoint)
		},
		Watch: watched(w.engine),
	}
}

// watched has ephemeral runs on the memory engine watched in this process: it is in no other.
func watched(engine *memory.Engine) func(context.Context, reaper.Request) (*reaper.Guard, error) {
	return func(ctx context.Context, r reaper.Request) (*reaper.Guard, error) {
		return reaper.InProcess(ctx, r, func(in io.Reader, out io.Writer) error {
			_, err := reaper.Watch(context.WithoutCancel(ctx), in, out, reaper.Hands{
				Open: func(context.Context, reaper.Request) (containers.Engine, error) { return shared{engine}, nil },
			})
			return err
		})
	}
}

// The product serves real engines only: the reference engine and its actor are the tests'.
func TestTheProgramHasNoTestEngine(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil || !strings.Contains(string(output), "stagehand/containers/docker\n") {
		t.Fatalf("%v: %s", err, output)
	}
	for _, name := range []string{"containers/memory", "containers/enginetest"} {
		if strings.Contains(string(output), "stagehand-dev/stagehand/"+name) {
			t.Errorf("the program is linked with %s", name)
		}
	}
}

func run(ts *testscript.TestScript, neg bool, args []string) {
	want := exitCode(ts, neg, args)
	var stdout, stderr screen
	w := worldOf(ts)
	code := w.command(ts, nil, &stdout, &stderr).Main(args[1:])
	if want == 0 && code == 9 && strings.Contains(stderr.String(), "the engine has lost count") {
		ts.Logf("only a restart of the engine can remove the network: Docker 20.10 loses count at times")
		code = 0
	}
	show(ts, want, code, &stdout, &stderr)
}

func exitCode(ts *testscript.TestScript, neg bool, args []string) int {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: run CODE ARGS..., finish CODE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	return want
}

func show(ts *testscript.TestScript, want, code int, stdout, stderr *screen) {
	fmt.Fprint(ts.Stdout(), normal(stdout.String()))
	fmt.Fprint(ts.Stderr(), normal(stderr.String()))
	if code != want {
		ts.Fatalf("exit code %d where %d was wanted\n[stdout]\n%s[stderr]\n%s", code, want, stdout, stderr)
	}
}

var normals = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`(?m)^ +[\d:]+\.\d+  `), "    0.00  "},
	{regexp.MustCompile(`\b(after|began|done|failed|interrupted|for) (\d+(\.\d+)?(ms|s)|\d+m\d\ds)\b`), "$1 T"},
	{regexp.MustCompile(`\b\d{8}-\d{6}-[0-9a-f]{6}\b`), "RUN"},
	{regexp.MustCompile(`\bdemo-[0-9a-f]{6}\b`), "demo-XXXXXX"},
}

func normal(text string) string {
	for _, n := range normals {
		text = n.find.ReplaceAllString(text, n.put)
	}
	return text
}

func begin(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	w.group.Wait()
	w.stdout.b.Reset()
	w.stderr.b.Reset()
	last, _, err := latest(context.Background(), ts)
	ts.Check(err)
	w.before = last.Number
	command := w.command(ts, w.signals, &w.stdout, &w.stderr)
	w.group.Go(func() { w.code = command.Main(args) })
}

func signal(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).signals <- syscall.SIGINT }

func finish(ts *testscript.TestScript, neg bool, args []string) {
	want := exitCode(ts, neg, args)
	w := worldOf(ts)
	w.group.Wait()
	show(ts, want, w.code, &w.stdout, &w.stderr)
}

func foreign(ts *testscript.TestScript, _ bool, args []string) {
	_, err := worldOf(ts).engine.Create(context.Background(), containers.Spec{Name: args[0], Image: actorImage, Command: []string{"forever"}})
	ts.Check(err)
}

// patience bounds reached: a busy machine is not a defect.
const patience = 5 * time.Minute

func reached(ts *testscript.TestScript, _ bool, args []string) {
	var all []events.Event
	await(ts, func(ctx context.Context) bool {
		run, told, err := latest(ctx, ts)
		ts.Check(err)
		all = told
		return run.Number > worldOf(ts).before && slices.ContainsFunc(all, func(e events.Event) bool {
			return string(e.Kind) == args[0] && (len(args) < 2 || e.Step == args[1])
		})
	}, func() string { return fmt.Sprintf("no %v: %+v", args, all) })
}

func said(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	await(ts, func(context.Context) bool { return strings.Contains(w.stderr.String(), args[0]) }, w.stderr.String)
}

func await(ts *testscript.TestScript, holds func(context.Context) bool, seen func() string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			ts.Fatalf("not in %s: %s", patience, seen())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// latest is the ledger's latest run and its events.
func latest(ctx context.Context, ts *testscript.TestScript) (ledger.Run, []events.Event, error) {
	l, err := ledger.Open(ctx, ts.Getenv("STAGEHAND_LEDGER"))
	if err != nil {
		return ledger.Run{}, nil, err
	}
	defer l.Close()
	run, ok, err := l.Last(ctx, "")
	if err != nil || !ok {
		return run, nil, err
	}
	all, err := l.Events(ctx, run.ID, 0)
	return run, all, err
}

// staticFolder holds the program that the lease's container runs: this test's own is not linked statically.
const staticFolder = "STAGEHAND_TEST_STATIC"

func buildStatic(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "stagehand-static-")
	if err != nil {
		return err
	}
	binary := filepath.Join(folder, "stagehand")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(output)))
	}
	return errors.Join(os.Setenv(staticFolder, folder), os.Setenv("STAGEHAND_PROBE_BINARY", binary))
}

// image loads the actor once for all scripts.
var image = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := buildStatic(ctx); err != nil {
		return err
	}
	archive, err := actor.Tar(ctx, actorImage)
	if err != nil {
		return err
	}
	load := exec.CommandContext(ctx, "docker", "load")
	load.Stdin = bytes.NewReader(archive)
	if output, err := load.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(output)))
	}
	return nil
})

// lay also takes the script's stack down at its end, whatever has become of it.
func lay(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(image())
	stack := ts.Getenv("STACK")
	ts.Setenv("STAGEHAND_ENGINE", "")
	command := worldOf(ts).command(ts, nil, io.Discard, io.Discard)
	ts.Defer(func() { command.Main([]string{"-p", stack, "down", "--volumes"}) })
}
