package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
)

// recorder numbers the run's events and hands them to the sink one at a time.
// Once the sink has failed nothing more is handed on: a hole in the record
// would be read as something that never happened.
type recorder struct {
	sink       events.Sink
	run, stack string

	mu     sync.Mutex
	seq    int64
	failed error
}

func (c *recorder) emit(e events.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	c.seq++
	e.V, e.Seq, e.Run, e.Stack, e.Time = events.Version, c.seq, c.run, c.stack, time.Now().UTC()
	// An outcome is recorded even while everything else is being cancelled.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.sink.Emit(ctx, e); err != nil {
		c.failed = fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return c.failed
}

func (r *run) emit(e events.Event) error { return r.recorder.emit(e) }

// about fills in what the event is about.
func about(kind events.Kind, s *plan.Step) events.Event {
	return events.Event{
		Kind: kind, Step: s.ID, Stage: s.Stage, Verb: string(s.Verb),
		Service: s.Service, App: s.App, Container: s.Container,
	}
}

// sharedValues are what steps of this and earlier runs handed on.
type sharedValues struct {
	mu sync.Mutex
	v  plan.Values
}

func (s *sharedValues) set(stage, app string, pairs map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.Set(stage, app, pairs)
}

// resolve replaces the marks in x by what is known now.
func resolve[T any](s *sharedValues, x T, app string) (T, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return plan.Resolve(x, s.v, app)
}

// madeList is the containers of services that this run made, in order.
type madeList struct {
	mu    sync.Mutex
	names []string
}

func (m *madeList) add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, name)
}

func (m *madeList) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.names...)
}
