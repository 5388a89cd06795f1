package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// engineCases are about events and the engine as a whole.
var engineCases = []Case{
	{"events tell a life in order, with the exit code", eventsInOrder},
	{"events of other labels are not told", eventsFiltered},
	{"an event stream ends with its ctx, and the next one hears what comes then", eventsReconnect},
	{"the engine says who it is, the same each time", info},
	{"a call ends soon after its ctx", cancelled},
	{"an engine that goes away answers unavailable and works again when it is back", severed},
}

var wholeLife = []containers.EventKind{
	containers.EventCreated, containers.EventStarted, containers.EventEnded, containers.EventDestroyed,
}

func eventsInOrder(t *testing.T, h Harness) {
	s := newStage(t, h)
	events := s.listen()
	for _, code := range []int{0, 3} {
		status := s.finish(s.spec(fmt.Sprint("a", code), fmt.Sprint("exit ", code)))
		s.must(h.Engine.Destroy(s.ctx, status.Name))
		got := s.heard(events, status.Name, containers.EventDestroyed)
		if !slices.Equal(kinds(got), wholeLife) {
			t.Fatalf("got events %v, want %v", kinds(got), wholeLife)
		}
		equal(s, "exit code of the end", got[2].ExitCode, code)
		for i, e := range got {
			equal(s, "ID", e.ID, status.ID)
			equal(s, "label", e.Labels[label], s.id)
			if e.Time.IsZero() || i > 0 && e.Time.Before(got[i-1].Time) {
				t.Errorf("event %s has time %v", e.Kind, e.Time)
			}
		}
	}
	name := s.ready(s.spec("killed", "print ready then forever"))
	s.must(h.Engine.Destroy(s.ctx, name))
	got := s.heard(events, name, containers.EventDestroyed)
	if !slices.Equal(kinds(got), wholeLife) || got[2].ExitCode != 137 {
		t.Errorf("destroyed while it ran: got events %+v", got)
	}
}

func eventsFiltered(t *testing.T, h Harness) {
	s := newStage(t, h)
	events := s.listen()
	other := s.spec("other", "exit 0", func(c *containers.Spec) { c.Labels = map[string]string{label: s.id + "-other"} })
	t.Cleanup(func() { s.check(h.Engine.Destroy(context.Background(), other.Name)) })
	s.finish(other)
	mine := s.finish(s.spec("mine", "exit 0"))
	s.heard(events, mine.Name, containers.EventEnded)
	equal(s, "events of another", len(events.of(other.Name)), 0)
}

func eventsReconnect(t *testing.T, h Harness) {
	s := newStage(t, h)
	first := s.listen()
	name := s.ready(s.spec("a", "trap SIGTERM 0s exit 5"))
	s.heard(first, name, containers.EventStarted)
	first.cancel()
	s.is("the end of the stream", first.result(), context.Canceled)
	heard := len(first.of(name))

	second := s.listen()
	_, err := h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	got := s.heard(second, name, containers.EventEnded)
	equal(s, "exit code", got[len(got)-1].ExitCode, 5)
	if slices.Contains(kinds(got), containers.EventStarted) {
		t.Errorf("the second stream tells what was before it: %v", kinds(got))
	}
	equal(s, "events on the stream that ended", len(first.of(name)), heard)
}

func info(t *testing.T, h Harness) {
	s := newStage(t, h)
	first, err := h.Engine.Info(s.ctx)
	s.must(err)
	if first.Kind == "" || first.ID == "" || first.Endpoint == "" || first.Version == "" {
		t.Errorf("incomplete: %+v", first)
	}
	again, err := h.Engine.Info(s.ctx)
	s.must(err)
	equal(s, "Info again", again, first)
}

// call is a call of the engine that blocks until its ctx ends.
type call struct {
	name string
	run  func(ctx context.Context) error
}

// blocking returns such calls over a running container that never ends.
func (s *stage) blocking(name string) []call {
	calls := []call{
		{"Wait", func(ctx context.Context) error {
			_, err := s.Engine.Wait(ctx, name)
			return err
		}},
		{"Events", func(ctx context.Context) error {
			return s.Engine.Events(ctx, s.labels, nil, func(containers.Event) {})
		}},
		{"Logs", func(ctx context.Context) error {
			reader, err := s.Engine.Logs(ctx, name, containers.LogOptions{Follow: true})
			if err != nil {
				return err
			}
			defer reader.Close()
			if _, err = io.Copy(io.Discard, reader); err == nil {
				return errors.New("the log ended")
			}
			return err
		}},
	}
	if x, ok := s.Engine.(containers.Execer); ok {
		calls = append(calls, call{"Exec", func(ctx context.Context) error {
			_, err := x.Exec(ctx, name, []string{"/actor", "forever"}, &bytes.Buffer{})
			return err
		}})
	}
	return append(calls, call{"Stop", func(ctx context.Context) error {
		_, err := s.Engine.Stop(ctx, name, time.Hour)
		return err
	}})
}

