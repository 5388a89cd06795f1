// Package store opens the database that a ledger lives in, a SQLite file or a
// PostgreSQL server, with the schema up to date. It knows what the two differ
// in: how they lock, how they fail, and what helps then.
package store

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
	"time"

	"github.com/pressly/goose/v3"

	"github.com/stagehand-dev/stagehand/sleep"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schema is the version that migrations ends with.
const schema = 4

// Store is an open database. It is safe for concurrent use.
type Store struct {
	// Name is the file's path, or the database's URL without its password.
	Name string
	// Writer is for write transactions, one at a time; Reader never writes.
	Writer, Reader *sql.DB
	// Patience is how long a call waits for another process that writes, and
	// for a server that does not answer.
	Patience time.Duration
	// Limit bounds one transaction; 0 where the database keeps to Patience by
	// itself (SQLite does, and a ctx that may end costs it a third of its speed).
	Limit time.Duration
	// ForUpdate is what a SELECT of a write transaction adds so that its rows
	// stay as they are until the end.
	ForUpdate string
	// Numbering is executed before a run is numbered, so that no two get one
	// number; empty where a write transaction is alone anyway.
	Numbering string
	// Serial is executed, with a name as its argument, at the beginning of a write transaction
	// that no other with this name may run beside; empty where none does anyway.
	Serial string

	dialect dialect
}

// dialect is what the two kinds of databases differ in.
type dialect interface {
	// version is the schema's; 0 for an empty database.
	version(ctx context.Context, db *sql.DB) (int64, error)
	// migrate brings the schema up to date.
	migrate(ctx context.Context, db *sql.DB) error
	// contended tells errors of two processes that set the schema up at the same time.
	contended(err error) bool
	// passes tells errors that the same transaction may not meet again soon.
	passes(err error) bool
	// explain puts words and a remedy to what is no *FileError yet.
	explain(err error) error
}

// Open opens the database at address, a path or a URL (postgres://…), and makes what is missing;
// "" is the default file. Errors satisfy errors.Is with ErrAddress or are a *FileError.
func Open(ctx context.Context, address string, patience time.Duration) (*Store, error) {
	scheme, _, isURL := strings.Cut(address, "://")
	var s *Store
	var err error
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		s, err = openPostgres(address, patience)
	case isURL:
		return nil, fmt.Errorf("%w: %s is neither a file's path nor a postgres:// URL", ErrAddress, Public(address))
	default:
		s, err = openFile(ctx, address, patience)
	}
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		_ = s.Close() // what was wrong before says more
		return nil, s.Explain(err)
	}
	return s, nil
}

// Close closes the connections.
func (s *Store) Close() error {
	err := s.Writer.Close()
	if s.Reader != nil && s.Reader != s.Writer {
		err = errors.Join(s.Reader.Close(), err)
	}
	return s.Explain(err)
}

// Explain puts words and a remedy to err; nil stays nil, and what is no fault
// of the database (a ctx that was cancelled) stays as it is.
func (s *Store) Explain(err error) error {
	var already *FileError
	if err == nil || errors.As(err, &already) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("ledger %s: %w", s.Name, err)
	}
	return s.dialect.explain(err)
}

// Passes tells whether a transaction that failed with err may be tried again.
func (s *Store) Passes(err error) bool { return s.dialect.passes(err) }

// prepare brings the schema up to date. Two processes that make a ledger at the same time
// meet here: the one that is late fails, looks again and finds the work done.
func (s *Store) prepare(ctx context.Context) error {
	give := time.Now().Add(s.Patience)
	for {
		version, err := s.dialect.version(ctx, s.Writer)
		if err == nil && version == schema {
			return nil
		}
		if err == nil && version > schema {
			return errNewer
		}
		if err == nil {
			err = s.dialect.migrate(ctx, s.Writer)
		}
		if err == nil {
			return nil
		}
		if !s.dialect.contended(err) || time.Now().After(give) {
			return err
		}
		if err := sleep.For(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func migrate(ctx context.Context, kind goose.Dialect, db *sql.DB, table string) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(kind, db, folder, goose.WithTableName(table), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Public is the address as it may be shown: a URL without its password. What
// cannot be told from a password is left out.
func Public(address string) string {
	_, rest, isURL := strings.Cut(address, "://")
	if !isURL {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || u.Fragment != "" || u.User == nil && strings.Contains(rest, "@") {
		return hidden(address) // an unquoted #, / or @ in a password puts it anywhere
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// hidden is all that may be shown of a URL in which the password may stand anywhere.
func hidden(address string) string {
	scheme, _, _ := strings.Cut(address, "://")
	return scheme + "://…"
}

// Locate turns a file's address into an absolute path.
func Locate(address string) (string, error) {
	if address == "" {
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
