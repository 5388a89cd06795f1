package chaos

import (
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Leaser gives the engine's leases, with points of their own, to a process
// that is to have them. A lease ends with the process that holds it, as its
// connection does, and with the line to the engine.
func (p *process) Leaser() (containers.Leaser, bool) {
	l, ok := containers.AsLeaser(p.leases)
	return leaser{p, l}, ok && p.plan.Lease
}

type leaser struct {
	p    *process
	next containers.Leaser
}

func (l leaser) Lease(ctx context.Context, name string, holder containers.Holder) (containers.Lease, error) {
	drop := func(got containers.Lease) { _ = got.Release(context.WithoutCancel(ctx)) }
	got, err := pass(ctx, l.p, "Lease", name, func(ctx context.Context) (containers.Lease, error) { return l.next.Lease(ctx, name, holder) }, drop)
	if err != nil {
		return nil, err
	}
	held := &lease{Lease: got, p: l.p, lost: make(chan struct{})}
	stop := context.AfterFunc(l.p.line(), func() {
		close(held.lost)
		drop(got)
	})
	held.stop = stop
	return held, nil
}

func (l leaser) LeaseHolder(ctx context.Context, name string) (containers.Holder, error) {
	return pass(ctx, l.p, "LeaseHolder", name, func(ctx context.Context) (containers.Holder, error) { return l.next.LeaseHolder(ctx, name) }, nil)
}

func (l leaser) AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error) {
	return pass(ctx, l.p, "AwaitRelease", name, func(ctx context.Context) ([][]byte, error) { return l.next.AwaitRelease(ctx, name, token) }, nil)
}

type lease struct {
	containers.Lease
	p    *process
	lost chan struct{}
	stop func() bool
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Allow(ctx context.Context) error {
	select {
	case <-l.lost:
		return containers.ErrLeaseLost
	default:
		return l.Lease.Allow(ctx)
	}
}

func (l *lease) Tell(note []byte) {
	if l.p.point("telling") {
		l.Lease.Tell(note)
	}
}

func (l *lease) Release(ctx context.Context) error {
	if !l.p.point("before Release") {
		return errKilled
	}
	l.stop()
	err := l.Lease.Release(ctx)
	if !l.p.point("after Release") {
		return errKilled
	}
	return err
}

// lockTimeout is how long the next process waits for the lease of a dead one.
const lockTimeout = time.Minute
