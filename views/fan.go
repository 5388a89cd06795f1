// Package views is what people and machines read of a run. Everything comes
// from the one stream of events, from the plan, or from what an engine lists.
package views

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/stagehand-dev/stagehand/events"
)

// Fan hands each event to the ledger and then to the views.
type Fan struct {
	// Keep is the ledger: an event that it does not take has failed, and no view sees it.
	// What a step printed last passes it by: the step's end tells it again.
	Keep events.Sink
	// Show are the views. One that fails, a closed pipe say, gets nothing
	// more, and the run goes on: nobody's work is stopped because nobody looks.
	Show []events.Sink

	mu     sync.Mutex
	broken map[int]error
}

// Emit returns the ledger's error only.
func (f *Fan) Emit(ctx context.Context, e events.Event) error {
	return f.EmitAll(ctx, []events.Event{e})
}

// EmitAll implements events.Batcher.
func (f *Fan) EmitAll(ctx context.Context, all []events.Event) error {
	keep := slices.DeleteFunc(slices.Clone(all), func(e events.Event) bool { return e.Kind == events.StepOutput })
	if len(keep) > 0 {
		if err := events.EmitAll(ctx, f.Keep, keep); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range all {
		f.show(ctx, e)
	}
	return nil
}

// show hands the event to the views. f.mu is held.
func (f *Fan) show(ctx context.Context, e events.Event) {
	for i, view := range f.Show {
		if f.broken[i] != nil {
			continue
		}
		if err := view.Emit(ctx, e); err != nil {
			if f.broken == nil {
				f.broken = map[int]error{}
			}
			f.broken[i] = fmt.Errorf("a view of the run ended early: %w", err)
		}
	}
}

// Err is why the first view that failed did, nil if none has.
func (f *Fan) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.Show {
		if f.broken[i] != nil {
			return f.broken[i]
		}
	}
	return nil
}

// JSON writes each event as one line.
type JSON struct{ W io.Writer }

// Emit writes the event.
func (j JSON) Emit(_ context.Context, e events.Event) error { return WriteJSON(j.W, e) }

// WriteJSON writes x on one line, with <, > and & as they are.
func WriteJSON(w io.Writer, x any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(x)
}
