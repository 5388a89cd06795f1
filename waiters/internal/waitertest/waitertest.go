// Package waitertest is a stage to try waits and conditions on: the memory
// engine in fake time, and a stub for faults that it does not have. Only tests import it.
package waitertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/waiters"
)

// Stage is a memory engine whose containers run the program of their own service.
type Stage struct {
	*memory.Engine
	t *testing.T
	// Instances are the stack's names.
	Instances map[string]waiters.Instance
	// Commands are what Exec runs, by first word.
	Commands map[string]memory.Program
}

// Network is the stack's.
const Network = "test_default"

func newStage(t *testing.T) *Stage {
	t.Helper()
	s := &Stage{Engine: memory.New(memory.Options{}), t: t, Instances: map[string]waiters.Instance{}, Commands: map[string]memory.Program{}}
	t.Cleanup(s.Halt)
	s.ok(s.EnsureNetwork(t.Context(), containers.Network{Name: Network}))
	return s
}

func (s *Stage) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Expect makes the name the stack's, without a container.
func (s *Stage) Expect(name string) {
	i := waiters.Instance{Container: "test-" + name + "-1", Network: Network}
	if old, ok := s.Instances[name]; ok {
		i.Health = old.Health
	}
	s.Instances[name] = i
}

// Launch creates and starts a service.
func (s *Stage) Launch(name string, p memory.Program, change ...func(*containers.Spec)) {
	s.t.Helper()
	s.Expect(name)
	image := "test/" + name
	s.Push(image, func(ctx context.Context, process *memory.Process) int {
		if command, ok := s.Commands[process.Name]; ok {
			return command(ctx, process)
		}
		return p(ctx, process)
	})
	_, err := s.EnsureImage(s.t.Context(), image, "", containers.PullMissing, nil)
	s.ok(err)
	spec := containers.Spec{
		Name: s.Instances[name].Container, Image: image,
		Networks: []containers.Attachment{{Network: Network, Aliases: []string{name}}},
	}
	for _, f := range change {
		f(&spec)
	}
	_, err = s.Create(s.t.Context(), spec)
	s.ok(err)
	s.ok(s.Start(s.t.Context(), spec.Name))
}

// World is what conditions see of the stage.
func (s *Stage) World() waiters.World {
	return WorldOf(s.Engine, s.Instances)
}

// WorldOf is a world of an engine and the stack's names.
func WorldOf(e containers.Engine, instances map[string]waiters.Instance) waiters.World {
	return waiters.World{Engine: e, Network: Network, Instance: func(name string) (waiters.Instance, bool) {
		i, ok := instances[name]
		return i, ok
	}}
}

// Await waits, at most for limit, and returns the error and all that was reported.
func (s *Stage) Await(c waiters.Condition, limit time.Duration) ([]string, error) {
	s.t.Helper()
	var seen []string
	err := waiters.Wait(s.t.Context(), s.World(), waiters.Timed{Condition: c, Pace: waiters.Pace{Timeout: limit}}, func(o waiters.Observation) {
		seen = append(seen, o.Detail)
	})
	return seen, err
}

// Holds demands that c comes true within a minute.
func (s *Stage) Holds(c waiters.Condition) {
	s.t.Helper()
	if seen, err := s.Await(c, time.Minute); err != nil {
		s.t.Errorf("%s: %v (seen: %q)", c, err, seen)
	}
}

// Late demands that c times out after seeing detail last.
func (s *Stage) Late(c waiters.Condition, detail string) {
	s.t.Helper()
	_, err := s.Await(c, 3*time.Second)
	var late *waiters.TimedOut
	if !errors.As(err, &late) || late.Last.Detail != detail || late.After != 3*time.Second {
		s.t.Errorf("%s: %v, want a time-out after 3s that saw %q", c, err, detail)
	}
}

// Dead demands that c is given up, long before its time.
func (s *Stage) Dead(c waiters.Condition, text string) *waiters.Dead {
	s.t.Helper()
	begin := time.Now()
	_, err := s.Await(c, time.Hour)
	var dead *waiters.Dead
	if !errors.As(err, &dead) || dead.Error() != text || time.Since(begin) > time.Minute {
		s.t.Fatalf("%s: %v after %s, want dead at once: %s", c, err, time.Since(begin), text)
	}
	return dead
}

// After runs a program that prints lines and ends after d.
func After(d time.Duration, code int, lines ...string) memory.Program {
	return func(ctx context.Context, p *memory.Process) int {
		for _, line := range lines {
			fmt.Fprintln(p.Stdout, line)
		}
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		return code
	}
}

// Forever is longer than any wait.
const Forever = 1000 * time.Hour

// Serve runs an HTTP server on port 80 that begins to listen after d.
func Serve(d time.Duration, h http.HandlerFunc) memory.Program {
	return func(ctx context.Context, p *memory.Process) int {
		select {
		case <-ctx.Done():
			return 1
		case <-time.After(d):
		}
		l, err := p.Listen(":80")
		if err != nil {
			return 2
		}
		server := &http.Server{Handler: h}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		_ = server.Serve(l)
		return 0
	}
}

// Bubble runs f on a new stage in fake time.
func Bubble(t *testing.T, f func(t *testing.T, s *Stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f(t, s)
		s.Halt()
		synctest.Wait()
	})
}

// Stub is an engine that only dials, tells statuses and prints logs, as told.
type Stub struct {
	containers.Engine
	OnDial   func(ctx context.Context, network, address string) (net.Conn, error)
	OnStatus func(ctx context.Context, name string) (containers.Status, error)
	OnLogs   func() (io.ReadCloser, error)
}

// Dial calls OnDial.
func (s Stub) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.OnDial(ctx, network, address)
}

// Status calls OnStatus.
func (s Stub) Status(ctx context.Context, name string) (containers.Status, error) {
	return s.OnStatus(ctx, name)
}

// Logs calls OnLogs.
func (s Stub) Logs(context.Context, string, containers.LogOptions) (io.ReadCloser, error) {
	return s.OnLogs()
}
