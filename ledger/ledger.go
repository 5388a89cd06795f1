// Package ledger keeps the events of all runs: what finished, and how. It is
// one SQLite file that survives the process and the machine's power; any
// number of processes may read it while a run writes.
package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schema is the version that migrations ends with.
const schema = 1

// patience is how long a call waits for another process that writes.
const patience = 10 * time.Second

// Ledger is an open ledger. It is safe for concurrent use.
type Ledger struct {
	path string
	// writer has one connection, so that the processes, not the goroutines,
	// are all that can meet at SQLite's lock; reader never writes.
	writer, reader *sql.DB

	turn  chan struct{} // held by whoever writes a batch
	mu    sync.Mutex
	batch *batch          // that events join; nil when none is being filled
	known map[string]bool // runs that have a row; touched by the turn's holder only
}

// Open opens the ledger at address, and makes it, folders too, where there is none. An address
// is a path; "" stands for stagehand/ledger.db in the user's state folder. Errors
// satisfy errors.Is with ErrAddress or are a *FileError.
func Open(ctx context.Context, address string) (*Ledger, error) {
	path, err := locate(address)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, explain(path, err)
	}
	l := &Ledger{path: path, turn: make(chan struct{}, 1), known: map[string]bool{}}
	if l.writer, err = sql.Open("sqlite", source(path, "synchronous(FULL)", "journal_mode(WAL)")); err != nil {
		return nil, explain(path, err)
	}
	l.writer.SetMaxOpenConns(1)
	if l.reader, err = sql.Open("sqlite", source(path, "query_only(1)")); err != nil {
		return nil, errors.Join(explain(path, err), l.writer.Close())
	}
	if err := l.prepare(ctx); err != nil {
		_ = l.Close() // what was wrong before says more
		return nil, explain(path, err)
	}
	return l, nil
}

// Path is the ledger's file.
func (l *Ledger) Path() string { return l.path }

// Close closes the file. Nothing that was emitted is lost without it.
func (l *Ledger) Close() error {
	return explain(l.path, errors.Join(l.reader.Close(), l.writer.Close()))
}

// locate turns an address into an absolute path.
func locate(address string) (string, error) {
	scheme, _, isURL := strings.Cut(address, "://")
	switch {
	case scheme == "postgres" && isURL, scheme == "postgresql" && isURL:
		return "", fmt.Errorf("%w: a PostgreSQL ledger is not supported yet: give a file's path, or leave it out to use the default file", ErrAddress)
	case isURL:
		return "", fmt.Errorf("%w: %s is not a file's path", ErrAddress, address)
	case address == "":
		folder := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(folder) { // the specification has relative ones ignored
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("%w: there is no folder for it (%w): name a file with --ledger", ErrAddress, err)
			}
			folder = filepath.Join(home, ".local", "state")
		}
		return filepath.Join(folder, "stagehand", "ledger.db"), nil
	}
	path, err := filepath.Abs(address)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return path, nil
}

// source is the driver's name for the file. Transactions take the write lock
// at their beginning: one that has read cannot lose the lock to another then.
func source(path string, pragmas ...string) string {
	values := url.Values{"_txlock": {"immediate"}}
	values.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()))
	values.Add("_pragma", "foreign_keys(1)")
	for _, p := range pragmas {
		values.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: values.Encode()}).String()
}

// prepare brings the schema up to date. Two processes that make a ledger at the same time
// meet here: the one that is late fails, looks again and finds the work done.
func (l *Ledger) prepare(ctx context.Context) error {
	give := time.Now().Add(patience)
	for {
		version, err := l.version(ctx)
		if err == nil && version == schema {
			return nil
		}
		if err == nil && version > schema {
			return errNewer
		}
		if err == nil {
			err = l.migrate(ctx)
		}
		if err == nil {
			return nil
		}
		if !contended(err) || time.Now().After(give) {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// version is 0 for an empty file.
func (l *Ledger) version(ctx context.Context) (version int64, err error) {
	var tables int
	if err := l.writer.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil
	}
	err = l.writer.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return 0, errForeign
	}
	return version, err
}

func (l *Ledger) migrate(ctx context.Context) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, l.writer, folder)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
