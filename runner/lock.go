package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/lock"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
)

// Lock says how a run takes the lease of its stack, where the engine has
// leases. The zero value does not wait for others.
type Lock struct {
	// Holder says who this is; its Run is set by the runner.
	Holder containers.Holder
	// Timeout is how long others are waited for; then the run ends with a
	// *containers.HeldError.
	Timeout time.Duration
	// Waiting, if not nil, is told each holder that is waited for.
	Waiting func(containers.Holder)
}

// tokens is a Ledger that refuses what has a lower token than it has recorded.
type tokens interface {
	// Token returns the highest token recorded, 0 if none is.
	Token(ctx context.Context, stack, engineID string) (int64, error)
}

// queue asks which engine this is, and gets in line for the stack's lease there: the turn is to be
// released. Its token will be higher than those that the ledger has recorded, which an engine whose
// clock was set back does not know.
func (l Lock) queue(ctx context.Context, engine containers.Engine, ledger Ledger, stack, run string, interrupt <-chan struct{}) (turn *lock.Turn, engineID string, err error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, "", err
	}
	if recorded, ok := ledger.(tokens); ok {
		token, err := recorded.Token(ctx, stack, info.ID)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrLedger, err)
		}
		l.Holder.Token = max(l.Holder.Token, token)
	}
	return l.turn(stack, engine, run, interrupt), info.ID, nil
}

func (l Lock) turn(stack string, engine containers.Engine, run string, interrupt <-chan struct{}) *lock.Turn {
	l.Holder.Run = run
	return lock.New(lock.Options{
		Engine: engine, Stack: stack, Holder: l.Holder, Timeout: l.Timeout, Waiting: l.Waiting, Interrupt: interrupt,
	})
}

// turnTo plans until the plan is one that may be carried out: one that changes
// nothing, or one that was made while this run held the lease. So the runs that
// waited for one that brought the stack up find nothing to do, and take no lease.
func turnTo(ctx context.Context, turn *lock.Turn, stack *stages.Stack, engine containers.Engine, opts Options, engineID string) (*plan.Plan, knowledge, error) {
	for {
		// Told anew each time: a holder that was waited for has told more.
		book := &informed{Ledger: opts.Ledger, told: turn.Told()}
		p, known, err := prepare(ctx, stack, engine, book, engineID, opts.Key, opts.Wish)
		if err != nil {
			return nil, known, err
		}
		known.heard = book.heard
		if !acts(p) {
			turn.Release()
			return p, known, nil
		}
		if turn.Needless() {
			return p, known, nil
		}
		if err := turn.Take(ctx); err != nil {
			return p, known, err
		}
	}
}

// acts tells whether carrying out the plan changes anything.
func acts(p *plan.Plan) bool {
	return len(p.Sweep) > 0 || slices.ContainsFunc(p.Steps, func(s *plan.Step) bool {
		return s.Action.Changes() || s.Action == plan.Request || s.Action == plan.Adopt && s.Helper()
	})
}

// informed is a ledger that also knows what the holders that were waited for
// have told, who may keep other ledgers.
type informed struct {
	Ledger
	told  map[string]events.Event
	heard []events.Event // what was news, by step
}

// Recorded takes the later one where both know a step.
func (i *informed) Recorded(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	recorded, err := i.Ledger.Recorded(ctx, stack, engineID)
	if err != nil {
		return nil, err
	}
	i.heard = nil
	for step, e := range i.told {
		if own, known := recorded[step]; !known || e.Time.After(own.Time) {
			recorded[step] = e
			i.heard = append(i.heard, e)
		}
	}
	// In the order in which they happened: that is what the next run goes by.
	slices.SortFunc(i.heard, func(a, b events.Event) int {
		if a.Run == b.Run {
			return cmp.Compare(a.Seq, b.Seq)
		}
		return a.Time.Compare(b.Time)
	})
	return recorded, nil
}

// Attempts implements attempting where the ledger does.
func (i *informed) Attempts(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	if book, ok := i.Ledger.(attempting); ok {
		return book.Attempts(ctx, stack, engineID)
	}
	return nil, nil
}

// start records that the run begins, with the lease that it holds and what it
// has heard of others' runs.
func (r *run) start(engineID string, heard []events.Event) error {
	e := events.Event{
		Kind: events.RunStarted, Verb: "up", Engine: engineID, Files: r.stack.Files, Plan: r.plan.Counts(), Token: r.turn.Token(),
		Settled: settled(r.plan), Removed: r.plan.RemovedApps(),
	}
	if known := r.stack.Secrets.Values(); len(known) > 0 {
		list, err := json.Marshal(known)
		if err != nil {
			panic(fmt.Sprintf("runner: a list of texts does not marshal: %v", err))
		}
		if text, err := r.opts.Key.Seal(string(list)); err == nil {
			e.Sealed = text
		}
	}
	if err := r.record.Emit(e); err != nil {
		return err
	}
	if err := acquired(r.record, r.turn); err != nil {
		return err
	}
	for _, e := range heard {
		e.Cause = "done by run " + e.Run
		if err := r.record.Emit(e); err != nil {
			return err
		}
	}
	return nil
}

func acquired(recorder *record.Recorder, turn *lock.Turn) error {
	if turn.Token() == 0 {
		return nil
	}
	return recorder.Emit(events.Event{Kind: events.LeaseAcquired, Token: turn.Token(), Elapsed: turn.Waited()})
}

// lost records a loss of the lease, and says of it what people need to know.
func lost(recorder *record.Recorder, turn *lock.Turn, broken error) error {
	if !errors.Is(broken, containers.ErrLeaseLost) {
		return broken
	}
	// A ledger that refuses it, as somebody else is at work, says the same.
	_ = recorder.Emit(events.Event{Kind: events.LeaseLost, Token: turn.Token(), Error: broken.Error()})
	return fmt.Errorf("%w; what runs was left as it is, and the same command goes on from here", broken)
}
