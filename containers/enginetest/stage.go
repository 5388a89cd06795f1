package enginetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

// stage is what one case works with: names of its own, and what it made is
// removed at its end.
type stage struct {
	Harness
	*testing.T
	ctx    context.Context //nolint:containedctx // it is the life of one case, as testing.T.Context is
	id     string
	labels map[string]string // on all that the case makes
}

// label marks what the suite made, so that leftovers of a killed run can be found.
const label = "dev.stagehand.enginetest"

func newStage(t *testing.T, h Harness) *stage {
	if h.Slack == 0 {
		h.Slack = DefaultSlack
	}
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	id := hex.EncodeToString(random[:])
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	s := &stage{Harness: h, T: t, ctx: ctx, id: id, labels: map[string]string{label: id}}
	t.Cleanup(s.clean)
	return s
}

// clean removes what carries the case's label, and fails the case when that
// does not work.
func (s *stage) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := s.Engine.List(ctx, s.labels)
	s.check(err)
	for _, c := range all {
		s.check(s.Engine.Destroy(ctx, c.Name))
	}
	networks, err := s.Engine.ListNetworks(ctx, s.labels)
	s.check(err)
	for _, name := range networks {
		s.check(s.Engine.RemoveNetwork(ctx, name))
	}
	volumes, err := s.Engine.ListVolumes(ctx, s.labels)
	s.check(err)
	for _, v := range volumes {
		s.check(s.Engine.RemoveVolume(ctx, v.Name))
	}
}

// check reports an error and goes on; must ends the case.
func (s *stage) check(err error) {
	s.Helper()
	if err != nil {
		s.Error(err)
	}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is fails the case when err is not of the kind.
func (s *stage) is(what string, err, kind error) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("%s: got error %v, want %q", what, err, kind)
	}
}

func equal[T comparable](s *stage, what string, got, want T) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// named returns a name of this case's own.
func (s *stage) named(name string) string { return containers.Name("et", s.id, name) }

// spec returns a container that runs the actor with the words of command;
// words that hold blanks are given as further ones.
func (s *stage) spec(name, command string, change ...func(*containers.Spec)) containers.Spec {
	spec := containers.Spec{
		Name: s.named(name), Image: s.Image, Command: strings.Fields(command),
		Labels: map[string]string{label: s.id},
	}
	for _, f := range change {
		f(&spec)
	}
	spec.Labels[containers.LabelSpec] = spec.Hash()
	return spec
}

// create and start are Engine's, for a spec; errors end the case.
func (s *stage) create(spec containers.Spec) string {
	s.Helper()
	status, err := s.Engine.Create(s.ctx, spec)
	s.must(err)
	equal(s, "state after Create", status.State, containers.StateCreated)
	return spec.Name
}

func (s *stage) start(spec containers.Spec) string {
	s.Helper()
	s.create(spec)
	s.must(s.Engine.Start(s.ctx, spec.Name))
	return spec.Name
}

// finish runs the container to its end.
func (s *stage) finish(spec containers.Spec) containers.Status {
	s.Helper()
	s.start(spec)
	return s.wait(spec.Name)
}

func (s *stage) wait(name string) containers.Status {
	s.Helper()
	status, err := s.Engine.Wait(s.ctx, name)
	s.must(err)
	if !status.Ended() {
		s.Fatalf("Wait returned state %s", status.State)
	}
	return status
}

// logs reads the whole log up to now.
func (s *stage) logs(name string, opts containers.LogOptions) string {
	s.Helper()
	reader, err := s.Engine.Logs(s.ctx, name, opts)
	s.must(err)
	text, err := io.ReadAll(reader)
	s.check(err)
	s.check(reader.Close())
	return string(text)
}

// printed waits until the container has printed the line; it is how a program
// says that it is ready.
func (s *stage) printed(name, line string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.Slack)
	defer cancel()
	reader, err := s.Engine.Logs(ctx, name, containers.LogOptions{Follow: true})
	s.must(err)
	defer reader.Close()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if lines.Text() == line {
			return
		}
	}
	s.Fatalf("%s never printed %q (%v)", name, line, lines.Err())
}

// ready starts the container and waits until its program says so.
func (s *stage) ready(spec containers.Spec) string {
	s.Helper()
	s.start(spec)
	s.printed(spec.Name, "ready")
	return spec.Name
}

// pause lets time pass where nothing can be waited for.
func (s *stage) pause(d time.Duration) {
	s.Helper()
	if err := sleep.For(s.ctx, d); err != nil {
		s.Fatal(err)
	}
}

// eventually calls done until it is true.
func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	deadline := time.Now().Add(s.Slack)
	for !done() {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %v", what, s.Slack)
		}
		s.pause(10 * time.Millisecond)
	}
}

func (s *stage) network(name string) string {
	s.Helper()
	name = s.named(name)
	s.must(s.Engine.EnsureNetwork(s.ctx, containers.Network{Name: name, Labels: s.labels}))
	return name
}

func (s *stage) volume(name string) containers.VolumeStatus {
	s.Helper()
	v, err := s.Engine.EnsureVolume(s.ctx, containers.Volume{Name: s.named(name), Labels: s.labels})
	s.must(err)
	return v
}

// async runs f beside the case; the returned function waits for its error.
// At its end the case ends f's ctx and waits for f.
func (s *stage) async(f func(ctx context.Context) error) (result func() error) {
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(s.ctx)
	var group sync.WaitGroup
	group.Go(func() { done <- f(ctx) })
	s.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return func() error {
		s.Helper()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(s.Slack):
			s.Fatalf("a call did not end within %v", s.Slack)
			return nil
		}
	}
}

// recorder keeps events of the case's containers.
type recorder struct {
	mu     sync.Mutex
	events []containers.Event
	cancel context.CancelFunc // ends the stream
	result func() error       // waits for its end
}

// listen opens an event stream and returns once it is open.
func (s *stage) listen() *recorder {
	s.Helper()
	r := &recorder{}
	open := make(chan struct{})
	r.result = s.async(func(ctx context.Context) error {
		ctx, r.cancel = context.WithCancel(ctx)
		defer r.cancel()
		return s.Engine.Events(ctx, s.labels, func() { close(open) }, func(e containers.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		})
	})
	select {
	case <-open:
	case <-time.After(s.Slack):
		s.Fatal("the event stream did not open")
	}
	return r
}

// of returns the kinds of the events of one container, in order.
func (r *recorder) of(name string) []containers.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []containers.Event
	for _, e := range r.events {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

func kinds(events []containers.Event) []containers.EventKind {
	var found []containers.EventKind
	for _, e := range events {
		found = append(found, e.Kind)
	}
	return found
}

// heard waits until the last event of the container is of that kind.
func (s *stage) heard(r *recorder, name string, kind containers.EventKind) []containers.Event {
	s.Helper()
	s.eventually(name+": event "+string(kind), func() bool {
		return slices.Contains(kinds(r.of(name)), kind)
	})
	return r.of(name)
}
