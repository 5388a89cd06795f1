package ledger

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/events"
)

func started(run, stack, engine string) events.Event {
	e := event(run, 1, events.RunStarted)
	e.Stack, e.Engine, e.Verb = stack, engine, "up"
	return e
}

func leased(run string, seq, token int64, stack string) events.Event {
	e := event(run, seq, events.LeaseAcquired)
	e.Stack, e.Token = stack, token
	return e
}

func TestFence(t *testing.T) { everywhere(t, testFence) }

func testFence(t *testing.T, address string) {
	l, other := openAt(t, address), openAt(t, address) // two processes
	emit(t, l, started("old", "haf", "e1"), leased("old", 2, 5, "haf"), ended("old", 3, "a", events.Done, "s"))
	emit(t, other, started("waits", "haf", "e1"))
	emit(t, l, ended("old", 4, "b", events.Done, "s")) // who only waits fences nobody off
	emit(t, other, leased("waits", 2, 6, "haf"), ended("waits", 3, "a", events.Done, "s2"))
	for _, e := range []events.Event{ended("old", 5, "c", events.Done, "s"), event("old", 6, events.RunEnded), ended("old", 4, "b", events.Done, "s")} {
		if err := l.Emit(t.Context(), e); !errors.Is(err, ErrFenced) {
			t.Errorf("%s %d of the older run: %v", e.Kind, e.Seq, err)
		}
	}
	// The same tokens on another engine or stack are others.
	emit(t, l, started("r3", "haf", "e2"), leased("r3", 2, 1, "haf"), started("r4", "hello", "e1"), leased("r4", 2, 1, "hello"), ended("r4", 3, "a", events.Done, "s"))
	// A lease that is older than what is recorded is refused, and leaves no trace.
	emit(t, l, started("late", "haf", "e1"))
	if err := l.Emit(t.Context(), leased("late", 2, 5, "haf")); !errors.Is(err, ErrFenced) {
		t.Errorf("a lower token: %v", err)
	}
	if token, err := l.Token(t.Context(), "haf", "e1"); err != nil || token != 6 {
		t.Errorf("token %d, %v", token, err)
	}
	if got, err := l.Events(t.Context(), "old", 0); err != nil || len(got) != 4 {
		t.Errorf("%d events of the older run, %v", len(got), err)
	}
	done, err := l.Recorded(t.Context(), "haf", "e1")
	if err != nil || len(done) != 2 || done["a"].Run != "waits" || done["b"].Run != "old" {
		t.Errorf("%v, %v", done, err)
	}
	emit(t, other, ended("waits", 4, "c", events.Done, "s"))
}

// A run that takes no lease changes nothing, and fences nobody off, nor is it.
func TestFenceOfARunWithoutALease(t *testing.T) { everywhere(t, testFenceOfARunWithoutALease) }

func testFenceOfARunWithoutALease(t *testing.T, address string) {
	l := openAt(t, address)
	emit(t, l, started("none", "haf", "e1"), started("r2", "haf", "e1"), leased("r2", 2, 1, "haf"),
		ended("none", 2, "waits", events.Done, "s"), ended("r2", 3, "a", events.Done, "s"), event("none", 3, events.RunEnded))
}

// A token that run.started has already counts from there.
func TestFenceFromTheBeginning(t *testing.T) { everywhere(t, testFenceFromTheBeginning) }

func testFenceFromTheBeginning(t *testing.T, address string) {
	l := openAt(t, address)
	for i, run := range []string{"r1", "r2"} {
		e := started(run, "haf", "e1")
		e.Token = int64(i + 1)
		emit(t, l, e)
	}
	if err := l.Emit(t.Context(), ended("r1", 2, "a", events.Done, "s")); !errors.Is(err, ErrFenced) {
		t.Errorf("%v", err)
	}
	if err := l.Forget(t.Context(), "haf", "e1"); err != nil {
		t.Fatal(err)
	}
	emit(t, l, leased("r2", 2, 2, "haf"), ended("r2", 3, "a", events.Done, "s"))
	if runs, err := l.Runs(t.Context(), "haf"); err != nil || runs[0].Token != 2 {
		t.Errorf("%v, %v", runs, err)
	}
}

// A lease that is told before run.started, with its engine or without, counts from then on.
func TestLeaseBeforeTheBeginning(t *testing.T) { everywhere(t, testLeaseBeforeTheBeginning) }

func testLeaseBeforeTheBeginning(t *testing.T, address string) {
	l := openAt(t, address)
	first := leased("r1", 1, 2, "haf")
	begun := started("r1", "haf", "e1")
	begun.Seq = 2
	emit(t, l, first, begun)
	second := leased("r2", 1, 3, "haf")
	second.Engine = "e1"
	emit(t, l, second)
	if err := l.Emit(t.Context(), ended("r1", 3, "a", events.Done, "s")); !errors.Is(err, ErrFenced) {
		t.Errorf("%v", err)
	}
	third := leased("r3", 1, 1, "haf")
	begun = started("r3", "haf", "e1")
	begun.Seq = 2
	emit(t, l, third)
	if err := l.Emit(t.Context(), begun); !errors.Is(err, ErrFenced) {
		t.Errorf("a lower token, known with run.started: %v", err)
	}
}

// Runs that take the stack over from each other while they write: after a
// token is recorded, nothing of a run with a lower one is.
func TestConcurrentFences(t *testing.T) { everywhere(t, testConcurrentFences) }

func testConcurrentFences(t *testing.T, address string) {
	const runs, each = 8, 15
	var group errgroup.Group
	var refused atomic.Int64
	var holds [runs]bool // those whose lease was recorded: it may have come too late
	for i := range runs {
		group.Go(func() error {
			l, err := Open(t.Context(), address)
			if err != nil {
				return err
			}
			defer l.Close()
			run, stack := fmt.Sprintf("r%d", i), fmt.Sprintf("stack%d", i%2)
			if err := l.Emit(t.Context(), started(run, stack, "e1")); err != nil {
				return err
			}
			for seq := int64(2); seq < each; seq++ {
				e := ended(run, seq, run, events.Done, "s")
				e.Stack = stack
				if seq == 4 {
					e = leased(run, seq, int64(i+1), stack)
				}
				err := l.Emit(t.Context(), e)
				if errors.Is(err, ErrFenced) {
					refused.Add(1)
					return nil
				}
				if err != nil {
					return err
				}
				if seq < 4 {
					continue
				}
				holds[i] = true
				// What was kept was kept before a higher token was: whoever reads that one sees it.
				if token, err := l.Token(t.Context(), stack, "e1"); err != nil || token < int64(i+1) {
					return fmt.Errorf("token %d after %d, %w", token, i+1, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	l := openAt(t, address)
	for i := range runs {
		run := fmt.Sprintf("r%d", i)
		err := l.Emit(t.Context(), ended(run, 100, "late", events.Done, "s"))
		if !holds[i] {
			continue
		}
		if newest := i >= runs-2; newest != (err == nil) || !newest && !errors.Is(err, ErrFenced) {
			t.Errorf("%s afterwards: %v", run, err)
		}
	}
	t.Logf("%d of %d runs were fenced off while they wrote", refused.Load(), runs)
}
