// Package lock is a runner's turn at a stack: it takes the lease that the
// engine guards the stack with, waits for who has it, and hands on between
// runs, whatever ledgers they keep, what is done.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/guard"
	"github.com/stagehand-dev/stagehand/events"
)

// Options of a Turn. Engine and Stack must be set.
type Options struct {
	Engine containers.Engine
	// Stack is the stack's name: that of the lease.
	Stack string
	// Holder is who the others are told to wait for.
	Holder containers.Holder
	// Timeout is how long all waits together may take; 0 does not wait.
	Timeout time.Duration
	// Waiting, if not nil, is told each holder that is waited for.
	Waiting func(containers.Holder)
	// Interrupt, closed, ends a wait.
	Interrupt <-chan struct{}
}

// ErrInterrupted: the wait was ended by Interrupt.
var ErrInterrupted = errors.New("interrupted while another run held the lease")

// Turn is one run's turn. Its methods but Told's result are for one goroutine.
type Turn struct {
	o      Options
	leaser containers.Leaser // nil where the engine has none
	waited time.Duration
	told   map[string]events.Event
	held   *held
}

// held is a lease that was taken.
type held struct {
	lease   containers.Lease
	guarded containers.Engine
	broken  chan error // gets an ErrLeaseLost, once
	stop    context.CancelFunc
	watcher sync.WaitGroup
}

// New returns a turn that has not come yet. It is ended with Release.
func New(o Options) *Turn {
	t := &Turn{o: o, told: map[string]events.Event{}}
	if leaser, ok := containers.AsLeaser(o.Engine); ok {
		t.leaser = leaser
	}
	return t
}

// Needless tells whether there is nothing to take: it is taken, or the engine
// has no leases.
func (t *Turn) Needless() bool { return t.held != nil || t.leaser == nil }

// Take takes the lease, or waits for somebody else's to end. In either case
// what was observed before is old: look again. The error is a
// *containers.HeldError when the timeout is over.
func (t *Turn) Take(ctx context.Context) error {
	ctx, end := until(ctx, t.o.Interrupt)
	defer end()
	lease, err := t.leaser.Lease(ctx, t.o.Stack, t.o.Holder)
	var taken *containers.HeldError
	switch {
	case err == nil:
		t.hold(ctx, lease)
		return nil
	case !errors.As(err, &taken):
		return interrupted(ctx, err)
	case t.o.Timeout <= t.waited:
		return t.tooLong(taken)
	}
	present := taken.Holder
	t.o.Holder.Token = max(t.o.Holder.Token, present.Token)
	if t.o.Waiting != nil {
		t.o.Waiting(present)
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, t.o.Timeout-t.waited)
	defer cancel()
	notes, err := t.leaser.AwaitRelease(limited, t.o.Stack, present.Token)
	t.waited += time.Since(began)
	switch {
	case err == nil:
		for _, note := range notes {
			t.hear(note)
		}
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return t.tooLong(taken)
	}
	return interrupted(ctx, err)
}

func (t *Turn) tooLong(taken *containers.HeldError) error {
	if t.o.Timeout <= 0 {
		return taken
	}
	return fmt.Errorf("%w: waited %s", taken, t.o.Timeout)
}

func interrupted(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrInterrupted) {
		return ErrInterrupted
	}
	return err
}

// until returns a context that also ends when stop is closed; end must be called.
func until(ctx context.Context, stop <-chan struct{}) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-stop:
			cancel(ErrInterrupted)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watcher.Wait()
	}
}

// hold begins to watch over the lease.
func (t *Turn) hold(ctx context.Context, lease containers.Lease) {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	h := &held{lease: lease, broken: make(chan error, 1), stop: stop, guarded: guard.Wrap(life, t.o.Engine, lease)}
	h.watcher.Go(func() {
		select {
		case <-lease.Lost():
			h.broken <- lease.Allow(life) // tells why
			stop()
		case <-life.Done():
		}
	})
	t.held = h
}

// Engine is the one to act through: it refuses changes once the lease is lost.
func (t *Turn) Engine() containers.Engine {
	if t.held == nil {
		return t.o.Engine
	}
	return t.held.guarded
}

// Token is the lease's, 0 when none is held.
func (t *Turn) Token() int64 {
	if t.held == nil {
		return 0
	}
	return t.held.lease.Token()
}

// Waited is for how long others were waited for.
func (t *Turn) Waited() time.Duration { return t.waited }

// Broken gets containers.ErrLeaseLost, once, when the lease is lost. nil when none is held.
func (t *Turn) Broken() <-chan error {
	if t.held == nil {
		return nil
	}
	return t.held.broken
}

// releaseLimit bounds the release: the lease ends with the connection in any case.
const releaseLimit = 10 * time.Second

// Release gives the lease back, if one is held.
func (t *Turn) Release() {
	if t.held == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	// A release that failed has closed the connection, and that is a release too.
	_ = t.held.lease.Release(ctx)
	t.held.stop()
	t.held.watcher.Wait()
	t.held = nil
}

// hear takes in what a holder told: a note that does not read as one is of
// another version, and as good as none.
func (t *Turn) hear(note []byte) {
	var told map[string]events.Event
	if json.Unmarshal(note, &told) != nil {
		return
	}
	if told == nil {
		clear(t.told)
	}
	for step, e := range told {
		if e.Time.After(t.told[step].Time) {
			t.told[step] = e
		}
	}
}

// Told is what the holders that were waited for have recorded, by step.
func (t *Turn) Told() map[string]events.Event { return t.told }

// Teller returns a sink that keeps what sink keeps, and tells those who wait
// for this turn's end which steps are done. recorded is what was done before.
func (t *Turn) Teller(sink events.Sink, recorded map[string]events.Event) events.Sink {
	if t.held == nil {
		return sink
	}
	done := make(map[string]events.Event, len(recorded))
	for step, e := range recorded {
		done[step] = brief(e)
	}
	teller := &teller{sink, t.held.lease}
	teller.tell(done)
	return teller
}

// Forget tells those who wait that nothing is done any more.
func (t *Turn) Forget() {
	if t.held != nil {
		t.held.lease.Tell([]byte("null"))
	}
}

type teller struct {
	events.Sink
	lease containers.Lease
}

// Emit tells what is kept, not before: each step for itself, so that the notes
// of a run are as long as its record.
func (t *teller) Emit(ctx context.Context, e events.Event) error {
	return t.EmitAll(ctx, []events.Event{e})
}

// EmitAll implements events.Batcher.
func (t *teller) EmitAll(ctx context.Context, all []events.Event) error {
	if err := events.EmitAll(ctx, t.Sink, all); err != nil {
		return err
	}
	for _, e := range all {
		if e.Kind == events.StepEnded && e.Outcome == events.Done && e.Error == "" {
			t.tell(map[string]events.Event{e.Step: brief(e)})
		}
	}
	return nil
}

func (t *teller) tell(done map[string]events.Event) {
	if note, err := json.Marshal(done); err == nil {
		t.lease.Tell(note)
	}
}

// brief is the event without what only people read.
func brief(e events.Event) events.Event {
	e.Logs, e.Progress, e.Cause = nil, nil, ""
	return e
}
