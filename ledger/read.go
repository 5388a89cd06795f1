package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger/internal/store"
)

// Run is one execution of a stack's plan.
type Run struct {
	ID     string `json:"id"`
	Number int64  `json:"number"` // counts all runs of the ledger
	Stack  string `json:"stack"`
	// Engine is the engine's ID.
	Engine string `json:"engine,omitempty"`
	// Verb is what the run was for: up or down.
	Verb string `json:"verb,omitempty"`
	// Host is the name of the machine that it ran on.
	Host string `json:"host,omitempty"`
	// Plan is the number of steps by action.
	Plan map[string]int `json:"plan,omitempty"`
	// Token is that of its lease, 0 if it has had none.
	Token   int64     `json:"token,omitempty"`
	Started time.Time `json:"started"`
	// Ended and Verdict are zero while no end is recorded: the run goes on,
	// or its process was killed.
	Ended   time.Time      `json:"ended,omitzero"`
	Verdict events.Verdict `json:"verdict,omitempty"`
}

const runColumns = `SELECT id, number, stack, engine, started_at, ended_at, verdict, verb, host, plan, token FROM runs WHERE pruned = 0 `

// Runs returns the stack's runs, the latest first; stack "" means all stacks.
// Those that were pruned are not among them.
func (l *Ledger) Runs(ctx context.Context, stack string) ([]Run, error) {
	return l.runs(ctx, runColumns+`AND (stack = $1 OR $1 = '') ORDER BY number DESC`, stack)
}

// Last returns the stack's latest run; ok is false if there is none.
func (l *Ledger) Last(ctx context.Context, stack string) (run Run, ok bool, err error) {
	return l.one(ctx, runColumns+`AND (stack = $1 OR $1 = '') ORDER BY number DESC LIMIT 1`, stack)
}

// Find returns the run with this ID; ok is false if there is none.
func (l *Ledger) Find(ctx context.Context, id string) (run Run, ok bool, err error) {
	return l.one(ctx, runColumns+`AND id = $1`, id)
}

func (l *Ledger) one(ctx context.Context, query, argument string) (Run, bool, error) {
	runs, err := l.runs(ctx, query, argument)
	if err != nil || len(runs) == 0 {
		return Run{}, false, err
	}
	return runs[0], true, nil
}

func (l *Ledger) runs(ctx context.Context, query, argument string) ([]Run, error) {
	var found []Run
	err := l.query(ctx, func(rows *sql.Rows) error {
		var r Run
		var started, ended int64
		var plan string
		if err := rows.Scan(&r.ID, &r.Number, &r.Stack, &r.Engine, &started, &ended, &r.Verdict, &r.Verb, &r.Host, &plan, &r.Token); err != nil {
			return err
		}
		if plan != "" {
			if err := json.Unmarshal([]byte(plan), &r.Plan); err != nil {
				return fmt.Errorf("%w: %w", store.ErrBody, err)
			}
		}
		r.Started, r.Ended = moment(started), moment(ended)
		found = append(found, r)
		return nil
	}, query, argument)
	return found, err
}

// Events returns the run's events with a number above after, in order.
func (l *Ledger) Events(ctx context.Context, run string, after int64) ([]events.Event, error) {
	var found []events.Event
	err := l.query(ctx, func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		found = append(found, e)
		return err
	}, `SELECT body FROM events WHERE run = $1 AND seq > $2 ORDER BY seq`, run, after)
	return found, err
}

// Left returns what is left of the stack's runs that were pruned, in the order
// in which it was written: the events that still count.
func (l *Ledger) Left(ctx context.Context, stack string) ([]events.Event, error) {
	var found []events.Event
	err := l.query(ctx, func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		found = append(found, e)
		return err
	}, `SELECT e.body FROM runs r JOIN events e ON e.run = r.id WHERE r.stack = $1 AND r.pruned = 1 ORDER BY r.number, e.seq`, stack)
	return found, err
}

// Recorded returns what the stack has done on this engine: by step ID the
// latest step.ended whose outcome was done, unless it has been forgotten.
func (l *Ledger) Recorded(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return l.latest(ctx, stack, engineID, "step", `e.kind = 'step.ended' AND e.outcome = 'done'
		AND NOT EXISTS (SELECT 1 FROM forgotten f WHERE f.run = e.run AND f.seq = e.seq)`)
}

