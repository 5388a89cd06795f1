// Package ledger keeps the events of all runs: what finished, and how. It is
// one SQLite file, or a schema in a PostgreSQL database, that survives the
// process and the machine's power; any number of processes may read and write it.
package ledger

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/ledger/internal/store"
	"github.com/stagehand-dev/stagehand/sleep"
)

// patience is how long a call waits for another process that writes, or for a
// server that does not answer.
const patience = 10 * time.Second

// Ledger is an open ledger. It is safe for concurrent use.
type Ledger struct {
	store *store.Store
	host  string

	turn  chan struct{}  // held by whoever writes
	known map[string]row // runs that have a row, by ID; touched by the turn's holder only
}

// Open opens the ledger at address, and makes it where there is none. An address is a file's path
// or the URL of a PostgreSQL database (postgres://USER:PASSWORD@HOST:PORT/DATABASE), whose schema is
// "stagehand" unless the URL has a search_path; "" stands for stagehand/ledger.db in the user's
// state folder. Errors satisfy errors.Is with ErrAddress or are a *FileError.
func Open(ctx context.Context, address string) (*Ledger, error) {
	return open(ctx, address, patience)
}

func open(ctx context.Context, address string, patience time.Duration) (*Ledger, error) {
	s, err := store.Open(ctx, address, patience)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // history without it is worth keeping
	}
	return &Ledger{store: s, host: host, turn: make(chan struct{}, 1), known: map[string]row{}}, nil
}

// Path is the ledger's file, or its database's URL without the password.
func (l *Ledger) Path() string { return l.store.Name }

// KeyFile is where the key of what is sealed in the ledger's events is looked for where
// nobody names another: beside its file; of a server's, beside the file that a ledger without an address is.
func (l *Ledger) KeyFile() (string, error) {
	path := l.store.Name
	if strings.Contains(path, "://") {
		var err error
		if path, err = store.Locate(""); err != nil {
			return "", err
		}
	}
	return path + ".key", nil
}

// Public is an address as it may be shown: without a password.
func Public(address string) string { return store.Public(address) }

// Close closes the ledger. Nothing that was emitted is lost without it.
func (l *Ledger) Close() error { return l.store.Close() }

// take makes the caller the one who writes, until the returned function is called.
func (l *Ledger) take(ctx context.Context) (release func(), err error) {
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write runs f in a transaction, and again where that failed by something that
// passes: f must be repeatable, even after a commit whose answer got lost.
func (l *Ledger) write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return l.writeFor(ctx, l.store.Limit, f)
}

// writeFor is write with a limit for one attempt; 0 is none.
func (l *Ledger) writeFor(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	give := time.Now().Add(l.store.Patience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := l.attempt(ctx, limit, f)
		if err == nil || ctx.Err() != nil || !l.store.Passes(err) || time.Now().After(give) {
			return l.store.Explain(err)
		}
		if err := sleep.For(ctx, wait); err != nil {
			return l.store.Explain(err)
		}
	}
}

func (l *Ledger) attempt(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	tx, err := l.store.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		_ = tx.Rollback() // err says more
		return err
	}
	return tx.Commit()
}
