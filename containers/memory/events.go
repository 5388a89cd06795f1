package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// subscriber is one call of Events. Its queue has no limit: a slow handler
// delays its own events and nobody else's.
type subscriber struct {
	labels map[string]string
	queue  []containers.Event
	wake   chan struct{} // holds one token when the queue has something
}

// emit tells all subscribers of a change of c. The engine is locked.
func (e *Engine) emit(c *container, kind containers.EventKind) {
	for _, s := range e.subscribers {
		if !carries(c.spec.Labels, s.labels) {
			continue
		}
		event := containers.Event{Time: time.Now(), Kind: kind, ID: c.id, Name: c.spec.Name, Labels: maps.Clone(c.spec.Labels)}
		switch kind {
		case containers.EventEnded:
			event.ExitCode = c.exitCode
		case containers.EventHealth:
			event.Health = c.health
		}
		s.queue = append(s.queue, event)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Events calls handle from the caller's own goroutine.
func (e *Engine) Events(ctx context.Context, labels map[string]string, ready func(), handle func(containers.Event)) error {
	if err := e.enter(ctx, "Events"); err != nil {
		return err
	}
	s := &subscriber{labels: maps.Clone(labels), wake: make(chan struct{}, 1)}
	e.subscribers = append(e.subscribers, s)
	cut := e.cut
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.subscribers = slices.DeleteFunc(e.subscribers, func(other *subscriber) bool { return other == s })
	}()
	if ready != nil {
		ready()
	}
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-cut:
			return fmt.Errorf("the stream broke: %w", containers.ErrUnavailable)
		}
		e.mu.Lock()
		batch := s.queue
		s.queue = nil
		e.mu.Unlock()
		for _, event := range batch {
			handle(event)
		}
	}
}
