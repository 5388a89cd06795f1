package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// row is what the ledger knows of a run.
type row struct {
	stack, engine string
	token         int64
}

// admit refuses events of a run that another has taken over from: that is one whose lease has a lower token
// than the highest recorded for its stack and engine. A run without a lease changes nothing, and is
// admitted. In PostgreSQL the fence stays as it is until the transaction ends.
func (l *Ledger) admit(ctx context.Context, tx *sql.Tx, run string, r row) error {
	if r.token == 0 {
		return nil
	}
	var token int64
	err := tx.QueryRowContext(ctx, `SELECT token FROM fences WHERE stack = $1 AND engine = $2`+l.store.ForUpdate, r.stack, r.engine).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // its engine is not known before run.started
	}
	if err == nil && r.token < token {
		return fenced(run, r, token)
	}
	return err
}

// fence records the token of a run's lease, unless there is a higher one.
func (l *Ledger) fence(ctx context.Context, tx *sql.Tx, run string, r row) error {
	result, err := tx.ExecContext(ctx, `
		INSERT INTO fences (stack, engine, token) VALUES ($1, $2, $3)
		ON CONFLICT (stack, engine) DO UPDATE SET token = excluded.token WHERE excluded.token >= fences.token`, r.stack, r.engine, r.token)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	token, err := l.tokenIn(ctx, tx, r.stack, r.engine)
	if err != nil {
		return err
	}
	return fenced(run, r, token)
}

func fenced(run string, r row, token int64) error {
	return fmt.Errorf("the lease of run %s of %s has token %d, and %d is recorded: %w", run, r.stack, r.token, token, ErrFenced)
}

// Token returns the highest lease token that is recorded for the stack on this
// engine, 0 if none is. A lease whose own count may begin anew must begin above.
func (l *Ledger) Token(ctx context.Context, stack, engineID string) (int64, error) {
	token, err := l.tokenIn(ctx, l.store.Reader, stack, engineID)
	return token, l.store.Explain(err)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, arguments ...any) *sql.Row
}

func (l *Ledger) tokenIn(ctx context.Context, q querier, stack, engineID string) (token int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(token), 0) FROM fences WHERE stack = $1 AND engine = $2`, stack, engineID).Scan(&token)
	return token, err
}
