// Package record numbers a run's events and sees that none is lost.
package record

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/secrets"
)

// ErrLedger wraps the error of a sink or ledger.
var ErrLedger = errors.New("the ledger failed")

// Broken is the cause with which steps are cancelled when the engine or the
// ledger broke, or the lease was lost: nothing may be changed any more, and
// what runs is left for the next run to adopt.
type Broken struct{ Err error }

// Error is the cause's own text.
func (b *Broken) Error() string { return b.Err.Error() }

// Unwrap gives the cause.
func (b *Broken) Unwrap() error { return b.Err }

// patience bounds how long one batch may take to be kept.
const patience = 30 * time.Second

// Recorder numbers a run's events and hands them to the sink in order: those
// that come while the sink is busy together, as what it costs to keep one is
// waiting for the disk. Once the sink has failed nothing more is handed on: a
// hole in the record would be read as something that never happened.
type Recorder struct {
	sink       events.Sink
	run, stack string
	// Secrets hides what no event may tell; nil hides only what is known by its place.
	Secrets *secrets.Masker
	// Key seals the values that are handed on and are secret. Without one they are not kept.
	Key *secrets.Key

	turn chan struct{} // held by whoever hands a batch on

	mu     sync.Mutex // guards what follows
	seq    int64
	batch  *batch // that events join; nil when none is being filled
	failed error
}

// batch is events that are kept together, or not.
type batch struct {
	events []events.Event
	done   chan struct{} // closed once err is final
	err    error
}

// New returns the recorder of one run of one stack.
func New(sink events.Sink, run, stack string) *Recorder {
	return &Recorder{sink: sink, run: run, stack: stack, turn: make(chan struct{}, 1)}
}

// Emit records the event, whatever else is being cancelled: an outcome that
// is known must not be lost because the user is impatient. The error is the
// sink's, wrapped in ErrLedger, now and at every later call.
func (r *Recorder) Emit(e events.Event) error {
	b := r.join(e)
	select {
	case <-b.done: // another call took it along
		return b.err
	case r.turn <- struct{}{}:
	}
	defer func() { <-r.turn }()
	select {
	case <-b.done:
	default:
		r.keep(b)
	}
	return b.err
}

// join numbers the event and adds it to the batch that is being filled.
func (r *Recorder) join(e events.Event) *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	e = r.hide(e)
	e.V, e.Seq, e.Run, e.Stack, e.Time = events.Version, r.seq, r.run, r.stack, time.Now().UTC()
	if r.batch == nil {
		r.batch = &batch{done: make(chan struct{})}
	}
	r.batch.events = append(r.batch.events, e)
	return r.batch
}

// keep closes the batch and hands it on. The turn is held.
func (r *Recorder) keep(b *batch) {
	defer close(b.done)
	r.mu.Lock()
	r.batch, b.err = nil, r.failed // it is b: only the turn's holder takes it away
	r.mu.Unlock()
	if b.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := events.EmitAll(ctx, r.sink, b.events); err != nil {
		b.err = fmt.Errorf("%w: %w", ErrLedger, err)
		r.mu.Lock()
		r.failed = b.err
		r.mu.Unlock()
	}
}

// Note records what is only to be seen, such as progress. That it could not
// be kept is told by the next Emit.
func (r *Recorder) Note(e events.Event) { _ = r.Emit(e) }

// About is an event of a kind, filled in with the step that it is about.
func About(kind events.Kind, s *plan.Step) events.Event {
	e := events.Event{
		Kind: kind, Step: s.ID, Stage: s.Stage, Verb: string(s.Verb),
		Service: s.Service, App: s.App, Container: s.Container,
	}
	if kind == events.StepStarted || kind == events.StepEnded {
		e.Descriptor = s.Descriptor
	}
	return e
}
