package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// leaseCases are for engines that have leases; others skip them.
var leaseCases = []Case{
	{"of twenty who want a lease at once, one gets it and the others learn whose it is", leaseExclusive},
	{"tokens of a lease strictly increase from holder to holder", leaseTokens},
	{"who waits for a lease is told its end and all notes", leaseAwaited},
	{"a lease that somebody destroys is lost at once, and free", leaseDestroyed},
	{"a lease whose connection breaks is lost at once, and free", leaseSevered},
	{"a lease is no container of its stack", leaseUnlisted},
}

func (s *stage) leaser() containers.Leaser {
	s.Helper()
	leaser, ok := containers.AsLeaser(s.Engine)
	if !ok {
		s.Skip("the engine has no leases")
	}
	return leaser
}

// lease takes the case's lease; at its end it is released, whatever became of it.
func (s *stage) lease(run string) (containers.Lease, error) {
	lease, err := s.leaser().Lease(s.ctx, s.named("lease"), containers.Holder{Run: run, Host: "host", User: "user", PID: 42})
	if err == nil {
		s.Cleanup(func() { s.check(lease.Release(context.Background())) })
	}
	return lease, err
}

func (s *stage) mustLease(run string) containers.Lease {
	s.Helper()
	lease, err := s.lease(run)
	s.must(err)
	s.must(lease.Allow(s.ctx))
	return lease
}

// takeOver takes the lease once whoever holds it has lost it.
func (s *stage) takeOver(run string) containers.Lease {
	s.Helper()
	for {
		lease, err := s.lease(run)
		var held *containers.HeldError
		if !errors.As(err, &held) {
			s.must(err)
			return lease
		}
		_, err = s.leaser().AwaitRelease(s.ctx, s.named("lease"), held.Holder.Token)
		s.must(err)
	}
}

func isLost(lease containers.Lease) bool {
	select {
	case <-lease.Lost():
		return true
	default:
		return false
	}
}

// lostWithin waits for the loss to be told.
func (s *stage) lostWithin(lease containers.Lease, limit time.Duration) {
	s.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-lease.Lost():
	case <-timer.C:
		s.Fatalf("the loss was not told within %s", limit)
	}
	s.is("what a lost lease allows", lease.Allow(s.ctx), containers.ErrLeaseLost)
}

