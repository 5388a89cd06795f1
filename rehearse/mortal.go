package rehearse

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
)

// errDead is all that a runner sees once it has been killed.
var errDead = errors.New("killed by the rehearsal")

// mortal is a runner's whole world, engine and ledger, which can be cut off
// between any two acts: what was done stays done, nothing more is done or
// read. To the engine and the ledger that is a runner that was killed.
type mortal struct {
	engine containers.Engine
	ledger Ledger
	// reached is told each boundary, in the goroutine that reaches it; true
	// kills the runner there. It is not called once that has happened.
	reached func(Boundary) bool
	// steps are the steps' IDs by container.
	steps map[string]string

	mu   sync.Mutex
	dead bool
	died context.Context //nolint:containedctx // it is the process's life, not a call's
	die  context.CancelFunc
}

var (
	_ events.Sink   = (*mortal)(nil)
	_ runner.Ledger = (*mortal)(nil)
)

func newMortal(engine containers.Engine, book Ledger, steps map[string]string, reached func(Boundary) bool) *mortal {
	m := &mortal{ledger: book, steps: steps, reached: reached}
	m.died, m.die = context.WithCancel(context.Background())
	m.engine = faults.New(m.cut(engine), faults.Options{Decide: m.decide, Hook: m.hook})
	return m
}

// killed tells whether the runner was cut off.
func (m *mortal) killed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// at reports a boundary and tells whether the runner is dead by then.
func (m *mortal) at(step string, moment Moment) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dead && step != "" && m.reached(Boundary{Step: step, Moment: moment}) {
		m.dead = true
		m.die()
	}
	return m.dead
}

func (m *mortal) decide(call faults.Call) faults.Fault {
	// The lease of a process that died ends with its connection.
	if m.killed() && call.Method != "Release" {
		return faults.Fault{Before: errDead}
	}
	return faults.Fault{}
}

func (m *mortal) hook(p faults.Point) {
	if p.Moment != faults.AfterAct {
		return
	}
	switch p.Call.Method {
	case "Create":
		m.at(m.steps[p.Call.Name], Created)
	case "Start":
		m.at(m.steps[p.Call.Name], Started)
	}
}

// Emit keeps an event, unless the runner dies before.
func (m *mortal) Emit(ctx context.Context, e events.Event) error {
	ended := e.Kind == events.StepEnded && (e.Outcome == events.Done || e.Outcome == events.Adopted)
	if ended && m.at(e.Step, Ended) || m.killed() {
		return errDead
	}
	if err := m.ledger.Emit(ctx, e); err != nil {
		return err
	}
	if ended && m.at(e.Step, Recorded) {
		return errDead
	}
	return nil
}

// Recorded, Holders, Stops, Forget and Apps are the ledger's.
func (m *mortal) Recorded(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return m.ledger.Recorded(ctx, stack, engineID)
}

func (m *mortal) Apps(ctx context.Context, stack, engineID string) (map[string]events.App, error) {
	return m.ledger.Apps(ctx, stack, engineID)
}

func (m *mortal) Holders(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return m.ledger.Holders(ctx, stack, engineID)
}

func (m *mortal) Stops(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return m.ledger.Stops(ctx, stack, engineID)
}

func (m *mortal) Forget(ctx context.Context, stack, engineID string, steps ...string) error {
	return m.ledger.Forget(ctx, stack, engineID, steps...)
}

// cut ends what the dead runner was waiting for.
func (m *mortal) cut(engine containers.Engine) containers.Engine {
	c := cut{engine, m.died}
	x, runs := engine.(containers.Execer)
	f, copies := engine.(containers.Copier)
	if runs && copies {
		return struct {
			cut
			containers.Execer
			containers.Copier
		}{c, x, f}
	}
	return c
}

type cut struct {
	containers.Engine
	died context.Context //nolint:containedctx // it is the process's life, not a call's
}

func (c cut) Leaser() (containers.Leaser, bool) { return containers.AsLeaser(c.Engine) }

// Builder is that of the engine.
func (c cut) Builder() (containers.Builder, bool) { return containers.AsBuilder(c.Engine) }

func (c cut) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.died, func() { cancel(errDead) })
	return ctx, func() { stop(); cancel(nil) }
}

func (c cut) Wait(ctx context.Context, name string) (containers.Status, error) {
	ctx, end := c.within(ctx)
	defer end()
	return c.Engine.Wait(ctx, name)
}

func (c cut) Logs(ctx context.Context, name string, o containers.LogOptions) (io.ReadCloser, error) {
	reader, err := c.Engine.Logs(ctx, name, o)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(c.died, func() { _ = reader.Close() })
	return severed{reader, stop}, nil
}

type severed struct {
	io.ReadCloser
	stop func() bool
}

func (s severed) Close() error {
	s.stop()
	return s.ReadCloser.Close()
}
