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

// patience bounds how long one event may take to be kept.
const patience = 30 * time.Second

// Recorder numbers a run's events and hands them to the sink one at a time.
// Once the sink has failed nothing more is handed on: a hole in the record
// would be read as something that never happened.
type Recorder struct {
	sink       events.Sink
	run, stack string

	mu     sync.Mutex
	seq    int64
	failed error
}

// New returns the recorder of one run of one stack.
func New(sink events.Sink, run, stack string) *Recorder {
	return &Recorder{sink: sink, run: run, stack: stack}
}

// Emit records the event, whatever else is being cancelled: an outcome that
// is known must not be lost because the user is impatient. The error is the
// sink's, wrapped in ErrLedger, now and at every later call.
func (r *Recorder) Emit(e events.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	r.seq++
	e.V, e.Seq, e.Run, e.Stack, e.Time = events.Version, r.seq, r.run, r.stack, time.Now().UTC()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.sink.Emit(ctx, e); err != nil {
		r.failed = fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return r.failed
}

// Note records what is only to be seen, such as progress. That it could not
// be kept is told by the next Emit.
func (r *Recorder) Note(e events.Event) { _ = r.Emit(e) }

// About is an event of a kind, filled in with the step that it is about.
func About(kind events.Kind, s *plan.Step) events.Event {
	return events.Event{
		Kind: kind, Step: s.ID, Stage: s.Stage, Verb: string(s.Verb),
		Service: s.Service, App: s.App, Container: s.Container,
	}
}
