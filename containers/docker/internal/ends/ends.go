// Package ends hears from Docker's stream of events how containers end. The engine tells
// it before it clears up behind a container, and answers neither a wait nor a
// look until it has: tens of milliseconds, on a busy engine half a second.
package ends

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// Listener hears all of an engine's containers end. It opens one stream, at the first
// Listen, and keeps it until Close.
type Listener struct {
	api *client.Client

	opening sync.Mutex // held while a stream is opened
	mu      sync.Mutex
	stream  *stream // nil where none is open
	closed  bool
	done    sync.WaitGroup
}

// New is a Listener that does not listen yet.
func New(api *client.Client) *Listener { return &Listener{api: api} }

// End is how a container ended.
type End struct {
	ExitCode          int
	OOM               bool // some process of it ran out of memory
	Started, Finished time.Time
}

// stream is one connection. What has happened to a container that is younger than
// since is known as long as it is not broken.
type stream struct {
	since  time.Time // by the engine's clock
	cancel context.CancelFunc

	mu      sync.Mutex
	started map[string]time.Time // by ID, of what runs
	oom     map[string]bool      // likewise: it ran out of memory, in whatever process
	hearing map[string]map[chan End]bool
}

// Listen opens the stream where there is none. That it cannot be opened is no error:
// then nobody hears anything, and asks the engine.
func (l *Listener) Listen(ctx context.Context) {
	l.opening.Lock()
	defer l.opening.Unlock()
	if l.current() != nil {
		return
	}
	// Docker answers before it has subscribed, and tells what happened in between
	// all the same where it is asked from a time on: by its own clock.
	info, err := l.api.Info(ctx)
	since := translate.Time(info.SystemTime)
	if err != nil || since.IsZero() {
		return
	}
	living, cancel := context.WithCancel(context.Background()) // not ctx: it outlives the call
	s := &stream{since: since, cancel: cancel, started: map[string]time.Time{}, oom: map[string]bool{}, hearing: map[string]map[chan End]bool{}}
	filter := filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", string(events.ActionStart)), filters.Arg("event", string(events.ActionOOM)), filters.Arg("event", string(events.ActionDie)),
	)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		cancel()
		return
	}
	messages, broken := l.api.Events(living, events.ListOptions{Since: since.Format(time.RFC3339Nano), Filters: filter})
	l.stream = s
	l.done.Go(func() { // ends with the stream, which Close ends
		for {
			select {
			case m := <-messages:
				s.take(m)
			case <-broken: //nolint:errcheck // how it broke makes no difference
				cancel()
				l.mu.Lock()
				l.stream = nil
				l.mu.Unlock()
				return
			}
		}
	})
}

func (l *Listener) current() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream
}

// Close ends the stream.
func (l *Listener) Close() {
	l.mu.Lock()
	l.closed = true
	if l.stream != nil {
		l.stream.cancel()
	}
	l.mu.Unlock()
	l.done.Wait()
}

func (s *stream) take(m events.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, at := m.Actor.ID, time.Unix(0, m.TimeNano).UTC()
	switch m.Action {
	case events.ActionStart:
		s.started[id] = at
	case events.ActionOOM:
		s.oom[id] = true
	case events.ActionDie:
		code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
		if started, known := s.started[id]; known && err == nil {
			for heard := range s.hearing[id] {
				heard <- End{ExitCode: code, OOM: s.oom[id], Started: started, Finished: at}
			}
			delete(s.hearing, id)
		}
		delete(s.started, id)
		delete(s.oom, id)
	}
}

// Of is where the container's next end is heard, once at most; nothing is where nothing can be. Only
// those ends are told of which nobody has to ask the engine more: of a container that it does not start again, and that leaves nothing behind which another one may be waiting for, such as a port.
// Whoever waits asks the engine beside: a stream may break, or this call come too late. leave must be called.
func (l *Listener) Of(c container.InspectResponse) (next <-chan End, leave func()) {
	s := l.current()
	if s == nil || !plain(c) || !translate.Time(c.Created).After(s.since) {
		return nil, func() {}
	}
	heard := make(chan End, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hearing[c.ID] == nil {
		s.hearing[c.ID] = map[chan End]bool{}
	}
	s.hearing[c.ID][heard] = true
	return heard, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hearing[c.ID], heard)
		if len(s.hearing[c.ID]) == 0 {
			delete(s.hearing, c.ID)
		}
	}
}

// plain tells that the engine does not start the container again, and that it holds
// nothing that another one may be waiting for.
func plain(c container.InspectResponse) bool {
	if c.HostConfig == nil || !c.HostConfig.RestartPolicy.IsNone() || c.HostConfig.AutoRemove ||
		len(c.HostConfig.PortBindings) > 0 || c.HostConfig.PublishAllPorts || len(c.HostConfig.Devices) > 0 {
		return false
	}
	if c.NetworkSettings == nil {
		return false
	}
	for _, endpoint := range c.NetworkSettings.Networks {
		if endpoint != nil && endpoint.IPAMConfig != nil && (endpoint.IPAMConfig.IPv4Address != "" || endpoint.IPAMConfig.IPv6Address != "") {
			return false
		}
	}
	return true
}
