package strategies

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/waiters"
)

const netName = "net"

// world is a memory engine with one service "s" that runs the actor's
// command; an empty command leaves it to be created.
func world(t *testing.T, command string, change ...func(*containers.Spec)) waiters.World {
	t.Helper()
	engine := memory.New(memory.Options{})
	t.Cleanup(engine.Halt)
	engine.Push("actor", actor.Main)
	ctx := t.Context()
	_, err := engine.EnsureImage(ctx, "actor", "", containers.PullMissing, nil)
	must(t, err)
	must(t, engine.EnsureNetwork(ctx, containers.Network{Name: netName}))
	w := waiters.World{Engine: engine, Network: netName, Instance: func(name string) (waiters.Instance, bool) {
		return waiters.Instance{Container: "c", Network: netName}, name == "s"
	}}
	if command == "" {
		return w
	}
	spec := containers.Spec{
		Name: "c", Image: "actor", Command: strings.Fields(command),
		Networks: []containers.Attachment{{Network: netName}},
	}
	for _, f := range change {
		f(&spec)
	}
	_, err = engine.Create(ctx, spec)
	must(t, err)
	must(t, engine.Start(ctx, "c"))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStrategies(t *testing.T) {
	published := func(s *containers.Spec) { s.Ports = []containers.Port{{Container: 80, Protocol: "tcp"}} }
	for name, test := range map[string]struct {
		command  string
		strategy wait.Strategy
		change   func(*containers.Spec)
	}{
		"log":            {"print hello world then forever", wait.ForLog("hello"), nil},
		"log twice":      {"count 2 hello then forever", wait.ForLog("hello").WithOccurrence(2), nil},
		"port":           {"listen :5000 hi", wait.ForListeningPort("5000/tcp").SkipInternalCheck(), nil},
		"published port": {"listen :80 hi", wait.ForExposedPort().SkipInternalCheck(), published},
		"http":           {"http :5000", wait.ForHTTP("/status/204").WithPort("5000/tcp").WithStatusCodeMatcher(func(n int) bool { return n == 204 }), nil},
		"http, any port": {"http :80", wait.ForHTTP("/status/200"), published},
		"exit":           {"exit 0", wait.ForExit(), nil},
		"file":           {"write /tmp/x yes then forever", wait.ForFile("/tmp/x"), nil},
		"exec":           {"forever", wait.ForExec([]string{"/actor", "exit", "3"}).WithExitCodeMatcher(func(n int) bool { return n == 3 }), nil},
		"exec's output": {"forever", wait.ForExec([]string{"/actor", "print", "fine"}).WithResponseMatcher(func(r io.Reader) bool {
			text, err := io.ReadAll(r)
			return err == nil && string(text) == "fine\n"
		}), nil},
		"all": {"print up then listen :5000 hi", wait.ForAll(wait.ForLog("up"), wait.ForListeningPort("5000/tcp").SkipInternalCheck()), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*containers.Spec)
			if test.change != nil {
				change = append(change, test.change)
			}
			c := Condition("s", test.strategy)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			must(t, waiters.Wait(ctx, world(t, test.command, change...), c, nil))
		})
	}
}

// look looks once and wants the observation not to hold.
func look(t *testing.T, w waiters.World, strategy wait.Strategy) (waiters.Observation, error) {
	t.Helper()
	o, err := Condition("s", strategy).Look(t.Context(), w)
	if o.Holds {
		t.Errorf("holds: %q", o.Detail)
	}
	return o, err
}

func TestNotYet(t *testing.T) {
	// None of the strategies is asked before there is something to ask about.
	if o, err := look(t, world(t, ""), wait.ForExit()); err != nil || o.Detail != "not created yet" {
		t.Errorf("before it is created: %+v, %v", o, err)
	}
	w := world(t, "forever")
	for name, strategy := range map[string]wait.Strategy{
		"log":  wait.ForLog("hello").WithStartupTimeout(50 * time.Millisecond),
		"port": wait.ForListeningPort("5000/tcp").SkipInternalCheck().WithStartupTimeout(50 * time.Millisecond),
		"exit": wait.ForExit().WithExitTimeout(50 * time.Millisecond),
	} {
		if o, err := look(t, w, strategy); err != nil || o.Detail == "" {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func TestDead(t *testing.T) {
	w := world(t, "print last words then exit 3")
	_, err := w.Engine.Wait(t.Context(), "c")
	must(t, err)
	_, err = look(t, w, wait.ForListeningPort("5000/tcp"))
	var dead *waiters.Dead
	if !errors.As(err, &dead) || dead.Status.ExitCode != 3 || strings.Join(dead.Logs, "|") != "last words" {
		t.Errorf("got %#v, want a death with exit 3 and its last words", err)
	}
}

func TestEngineGone(t *testing.T) {
	w := world(t, "forever")
	w.Engine.(*memory.Engine).Sever()
	if _, err := look(t, w, wait.ForLog("x")); !errors.Is(err, containers.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestUnknownService(t *testing.T) {
	_, err := Condition("other", wait.ForExit()).Look(t.Context(), world(t, ""))
	if !errors.Is(err, containers.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestNames(t *testing.T) {
	c := Condition("s", wait.ForLog("hello"))
	if !strings.HasPrefix(c.String(), "strategy s: ") || !strings.Contains(c.String(), "hello") {
		t.Errorf("String: %q", c.String())
	}
	if got := waiters.References(c); len(got) != 1 || got[0] != "s" {
		t.Errorf("References: %q", got)
	}
}
