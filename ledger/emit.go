package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/stagehand-dev/stagehand/events"
)

type entry struct {
	event events.Event
	body  string
}

var _ interface {
	events.Sink
	events.Batcher
} = (*Ledger)(nil)

// Emit keeps the event: once it has returned nil, neither a crash of the process nor of
// the machine loses it. The same event again is no error; another one with
// the run and number of one that is kept is. What has happened is kept even if ctx is done.
// The error is ErrFenced where another runner has taken over, and ErrDeployed where the event
// would deploy an app otherwise than it is; an app is registered, or forgotten, in the
// transaction that keeps the event which says so.
func (l *Ledger) Emit(ctx context.Context, e events.Event) error {
	return l.EmitAll(ctx, []events.Event{e})
}

// EmitAll is Emit for several events, which share one transaction: a commit costs the disk's time
// once, however many events it holds. One that cannot be kept keeps no other from being.
func (l *Ledger) EmitAll(ctx context.Context, all []events.Event) error {
	entries := make([]entry, len(all))
	for i, e := range all {
		if e.Run == "" || e.Seq < 1 || e.Kind == "" {
			return fmt.Errorf("ledger: an event needs run, seq and kind, got %q, %d, %q", e.Run, e.Seq, e.Kind)
		}
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		entries[i] = entry{event: e, body: string(body)}
	}
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.commit(context.WithoutCancel(ctx), entries)
}

// commit writes the entries in one transaction or, where one of them spoils
// that, each in its own, so that only the bad one fails. The error is the first.
func (l *Ledger) commit(ctx context.Context, entries []entry) error {
	var w *writing
	err := l.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		w = &writing{Ledger: l, tx: tx, rows: map[string]row{}, admitted: map[string]bool{}}
		for _, e := range entries {
			if err := w.insert(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	spoilt := errors.Is(err, errTaken) || errors.Is(err, ErrFenced) || errors.Is(err, ErrDeployed)
	switch {
	case err == nil:
		maps.Copy(l.known, w.rows)
	case spoilt && len(entries) > 1:
		err = nil
		for i := range entries {
			if failed := l.commit(ctx, entries[i:i+1]); err == nil {
				err = failed
			}
		}
	}
	return err
}

// writing is one transaction and what it has found out; it becomes known when it is committed.
type writing struct {
	*Ledger
	tx   *sql.Tx
	rows map[string]row
	// admitted are the runs whose fence was looked at: in this transaction only this one moves it.
	admitted map[string]bool
}

func (w *writing) insert(ctx context.Context, e entry) error {
	if err := w.insertRun(ctx, e.event); err != nil {
		return err
	}
	result, err := w.tx.ExecContext(ctx, `
		INSERT INTO events (run, seq, time, kind, step, outcome, held, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (run, seq) DO NOTHING`,
		e.event.Run, e.event.Seq, nanoseconds(e.event.Time), string(e.event.Kind), e.event.Step, string(e.event.Outcome), held(e.event), e.body)
	if err != nil {
		return err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return err
	case n > 0:
		return w.register(ctx, e.event)
	}
	var kept string
	if err := w.tx.QueryRowContext(ctx, `SELECT body FROM events WHERE run = $1 AND seq = $2`, e.event.Run, e.event.Seq).Scan(&kept); err != nil {
		return err
	}
	if kept != e.body {
		return fmt.Errorf("event %d of run %s is kept already, and is another: %w", e.event.Seq, e.event.Run, errTaken)
	}
	return nil
}

// insertRun makes sure of the run's row, that the run may still write, and
// keeps the run's beginning, lease and end.
func (w *writing) insertRun(ctx context.Context, e events.Event) error {
	r, err := w.row(ctx, e)
	if err != nil {
		return err
	}
	moved := false // the fence may have to
	switch e.Kind {
	case events.RunStarted:
		r.stack, r.engine, r.token = e.Stack, cmp.Or(e.Engine, r.engine), max(e.Token, r.token)
		moved = r.token > 0
		err = w.start(ctx, e, r)
	case events.LeaseAcquired:
		if e.Token > 0 {
			r.token, r.engine, moved = e.Token, cmp.Or(r.engine, e.Engine), true
			_, err = w.tx.ExecContext(ctx, `UPDATE runs SET token = $2, engine = $3 WHERE id = $1`, e.Run, r.token, r.engine)
		}
	case events.RunEnded:
		_, err = w.tx.ExecContext(ctx, `UPDATE runs SET ended_at = $2, verdict = $3 WHERE id = $1`,
			e.Run, nanoseconds(e.Time), string(e.Verdict))
	}
	if err != nil {
		return err
	}
	if moved && r.engine != "" {
		clear(w.admitted)
		err = w.fence(ctx, w.tx, e.Run, r)
	} else if !w.admitted[e.Run] {
		err = w.admit(ctx, w.tx, e.Run, r)
	}
	w.rows[e.Run], w.admitted[e.Run] = r, true
	return err
}

// row finds the run's row, or makes it.
func (w *writing) row(ctx context.Context, e events.Event) (row, error) {
	if r, ok := w.rows[e.Run]; ok {
		return r, nil
	}
	if r, ok := w.known[e.Run]; ok {
		return r, nil
	}
	find := func() (r row, err error) {
		err = w.tx.QueryRowContext(ctx, `SELECT stack, engine, token FROM runs WHERE id = $1`, e.Run).Scan(&r.stack, &r.engine, &r.token)
		return r, err
	}
	r, err := find()
	if !errors.Is(err, sql.ErrNoRows) {
		return r, err
	}
	if w.store.Numbering != "" {
		if _, err := w.tx.ExecContext(ctx, w.store.Numbering); err != nil {
			return r, err
		}
	}
	if _, err := w.tx.ExecContext(ctx, `
		INSERT INTO runs (id, number, stack, engine, started_at, ended_at, verdict, host)
		SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, CAST($4 AS BIGINT), 0, '', $5 FROM runs WHERE true
		ON CONFLICT (id) DO NOTHING`,
		e.Run, e.Stack, e.Engine, nanoseconds(e.Time), w.host); err != nil {
		return r, err
	}
	return find()
}

// start keeps what run.started tells.
func (w *writing) start(ctx context.Context, e events.Event, r row) error {
	plan := ""
	if len(e.Plan) > 0 {
		text, err := json.Marshal(e.Plan)
		if err != nil {
			return err
		}
		plan = string(text)
	}
	_, err := w.tx.ExecContext(ctx, `UPDATE runs SET stack = $2, engine = $3, started_at = $4, verb = $5, plan = $6, token = $7 WHERE id = $1`,
		e.Run, r.stack, r.engine, nanoseconds(e.Time), e.Verb, plan, r.token)
	return err
}

// held is the volume that a container gave up by ending, as this event tells.
func held(e events.Event) string {
	if e.ExitCode == nil {
		return ""
	}
	return e.Exclusive
}

// nanoseconds since 1970; 0 for the zero time, whose own number would overflow.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