func cancelled(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGTERM 1h exit 0"))
	for _, c := range s.blocking(name) {
		ctx, cancel := context.WithCancel(s.ctx)
		result := s.async(func(context.Context) error { return c.run(ctx) })
		s.pause(100 * time.Millisecond) // lets the call begin; either order must hold
		cancel()
		s.is(c.name, result(), context.Canceled)
	}
	over, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err := h.Engine.Status(over, name)
	s.is("Status", err, context.Canceled)
	_, err = h.Engine.Create(over, s.spec("b", "exit 0"))
	s.is("Create", err, context.Canceled)
	_, err = h.Engine.Dial(over, s.network("n"), name+":1")
	s.is("Dial", err, context.Canceled)
}

func severed(t *testing.T, h Harness) {
	s := newStage(t, h)
	if h.Sever == nil || h.Restore == nil {
		t.Skip("the harness cannot take the engine away")
	}
	t.Cleanup(h.Restore) // before what was made is removed
	network := s.network("n")
	name := s.ready(s.spec("a", "trap SIGTERM 1h exit 0", s.on(network)))
	ended := s.finish(s.spec("b", "exit 3"))
	var names []string
	var results []func() error
	for _, c := range s.blocking(name) {
		if c.name == "Stop" {
			continue // would end the container
		}
		names, results = append(names, c.name), append(results, s.async(c.run))
	}
	s.pause(200 * time.Millisecond) // lets the calls begin; either order must hold
	h.Sever()
	for i, result := range results {
		s.is(names[i]+" when the engine goes away", result(), containers.ErrUnavailable)
	}
	s.unavailable(network, name, ended.Name)
	h.Restore()

	status, err := h.Engine.Status(s.ctx, name)
	s.must(err)
	equal(s, "state afterwards", status.State, containers.StateRunning)
	equal(s, "exit code afterwards", s.wait(ended.Name).ExitCode, 3)
	events := s.listen()
	status, err = h.Engine.Stop(s.ctx, name, 0)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 137)
	s.heard(events, name, containers.EventEnded)
}

// unavailable holds every call against an engine that does not answer.
func (s *stage) unavailable(network, running, ended string) {
	s.Helper()
	e, ctx := s.Engine, s.ctx
	var errs = map[string]error{}
	_, errs["Info"] = e.Info(ctx)
	_, errs["EnsureImage"] = e.EnsureImage(ctx, s.Image, "", containers.PullMissing, nil)
	errs["EnsureNetwork"] = e.EnsureNetwork(ctx, containers.Network{Name: network, Labels: s.labels})
	_, errs["EnsureVolume"] = e.EnsureVolume(ctx, containers.Volume{Name: s.named("v"), Labels: s.labels})
	errs["RemoveNetwork"] = e.RemoveNetwork(ctx, s.named("nothing"))
	errs["RemoveVolume"] = e.RemoveVolume(ctx, s.named("nothing"))
	_, errs["ListNetworks"] = e.ListNetworks(ctx, s.labels)
	_, errs["ListVolumes"] = e.ListVolumes(ctx, s.labels)
	_, errs["Create"] = e.Create(ctx, s.spec("c", "exit 0"))
	errs["Start"] = e.Start(ctx, running)
	_, errs["Status"] = e.Status(ctx, running)
	_, errs["Wait"] = e.Wait(ctx, ended)
	_, errs["Stop"] = e.Stop(ctx, ended, time.Second)
	_, errs["Logs"] = e.Logs(ctx, ended, containers.LogOptions{})
	errs["Destroy"] = e.Destroy(ctx, s.named("nothing"))
	_, errs["List"] = e.List(ctx, s.labels)
	errs["Events"] = e.Events(ctx, s.labels, nil, func(containers.Event) {})
	_, errs["Dial"] = e.Dial(ctx, network, running+":8080")
	if x, ok := e.(containers.Execer); ok {
		_, errs["Exec"] = x.Exec(ctx, running, []string{"/actor", "exit", "0"}, nil)
	}
	if c, ok := e.(containers.Copier); ok {
		errs["CopyIn"] = c.CopyIn(ctx, running, []containers.File{{Path: "/x"}})
		_, errs["CopyOut"] = c.CopyOut(ctx, running, "/actor")
	}
	for name, err := range errs {
		s.is(name+" of an engine that is away", err, containers.ErrUnavailable)
	}
}
