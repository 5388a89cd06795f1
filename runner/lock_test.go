package runner_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// countingStack has helpers that leave a line each time they run.
func countingStack() *stackBuilder {
	b := newStack("count")
	data := b.volume("data")
	for _, name := range []string{"one", "two", "three"} {
		b.service(name, "sleep 10s then append /data/log "+name, mount(data, "/data"))
	}
	b.service("api", "forever", mount(data, "/data"))
	b.stage(stages.Stage{Name: "setup", Verb: stages.Run}, "one", "two")
	b.stage(stages.Stage{Name: "then", Verb: stages.Run}, "three")
	b.stage(stages.Stage{Name: "api", Verb: stages.Start}, "api")
	return b
}

// effects are the lines that the helpers left, sorted.
func effects(t *testing.T, b *bench) []string {
	t.Helper()
	var out bytes.Buffer
	if code, err := b.engine.Exec(t.Context(), "count-api-1", []string{"/actor", "cat", "/data/log"}, &out); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, &out)
	}
	lines := strings.Fields(out.String())
	slices.Sort(lines)
	return lines
}

func TestOfTwentyRunsAtOnceOneExecutes(t *testing.T) {
	for _, test := range []string{"one ledger", "a ledger each"} {
		t.Run(test, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				var group sync.WaitGroup
				books := make([]*book, 20)
				for i := range books {
					books[i] = b.book
					if test == "a ledger each" {
						books[i] = &book{}
					}
					group.Go(func() {
						result, err := runner.Up(t.Context(), &countingStack().Stack, runner.Options{
							Engine: b.engine, Sink: books[i], Ledger: books[i], Run: fmt.Sprint("run-", i), Lock: runner.Lock{Timeout: time.Hour},
						})
						if err != nil || result.Verdict != events.VerdictDone {
							t.Errorf("run %d: %v, %v", i, result.Verdict, err)
						}
					})
				}
				group.Wait()
				if got := effects(t, b); !slices.Equal(got, []string{"one", "three", "two"}) {
					t.Errorf("effects: %v", got)
				}
				if n := b.engine.Calls()["Create"]; n != 4 {
					t.Errorf("%d containers were made", n)
				}
				if _, err := b.engine.LeaseHolder(t.Context(), "count"); !errors.Is(err, containers.ErrNotFound) {
					t.Errorf("the lease is left: %v", err)
				}
				// What others did is in each run's own ledger too.
				for _, book := range books {
					before := b.engine.Calls()["Create"]
					b.book = book
					wantDone(t, b.up(countingStack()))
					if b.engine.Calls()["Create"] != before {
						t.Error("a later run did it again")
					}
				}
			})
		})
	}
}

func TestALostLeaseStopsTheRunAndLeavesItsHelpers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		var changes map[string]int
		var destroyer sync.WaitGroup
		destroyer.Go(func() {
			time.Sleep(5 * time.Second) // the first two helpers are at work
			changes = b.engine.Calls()
			changes["Destroy"]++ // this one
			if err := b.engine.Destroy(t.Context(), containers.LeaseObject("count")); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		_, err := b.try(countingStack())
		destroyer.Wait()
		if !errors.Is(err, containers.ErrLeaseLost) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took > 5*time.Second+containers.LeaseTTL/4 {
			t.Errorf("ended after %s", took)
		}
		for _, call := range []string{"Create", "Start", "Stop", "Destroy", "EnsureNetwork", "EnsureVolume", "Exec"} {
			if now := b.engine.Calls()[call]; now != changes[call] {
				t.Errorf("%s was called after the loss", call)
			}
		}
		if got := b.containers(); !slices.Equal(got, []string{"count-one-1 running", "count-two-1 running"}) {
			t.Errorf("left: %v", got)
		}
		if lost := b.book.of(events.LeaseLost); len(lost) != 1 || lost[0].Token == 0 {
			t.Errorf("recorded: %+v", lost)
		}
		wantDone(t, b.up(countingStack()))
		if got := effects(t, b); !slices.Equal(got, []string{"one", "three", "two"}) {
			t.Errorf("effects: %v", got)
		}
		acquired := b.book.of(events.LeaseAcquired)
		if len(acquired) != 2 || acquired[1].Token <= acquired[0].Token {
			t.Errorf("leases: %+v", acquired)
		}
	})
}

func TestWaitingForTheLeaseEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		lease, err := b.engine.Lease(t.Context(), "count", containers.Holder{Run: "other", User: "ann", Host: "far"})
		if err != nil {
			t.Fatal(err)
		}
		var held *containers.HeldError
		began := time.Now()
		b.opts.Lock.Timeout = time.Minute
		var told []containers.Holder
		b.opts.Lock.Waiting = func(h containers.Holder) { told = append(told, h) }
		_, err = b.try(countingStack())
		if !errors.As(err, &held) || held.Holder.User != "ann" || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if len(told) != 1 || told[0].Run != "other" {
			t.Errorf("told: %v", told)
		}
		if got := b.book.of(events.RunStarted); len(got) != 0 {
			t.Errorf("recorded a run that never began: %v", got)
		}
		interrupt := make(chan struct{})
		b.opts.Interrupt = interrupt
		go func() {
			time.Sleep(time.Second)
			close(interrupt)
		}()
		result, err := b.try(countingStack())
		if err != nil || result.Verdict != events.VerdictInterrupted {
			t.Errorf("interrupted: %v, %v", result.Verdict, err)
		}
		if err := lease.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDownWaitsForItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(countingStack()))
		lease, err := b.engine.Lease(t.Context(), "count", containers.Holder{Run: "other"})
		if err != nil {
			t.Fatal(err)
		}
		o := runner.DownOptions{Stack: "count", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "down", Volumes: true}
		var held *containers.HeldError
		if err := runner.Down(t.Context(), o); !errors.As(err, &held) {
			t.Errorf("got %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			if err := lease.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		o.Lock.Timeout = time.Minute
		began := time.Now()
		if err := runner.Down(t.Context(), o); err != nil || time.Since(began) < time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if left := b.containers(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}
