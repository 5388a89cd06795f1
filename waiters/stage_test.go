package waiters_test

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

// stage is a memory engine whose containers run the program of their own service.
type stage struct {
	*memory.Engine
	t         *testing.T
	instances map[string]waiters.Instance
	// commands are what Exec runs, by first word.
	commands map[string]memory.Program
}

const network = "test_default"

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Engine: memory.New(memory.Options{}), t: t, instances: map[string]waiters.Instance{}, commands: map[string]memory.Program{}}
	t.Cleanup(s.Halt)
	s.ok(s.EnsureNetwork(t.Context(), containers.Network{Name: network}))
	return s
}

func (s *stage) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// expect makes the name the stack's, without a container.
func (s *stage) expect(name string) {
	i := waiters.Instance{Container: "test-" + name + "-1", Network: network}
	if old, ok := s.instances[name]; ok {
		i.Health = old.Health
	}
	s.instances[name] = i
}

// start creates and starts a service.
func (s *stage) start(name string, p memory.Program, change ...func(*containers.Spec)) {
	s.t.Helper()
	s.expect(name)
	image := "test/" + name
	s.Push(image, func(ctx context.Context, process *memory.Process) int {
		if command, ok := s.commands[process.Name]; ok {
			return command(ctx, process)
		}
		return p(ctx, process)
	})
	_, err := s.EnsureImage(s.t.Context(), image, "", containers.PullMissing, nil)
	s.ok(err)
	spec := containers.Spec{
		Name: s.instances[name].Container, Image: image,
		Networks: []containers.Attachment{{Network: network, Aliases: []string{name}}},
	}
	for _, f := range change {
		f(&spec)
	}
	_, err = s.Create(s.t.Context(), spec)
	s.ok(err)
	s.ok(s.Start(s.t.Context(), spec.Name))
}

func (s *stage) world() waiters.World {
	return worldOf(s.Engine, s.instances)
}

func worldOf(e containers.Engine, instances map[string]waiters.Instance) waiters.World {
	return waiters.World{Engine: e, Network: network, Instance: func(name string) (waiters.Instance, bool) {
		i, ok := instances[name]
		return i, ok
	}}
}

// wait waits, at most for limit, and returns the error and all that was reported.
func (s *stage) wait(c waiters.Condition, limit time.Duration) ([]string, error) {
	s.t.Helper()
	var seen []string
	err := waiters.Wait(s.t.Context(), s.world(), waiters.Timed{Condition: c, Pace: waiters.Pace{Timeout: limit}}, func(o waiters.Observation) {
		seen = append(seen, o.Detail)
	})
	return seen, err
}

// holds demands that c comes true within a minute.
func (s *stage) holds(c waiters.Condition) {
	s.t.Helper()
	if seen, err := s.wait(c, time.Minute); err != nil {
		s.t.Errorf("%s: %v (seen: %q)", c, err, seen)
	}
}

// late demands that c times out after seeing detail last.
func (s *stage) late(c waiters.Condition, detail string) {
	s.t.Helper()
	_, err := s.wait(c, 3*time.Second)
	var late *waiters.TimedOut
	if !errors.As(err, &late) || late.Last.Detail != detail || late.After != 3*time.Second {
		s.t.Errorf("%s: %v, want a time-out after 3s that saw %q", c, err, detail)
	}
}

// dead demands that c is given up, long before its time.
func (s *stage) dead(c waiters.Condition, text string) *waiters.Dead {
	s.t.Helper()
	begin := time.Now()
	_, err := s.wait(c, time.Hour)
	var dead *waiters.Dead
	if !errors.As(err, &dead) || dead.Error() != text || time.Since(begin) > time.Minute {
		s.t.Fatalf("%s: %v after %s, want dead at once: %s", c, err, time.Since(begin), text)
	}
	return dead
}

// after runs a program that prints lines and ends after d.
func after(d time.Duration, code int, lines ...string) memory.Program {
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

const forever = 1000 * time.Hour

// serve runs an HTTP server on port 80 that begins to listen after d.
func serve(d time.Duration, h http.HandlerFunc) memory.Program {
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

// bubble runs f in fake time.
func bubble(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f(t, s)
		s.Halt()
		synctest.Wait()
	})
}

// stub is an engine that only dials, tells statuses and prints logs, as told.
type stub struct {
	containers.Engine
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	status func(ctx context.Context, name string) (containers.Status, error)
	logs   func() (io.ReadCloser, error)
}

func (s stub) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.dial(ctx, network, address)
}

func (s stub) Status(ctx context.Context, name string) (containers.Status, error) {
	return s.status(ctx, name)
}

func (s stub) Logs(context.Context, string, containers.LogOptions) (io.ReadCloser, error) {
	return s.logs()
}
