package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

var _ containers.Leaser = (*Engine)(nil)

// lease implements containers.Lease. It is guarded by Engine.mu, but for what
// is never changed. Sever ends it, as it ends every connection.
type lease struct {
	engine *Engine
	name   string
	holder containers.Holder
	notes  [][]byte
	ended  chan struct{} // closed once it is held no more
	lost   chan struct{}
	once   sync.Once
}

// Lease implements containers.Leaser.
func (e *Engine) Lease(ctx context.Context, name string, holder containers.Holder) (containers.Lease, error) {
	if err := e.enter(ctx, "Lease"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	if present := e.leases[name]; present != nil {
		return nil, &containers.HeldError{Name: name, Holder: present.holder}
	}
	e.tokens[name] = max(e.tokens[name], holder.Token) + 1
	holder.Token, holder.Since = e.tokens[name], time.Now()
	l := &lease{engine: e, name: name, holder: holder, ended: make(chan struct{}), lost: make(chan struct{})}
	e.leases[name] = l
	return l, nil
}

// LeaseHolder implements containers.Leaser.
func (e *Engine) LeaseHolder(ctx context.Context, name string) (containers.Holder, error) {
	if err := e.enter(ctx, "LeaseHolder"); err != nil {
		return containers.Holder{}, err
	}
	defer e.mu.Unlock()
	if present := e.leases[name]; present != nil {
		return present.holder, nil
	}
	return containers.Holder{}, fmt.Errorf("lease of %s: %w", name, containers.ErrNotFound)
}

// AwaitRelease implements containers.Leaser.
func (e *Engine) AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error) {
	if err := e.enter(ctx, "AwaitRelease"); err != nil {
		return nil, err
	}
	present, cut := e.leases[name], e.cut
	e.mu.Unlock()
	if present == nil || present.holder.Token != token {
		return nil, nil
	}
	select {
	case <-present.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-cut:
		return nil, fmt.Errorf("AwaitRelease: %w", containers.ErrUnavailable)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(present.notes), nil
}

// end takes the lease away. The engine is locked.
func (l *lease) end(lost bool) {
	l.once.Do(func() {
		delete(l.engine.leases, l.name)
		close(l.ended)
		if lost {
			close(l.lost)
		}
	})
}

// endLease ends the lease that the object stands for, if there is one. The
// engine is locked.
func (e *Engine) endLease(object string) {
	for name, l := range e.leases {
		if containers.LeaseObject(name) == object {
			l.end(true)
		}
	}
}

func (l *lease) Token() int64 { return l.holder.Token }

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Allow(context.Context) error {
	select {
	case <-l.lost:
		return fmt.Errorf("%w: somebody ended it, or the connection to the engine broke", containers.ErrLeaseLost)
	default:
		return nil
	}
}

func (l *lease) Tell(note []byte) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.notes = append(l.notes, bytes.Clone(note))
}

func (l *lease) Release(ctx context.Context) error {
	if err := l.engine.enter(ctx, "Release"); err != nil {
		return err
	}
	defer l.engine.mu.Unlock()
	l.end(false)
	return nil
}