func leaseExclusive(t *testing.T, h Harness) {
	s := newStage(t, h)
	leaser := s.leaser()
	const contenders = 20
	var mu sync.Mutex
	var got []containers.Lease
	var winner string
	var held []containers.Holder
	var group sync.WaitGroup
	for i := range contenders {
		group.Go(func() {
			run := fmt.Sprint("run-", i)
			lease, err := s.lease(run)
			mu.Lock()
			defer mu.Unlock()
			var taken *containers.HeldError
			switch {
			case err == nil:
				got, winner = append(got, lease), run
			case errors.As(err, &taken):
				held = append(held, taken.Holder)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(got) != 1 || len(held) != contenders-1 {
		t.Fatalf("%d got the lease, %d were told that it is held", len(got), len(held))
	}
	for _, h := range held {
		if h.Run != winner || h.Host != "host" || h.User != "user" || h.PID != 42 || h.Since.IsZero() || h.Token != got[0].Token() {
			t.Errorf("told that %+v holds it, want %s with token %d", h, winner, got[0].Token())
		}
	}
	now, err := leaser.LeaseHolder(s.ctx, s.named("lease"))
	s.must(err)
	equal(s, "holder", now.Run, winner)
	s.must(got[0].Release(s.ctx))
	_, err = leaser.LeaseHolder(s.ctx, s.named("lease"))
	s.is("the holder of a lease that is free", err, containers.ErrNotFound)
	if isLost(got[0]) {
		t.Error("released, and told as lost")
	}
}

func leaseTokens(t *testing.T, h Harness) {
	s := newStage(t, h)
	var last int64
	for i := range 3 {
		lease := s.mustLease(fmt.Sprint("run-", i))
		if lease.Token() <= last {
			t.Errorf("token %d after %d", lease.Token(), last)
		}
		last = lease.Token()
		s.must(lease.Release(s.ctx))
		s.must(lease.Release(s.ctx)) // may be repeated
	}
	// A holder that has seen a token of the future, of a clock that was set
	// back since, gets a larger one.
	ahead := last + int64(time.Hour)
	lease, err := s.leaser().Lease(s.ctx, s.named("lease"), containers.Holder{Run: "ahead", Token: ahead})
	s.must(err)
	defer func() { s.check(lease.Release(s.ctx)) }()
	if lease.Token() <= ahead {
		t.Errorf("token %d after %d", lease.Token(), ahead)
	}
	now, err := s.leaser().LeaseHolder(s.ctx, s.named("lease"))
	s.must(err)
	equal(s, "token as others see it", now.Token, lease.Token())
}

func leaseAwaited(t *testing.T, h Harness) {
	s := newStage(t, h)
	lease := s.mustLease("first")
	lease.Tell([]byte("early"))
	var notes [4]string
	results := make([]func() error, len(notes))
	for i := range notes {
		results[i] = s.async(func(ctx context.Context) error {
			told, err := s.leaser().AwaitRelease(ctx, s.named("lease"), lease.Token())
			told = slices.CompactFunc(told, bytes.Equal) // one may come twice
			notes[i] = string(bytes.Join(told, []byte(" ")))
			return err
		})
	}
	s.pause(3 * time.Second) // lets the calls begin, on a busy machine too
	lease.Tell([]byte("late"))
	s.must(lease.Release(s.ctx))
	for i, result := range results {
		s.must(result())
		equal(s, "notes", notes[i], "early late")
	}
	// One that is not held, or by another holder, is not waited for.
	_, err := s.leaser().AwaitRelease(s.ctx, s.named("lease"), lease.Token())
	s.must(err)
	next := s.mustLease("second")
	_, err = s.leaser().AwaitRelease(s.ctx, s.named("lease"), lease.Token())
	s.must(err)

	ctx, cancel := context.WithCancel(s.ctx)
	result := s.async(func(context.Context) error {
		_, err := s.leaser().AwaitRelease(ctx, s.named("lease"), next.Token())
		return err
	})
	s.pause(100 * time.Millisecond)
	cancel()
	s.is("a wait whose ctx is done", result(), context.Canceled)
}

func leaseDestroyed(t *testing.T, h Harness) {
	s := newStage(t, h)
	first := s.mustLease("first")
	s.must(s.Engine.Destroy(s.ctx, containers.LeaseObject(s.named("lease"))))
	s.lostWithin(first, containers.LeaseTTL/4)
	second := s.takeOver("second")
	if second.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
	// The first one's late release does not touch the second's lease.
	s.must(first.Release(s.ctx))
	now, err := s.leaser().LeaseHolder(s.ctx, s.named("lease"))
	s.must(err)
	equal(s, "holder", now.Run, "second")
	if isLost(second) {
		t.Error("the second holder has lost its lease")
	}
}

func leaseSevered(t *testing.T, h Harness) {
	s := newStage(t, h)
	if h.Sever == nil || h.Restore == nil {
		t.Skip("the harness cannot take the engine away")
	}
	s.leaser()
	t.Cleanup(h.Restore)
	first := s.mustLease("first")
	h.Sever()
	s.lostWithin(first, containers.LeaseTTL/4)
	h.Restore()
	began := time.Now()
	s.takeOver("second")
	if took := time.Since(began); took > containers.LeaseTTL/2 {
		t.Errorf("free only after %s: it was not released, it ran out", took)
	}
}

func leaseUnlisted(t *testing.T, h Harness) {
	s := newStage(t, h)
	s.leaser()
	events := s.listen()
	lease, err := s.leaser().Lease(s.ctx, s.id, containers.Holder{Run: s.id})
	s.must(err)
	defer func() { s.check(lease.Release(s.ctx)) }()
	for _, labels := range []map[string]string{s.labels, {containers.LabelStack: s.id}, {containers.LabelRun: s.id}} {
		list, err := s.Engine.List(s.ctx, labels)
		s.must(err)
		equal(s, "containers with the stack's labels", len(list), 0)
	}
	marker := s.finish(s.spec("marker", "exit 0"))
	s.heard(events, marker.Name, containers.EventEnded)
	equal(s, "events of the lease", len(events.of(containers.LeaseObject(s.id))), 0)
}
