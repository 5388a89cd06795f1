package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger/internal/store"
)

// AppChange is one change in an app's registration.
type AppChange struct {
	// App is as the change left it; the State of one that was forgotten is removed.
	events.App
	// Cause of a removal.
	Cause string `json:"cause,omitempty"`
}

// Apps returns, by name, the apps of the stack that are registered on this engine; never nil.
func (l *Ledger) Apps(ctx context.Context, stack, engineID string) (map[string]events.App, error) {
	all, err := l.AppsOf(ctx, stack)
	found := map[string]events.App{}
	for _, a := range all {
		if a.Engine == engineID {
			found[a.Name] = a
		}
	}
	return found, err
}

// AppsOf returns the apps of the stack that are registered, by name and engine.
func (l *Ledger) AppsOf(ctx context.Context, stack string) ([]events.App, error) {
	var found []events.App
	err := l.query(ctx, func(rows *sql.Rows) error {
		a, err := scanApp(rows.Scan)
		found = append(found, a)
		return err
	}, `SELECT `+appColumns+` FROM apps WHERE stack = $1 ORDER BY app, engine`, stack)
	return found, err
}

// AppHistory returns every change in the registration of the stack's apps, by app, engine and time.
func (l *Ledger) AppHistory(ctx context.Context, stack string) ([]AppChange, error) {
	var found []AppChange
	err := l.query(ctx, func(rows *sql.Rows) error {
		var c AppChange
		var err error
		c.App, err = scanApp(func(to ...any) error { return rows.Scan(append(to, &c.Cause)...) })
		found = append(found, c)
		return err
	}, `SELECT `+appColumns+`, cause FROM app_history WHERE stack = $1 ORDER BY app, engine, number`, stack)
	return found, err
}

const appColumns = `stack, engine, app, state, descriptor, run, time`

func scanApp(scan func(...any) error) (a events.App, err error) {
	var descriptor string
	var at int64
	if err := scan(&a.Stack, &a.Engine, &a.Name, &a.State, &descriptor, &a.Run, &at); err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(descriptor), &a.Descriptor); err != nil {
		return a, fmt.Errorf("%w: %w", store.ErrBody, err)
	}
	a.Time = moment(at)
	return a, nil
}

// register does to the app of an event what the event says of it. It writes nothing
// where that is registered already, and refuses what would change it.
func (w *writing) register(ctx context.Context, e events.Event) error {
	state := e.Registers()
	if state == "" {
		return nil
	}
	r := w.rows[e.Run]
	a := events.App{Name: e.App, Stack: r.stack, Engine: r.engine, State: state, Descriptor: e.Descriptor, Run: e.Run, Time: e.Time}
	if state == events.Removed {
		return w.removeApp(ctx, a, e.Cause)
	}
	made, err := w.changeApp(ctx, a, `
		INSERT INTO apps (`+appColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (stack, engine, app) DO NOTHING`)
	if err != nil || made {
		return err
	}
	known, err := scanApp(w.tx.QueryRowContext(ctx, `
		SELECT `+appColumns+` FROM apps WHERE stack = $1 AND engine = $2 AND app = $3`+w.store.ForUpdate, a.Stack, a.Engine, a.Name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return w.register(ctx, e) // it was forgotten in between
	}
	if err != nil {
		return err
	}
	a.Descriptor = maps.Clone(known.Descriptor)
	for _, field := range slices.Sorted(maps.Keys(e.Descriptor)) {
		value := e.Descriptor[field]
		if was, has := known.Descriptor[field]; has && was != value {
			return fmt.Errorf("app %s: %s is %s and was %s in run %s: %w", a.Name, field, value, was, known.Run, ErrDeployed)
		}
		a.Descriptor[field] = value
	}
	if known.State == events.Deployed {
		a.State = events.Deployed // a further step of it may begin
	}
	if a.State == known.State && maps.Equal(a.Descriptor, known.Descriptor) {
		return nil
	}
	_, err = w.changeApp(ctx, a, `
		UPDATE apps SET state = $4, descriptor = $5, run = $6, time = $7 WHERE stack = $1 AND engine = $2 AND app = $3`)
	return err
}

// removeApp forgets the app, if it is registered.
func (w *writing) removeApp(ctx context.Context, a events.App, cause string) error {
	var descriptor string
	err := w.tx.QueryRowContext(ctx, `
		DELETE FROM apps WHERE stack = $1 AND engine = $2 AND app = $3 RETURNING descriptor`, a.Stack, a.Engine, a.Name).Scan(&descriptor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.noteApp(ctx, a, descriptor, cause)
}

// changeApp executes the statement with the app's columns, and notes the change
// if it has made one.
func (w *writing) changeApp(ctx context.Context, a events.App, statement string) (made bool, err error) {
	descriptor, err := json.Marshal(a.Descriptor)
	if err != nil {
		return false, err
	}
	result, err := w.tx.ExecContext(ctx, statement, a.Stack, a.Engine, a.Name, string(a.State), string(descriptor), a.Run, nanoseconds(a.Time))
	if err != nil {
		return false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	return true, w.noteApp(ctx, a, string(descriptor), "")
}

// noteApp adds a change to the history. Whoever does it holds the app's row, or
// has just deleted it: no two number theirs at one time.
func (w *writing) noteApp(ctx context.Context, a events.App, descriptor, cause string) error {
	_, err := w.tx.ExecContext(ctx, `
		INSERT INTO app_history (`+appColumns+`, cause, number)
		SELECT $1, $2, $3, $4, $5, $6, CAST($7 AS BIGINT), $8, COALESCE(MAX(number), 0) + 1 FROM app_history WHERE stack = $1 AND engine = $2 AND app = $3`,
		a.Stack, a.Engine, a.Name, string(a.State), descriptor, a.Run, nanoseconds(a.Time), cause)
	return err
}
