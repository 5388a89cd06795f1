package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/events"
)

// batch is events that are committed together: a commit costs the disk's time
// once, however many events it holds.
type batch struct {
	entries []*entry
	done    chan struct{} // closed once all entries' err are final
}

type entry struct {
	event events.Event
	body  string
	err   error
}

var _ events.Sink = (*Ledger)(nil)

// Emit keeps the event: once it has returned nil, neither a crash of the process nor of
// the machine loses it. The same event again is no error; another one with
// the run and number of one that is kept is. What has happened is kept even if ctx is done.
func (l *Ledger) Emit(ctx context.Context, e events.Event) error {
	if e.Run == "" || e.Seq < 1 || e.Kind == "" {
		return fmt.Errorf("ledger: an event needs run, seq and kind, got %q, %d, %q", e.Run, e.Seq, e.Kind)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	mine := &entry{event: e, body: string(body)}
	b := l.join(mine)
	select {
	case <-b.done: // another's commit took it along
		return mine.err
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	select {
	case <-b.done:
		return mine.err
	default:
	}
	l.mu.Lock()
	l.batch = nil // it is b: only the turn's holder takes it away
	l.mu.Unlock()
	l.commit(context.WithoutCancel(ctx), b.entries)
	close(b.done)
	return mine.err
}

func (l *Ledger) join(e *entry) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batch == nil {
		l.batch = &batch{done: make(chan struct{})}
	}
	l.batch.entries = append(l.batch.entries, e)
	return l.batch
}

// commit writes the entries in one transaction or, where one of them spoils
// that, each in its own, so that only the bad one fails.
func (l *Ledger) commit(ctx context.Context, entries []*entry) {
	err := l.write(ctx, func(tx *sql.Tx) error {
		for _, e := range entries {
			if err := l.insert(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		for _, e := range entries {
			l.known[e.event.Run] = true
		}
	case errors.Is(err, errTaken) && len(entries) > 1:
		for _, e := range entries {
			l.commit(ctx, []*entry{e})
		}
	default:
		for _, e := range entries {
			e.err = err
		}
	}
}

// write runs f in a transaction; f may run only once, as the lock is taken at the beginning.
func (l *Ledger) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := l.writer.BeginTx(ctx, nil)
	if err != nil {
		return explain(l.path, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // err says more
		return explain(l.path, err)
	}
	return explain(l.path, tx.Commit())
}

func (l *Ledger) insert(ctx context.Context, tx *sql.Tx, e *entry) error {
	if err := l.insertRun(ctx, tx, e.event); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `
		INSERT INTO events (run, seq, time, kind, step, outcome, held, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (run, seq) DO NOTHING`,
		e.event.Run, e.event.Seq, nanoseconds(e.event.Time), string(e.event.Kind), e.event.Step, string(e.event.Outcome), held(e.event), e.body)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	var kept string
	if err := tx.QueryRowContext(ctx, `SELECT body FROM events WHERE run = $1 AND seq = $2`, e.event.Run, e.event.Seq).Scan(&kept); err != nil {
		return err
	}
	if kept != e.body {
		return fmt.Errorf("event %d of run %s is kept already, and is another: %w", e.event.Seq, e.event.Run, errTaken)
	}
	return nil
}

var errTaken = errors.New("two writers of one run")

// insertRun makes sure of the run's row and keeps its beginning and end.
func (l *Ledger) insertRun(ctx context.Context, tx *sql.Tx, e events.Event) error {
	if !l.known[e.Run] {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO runs (id, number, stack, engine, started_at, ended_at, verdict)
			SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, CAST($4 AS BIGINT), 0, '' FROM runs WHERE true
			ON CONFLICT (id) DO NOTHING`,
			e.Run, e.Stack, e.Engine, nanoseconds(e.Time)); err != nil {
			return err
		}
	}
	var err error
	switch e.Kind {
	case events.RunStarted:
		_, err = tx.ExecContext(ctx, `UPDATE runs SET stack = $2, engine = $3, started_at = $4 WHERE id = $1`,
			e.Run, e.Stack, e.Engine, nanoseconds(e.Time))
	case events.RunEnded:
		_, err = tx.ExecContext(ctx, `UPDATE runs SET ended_at = $2, verdict = $3 WHERE id = $1`,
			e.Run, nanoseconds(e.Time), string(e.Verdict))
	}
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
