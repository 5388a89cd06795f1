// Package scenarios runs whole stacks with the stagehand program itself on the
// real engine. What happened is read from the engine's own events, not from
// what stagehand says of itself.
package scenarios

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
)

// actorImage stays on the engine: several processes may test with it at a
// time, and all make the same.
const actorImage = "stagehand-actor:scenarios"

// program is the built stagehand.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("STAGEHAND_NO_ENGINE") == "1" {
		fmt.Println("STAGEHAND_NO_ENGINE=1: the scenarios are skipped, they need an engine")
		return 0
	}
	dir, err := os.MkdirTemp("", "stagehand-scenarios-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "stagehand")
	if out, err := command(context.Background(), []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", program, "../cmd/stagehand"); err != nil {
		fmt.Printf("building stagehand: %v\n%s", err, out)
		return 1
	}
	archive, err := actor.Tar(context.Background(), actorImage)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	load := exec.Command("docker", "load", "--quiet")
	load.Stdin = bytes.NewReader(archive)
	if out, err := load.CombinedOutput(); err != nil {
		fmt.Printf("no engine answers (make engine brings one; STAGEHAND_NO_ENGINE=1 skips these tests): %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stack is one stack under test: its files, its name, a ledger of its own.
type stack struct {
	t     *testing.T
	name  string
	dir   string
	files []string
	env   []string
	// ledger is where runs are recorded; "" is a file in dir.
	ledger string
	began  time.Time

	// miscounted: the engine has lost count of what is on a network (Docker 20.10 does at times), and
	// does not remove it before it is restarted.
	miscounted bool

	mu   sync.Mutex
	seen []engineEvent
}

// newStack prepares a stack with a name of its own; at the end of the test
// everything of it is taken down, and the test fails if anything is left.
func newStack(t *testing.T, name string, files ...string) *stack {
	t.Helper()
	s := &stack{t: t, name: fmt.Sprintf("sc%d-%s", os.Getpid(), name), dir: t.TempDir(), files: files, began: time.Now()}
	s.watch()
	t.Cleanup(func() {
		s.stagehand(0, "down", "--volumes")
		for _, kind := range []string{"container", "volume", "network"} {
			args := []string{kind, "ls", "--quiet", "--filter", "label=dev.stagehand.stack=" + s.name}
			if kind == "container" {
				args = append(args, "--all")
			}
			if left := s.docker(args...); left != "" && (kind != "network" || !s.miscounted) {
				t.Errorf("left on the engine: %s %s", kind, left)
			}
		}
	})
	return s
}

// file writes a stack file and puts it behind those that there are.
func (s *stack) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if !slices.Contains(s.files, path) {
		s.files = append(s.files, path)
	}
}

func (s *stack) args(args ...string) []string {
	out := []string{args[0], "-p", s.name, "--ledger", cmp.Or(s.ledger, filepath.Join(s.dir, "ledger.db"))}
	for _, f := range s.files {
		out = append(out, "-f", f)
	}
	return append(out, args[1:]...)
}

// commandLimit is far more than any command needs: a rehearsal on a busy
// machine takes many minutes. It ends what hangs.
const commandLimit = 15 * time.Minute

// stagehand runs a command and fails the test if its exit code is another one.
func (s *stack) stagehand(code int, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := command(ctx, s.env, program, s.args(args...)...)
	got := exitCode(err)
	if args[0] == "down" && code == 0 && got == 9 && strings.Contains(out, "the engine has lost count") {
		s.t.Logf("only a restart of the engine can remove the network:\n%s", out)
		s.miscounted = true
		return out
	}
	if got != code {
		s.t.Fatalf("stagehand %s: exit %d, want %d\n%s", args[0], got, code, out)
	}
	return out
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// background starts a command; stop interrupts it as Ctrl-C does and returns
// its exit code and output.
func (s *stack) background(args ...string) (stop func() (int, string)) {
	s.t.Helper()
	cmd := exec.Command(program, s.args(args...)...)
	cmd.Env = append(os.Environ(), s.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var ended bool
	stop = func() (int, string) {
		if ended {
			return -1, out.String()
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-done:
			return exitCode(err), out.String()
		case <-time.After(commandLimit):
			_ = cmd.Process.Kill()
			<-done
			return -1, out.String()
		}
	}
	s.t.Cleanup(func() {
		if _, out := stop(); s.t.Failed() {
			s.t.Logf("stagehand %s:\n%s", args[0], out)
		}
	})
	return stop
}

func (s *stack) docker(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		s.t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// onlyServices fails the test unless exactly n containers stand, all running.
func (s *stack) onlyServices(n int) {
	s.t.Helper()
	states := strings.Fields(s.docker("ps", "--all", "--filter", "label=dev.stagehand.stack="+s.name, "--format", "{{.State}}"))
	if len(states) != n || slices.ContainsFunc(states, func(state string) bool { return state != "running" }) {
		s.t.Errorf("containers: %v, want %d running", states, n)
	}
}

// engineEvent is one line of `docker events`.
type engineEvent struct {
	Action   string
	TimeNano int64 `json:"timeNano"`
	Actor    struct{ Attributes map[string]string }
}

func (e engineEvent) name() string { return e.Actor.Attributes["name"] }
func (e engineEvent) step() string { return e.Actor.Attributes["dev.stagehand.step"] }

// watch follows the engine's own events of the stack's containers. The engine
// itself remembers only its last 256 of all containers.
func (s *stack) watch() {
	s.t.Helper()
	cmd := exec.Command("docker", "events", "--since", stamp(s.began), "--filter", "type=container",
		"--filter", "label=dev.stagehand.stack="+s.name, "--format", "{{json .}}")
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e engineEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				continue
			}
			s.mu.Lock()
			s.seen = append(s.seen, e)
			s.mu.Unlock()
		}
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
}

// events are the engine's own events of the stack's containers since a time.
func (s *stack) events(since time.Time) []engineEvent {
	s.t.Helper()
	// A container of our own marks the present: when its creation has been
	// told, so has all that was before it.
	marker := fmt.Sprintf("%s-marker-%d", s.name, time.Now().UnixNano())
	s.docker("create", "--name", marker, "--label", "dev.stagehand.stack="+s.name, "--label", "scenario=marker", actorImage)
	defer s.docker("rm", marker)
	var events []engineEvent
	eventually(s.t, func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.ContainsFunc(s.seen, func(e engineEvent) bool { return e.name() == marker }) {
			return "the engine's events lag behind"
		}
		events = events[:0]
		for _, e := range s.seen {
			if e.TimeNano >= since.UnixNano() && e.Actor.Attributes["scenario"] != "marker" {
				events = append(events, e)
			}
		}
		return ""
	})
	slices.SortStableFunc(events, func(a, b engineEvent) int { return cmp.Compare(a.TimeNano, b.TimeNano) })
	return events
}

func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// timeline answers when things happened to steps, from the engine's events.
type timeline struct {
	t      *testing.T
	events []engineEvent
}

func (s *stack) timeline(since time.Time) timeline { return timeline{s.t, s.events(since)} }

// find returns the events of an action for the steps that begin with prefix.
func (l timeline) find(action, prefix string) []engineEvent {
	var out []engineEvent
	for _, e := range l.events {
		if e.Action == action && (e.step() == prefix || strings.HasPrefix(e.step(), prefix+"/")) {
			out = append(out, e)
		}
	}
	return out
}

// before fails the test unless every event of (action, step) is older than
// every one of (laterAction, laterStep), and both there are.
func (l timeline) before(action, step, laterAction, laterStep string) {
	l.t.Helper()
	first, second := l.find(action, step), l.find(laterAction, laterStep)
	if len(first) == 0 || len(second) == 0 {
		l.t.Errorf("%d %s of %s and %d %s of %s", len(first), action, step, len(second), laterAction, laterStep)
		return
	}
	if last, next := first[len(first)-1], second[0]; last.TimeNano >= next.TimeNano {
		l.t.Errorf("%s of %s comes %s after %s of %s", action, last.name(), time.Duration(last.TimeNano-next.TimeNano), laterAction, next.name())
	}
}

// diedWell fails the test unless the steps' containers ended with exit 0.
func (l timeline) diedWell(steps ...string) {
	l.t.Helper()
	for _, step := range steps {
		for _, e := range l.find("die", step) {
			if code := e.Actor.Attributes["exitCode"]; code != "0" {
				l.t.Errorf("%s died with %s", e.name(), code)
			}
		}
	}
}

// eventually polls until check returns "" and fails with what it said last. It
// is as patient as a command: how long a thing takes beside other tests on a busy
// machine is no claim of ours, and who makes one measures.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(commandLimit)
	for {
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", commandLimit, said)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
