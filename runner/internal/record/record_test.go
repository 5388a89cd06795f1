package record

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/events"
)

// disk is a sink that takes a while for each batch, and breaks after some.
type disk struct {
	batches [][]int64
	limit   int
}

var errFull = errors.New("no space left")

func (d *disk) Emit(ctx context.Context, e events.Event) error {
	return d.EmitAll(ctx, []events.Event{e})
}

func (d *disk) EmitAll(_ context.Context, all []events.Event) error {
	time.Sleep(time.Millisecond)
	if len(d.batches) == d.limit {
		return errFull
	}
	var numbers []int64
	for _, e := range all {
		numbers = append(numbers, e.Seq)
	}
	d.batches = append(d.batches, numbers)
	return nil
}

// emit emits n events at once and returns the errors.
func emit(r *Recorder, n int) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = r.Emit(events.Event{Kind: events.StepStarted}) })
	}
	group.Wait()
	return errs
}

// What comes while the disk is busy is written together, in order.
func TestEventsThatComeTogetherAreKeptTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{limit: 9}
		r := New(d, "run", "s")
		began := time.Now()
		for _, err := range emit(r, 10) {
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 2*time.Millisecond {
			t.Errorf("10 events at once took %s, %d writes", took, len(d.batches))
		}
		if err := r.Emit(events.Event{Kind: events.StepEnded}); err != nil {
			t.Error(err)
		}
		next := int64(1)
		for _, batch := range d.batches {
			for _, number := range batch {
				if number != next {
					t.Errorf("%v", d.batches)
				}
				next++
			}
		}
		if next != 12 {
			t.Errorf("%d events are kept, want 11", next-1)
		}
	})
}

func TestNothingIsHandedOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{limit: 1}
		r := New(d, "run", "s")
		if err := r.Emit(events.Event{Kind: events.RunStarted}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, err := range emit(r, 3) {
				if !errors.Is(err, ErrLedger) || !errors.Is(err, errFull) {
					t.Errorf("got %v", err)
				}
			}
			d.limit = 5 // there is room again, and it comes too late
		}
		if len(d.batches) != 1 {
			t.Errorf("kept %v", d.batches)
		}
	})
}