// Attempts returns, by step ID, how far the latest attempt at it on this engine has come: the step.ended
// of one that failed, timed out or was stopped, or its step.started where no such end is
// recorded. What has been forgotten is not among them.
func (l *Ledger) Attempts(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	// A step that was not reached is skipped as well as one that was stopped; only the event's error tells them
	// apart. Within a JSON string the quotes would be escaped, so nothing else looks like it.
	return l.latest(ctx, stack, engineID, "step", `(e.kind = 'step.started' OR e.kind = 'step.ended' AND
		(e.outcome IN ('failed', 'timed_out') OR e.outcome = 'skipped' AND e.body LIKE '%"error":"stopped: %'))
		AND NOT EXISTS (SELECT 1 FROM forgotten f WHERE f.run = e.run AND f.seq = e.seq)`)
}

// Stops returns, by step ID, the latest step.stopping or service.stopped of the
// stack on this engine: that a run was about to stop the step's container, or
// has, and why.
func (l *Ledger) Stops(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return l.latest(ctx, stack, engineID, "step", `e.kind IN ('step.stopping', 'service.stopped')`)
}

// Holders returns, by exclusive volume, the latest event in which a container
// of the stack that held the volume on this engine ended.
func (l *Ledger) Holders(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	return l.latest(ctx, stack, engineID, "held", `e.held <> ''`)
}

// latest returns, by the value of a column of events, the latest of the stack's
// events on this engine that meet a condition.
func (l *Ledger) latest(ctx context.Context, stack, engineID, column, condition string) (map[string]events.Event, error) {
	found := map[string]events.Event{}
	err := l.query(ctx, func(rows *sql.Rows) error {
		var of, body string
		if err := rows.Scan(&of, &body); err != nil {
			return err
		}
		e, err := decode(body)
		found[of] = e
		return err
	}, `
		SELECT subject, body FROM (
			SELECT e.`+column+` AS subject, e.body AS body, ROW_NUMBER() OVER (PARTITION BY e.`+column+` ORDER BY r.number DESC, e.seq DESC) AS age
			FROM runs r JOIN events e ON e.run = r.id
			WHERE r.stack = $1 AND r.engine = $2 AND `+condition+`
		) AS latest WHERE age = 1`, stack, engineID)
	return found, err
}

// Forget makes the named steps count as never begun on this engine; none named
// means all of the stack. The events stay.
func (l *Ledger) Forget(ctx context.Context, stack, engineID string, steps ...string) error {
	arguments := []any{stack, engineID}
	condition := ""
	if len(steps) > 0 {
		marks := make([]string, len(steps))
		for i, step := range steps {
			arguments = append(arguments, step)
			marks[i] = fmt.Sprintf("$%d", len(arguments))
		}
		condition = "AND e.step IN (" + strings.Join(marks, ", ") + ")"
	}
	release, err := l.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return l.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO forgotten (run, seq)
			SELECT e.run, e.seq FROM runs r JOIN events e ON e.run = r.id
			WHERE r.stack = $1 AND r.engine = $2 AND (e.kind = 'step.started' OR e.kind = 'step.ended' AND e.outcome <> 'skipped'
				OR e.kind = 'step.ended' AND e.body LIKE '%"error":"stopped: %') `+condition+`
			ON CONFLICT (run, seq) DO NOTHING`, arguments...)
		return err
	})
}

// query calls each for every row.
func (l *Ledger) query(ctx context.Context, each func(*sql.Rows) error, query string, arguments ...any) (err error) {
	rows, err := l.store.Reader.QueryContext(ctx, query, arguments...)
	if err != nil {
		return l.store.Explain(err)
	}
	defer func() { err = errors.Join(err, l.store.Explain(rows.Close())) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return l.store.Explain(err)
		}
	}
	return l.store.Explain(rows.Err())
}

func scanEvent(rows *sql.Rows) (e events.Event, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return e, err
	}
	return decode(body)
}

func decode(body string) (e events.Event, err error) {
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return e, fmt.Errorf("%w: %w", store.ErrBody, err)
	}
	return e, nil
}

// moment is the inverse of nanoseconds.
func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
