package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// server is a PostgreSQL database.
type server struct {
	name string
	user string
	// schema that the tables stand in.
	schema string
}

// home is the schema where the URL's search_path names none: the database may be others' too.
const home = "stagehand"

// versions is the table of migrations; not goose's own name, which others use.
const versions = "stagehand_version"

// connections that one process holds at most: one writes, the others read.
const connections = 4

func openPostgres(address string, patience time.Duration) (*Store, error) {
	config, err := pgx.ParseConfig(address)
	name := Public(address)
	if err != nil || name == hidden(address) {
		// pgx's own words have the address in them, and thus the password.
		return nil, fmt.Errorf("%w: %s is not a PostgreSQL URL: expected postgres://USER@HOST:PORT/DATABASE, with %%23, %%2F, %%3F, %%40 for #, /, ?, @ in a password", ErrAddress, name)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = patience
	}
	d := &server{name: name, user: config.User, schema: home}
	if path := config.RuntimeParams["search_path"]; path != "" {
		first, _, _ := strings.Cut(path, ",")
		d.schema = strings.Trim(strings.TrimSpace(first), `"`)
	}
	config.RuntimeParams["search_path"] = pgx.Identifier{d.schema}.Sanitize()
	config.RuntimeParams["application_name"] = "stagehand"
	// Locks are what the transactions count on, not snapshots.
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetConnMaxIdleTime(time.Minute) // an up may wait for days
	return &Store{
		Name: name, Writer: db, Reader: db, Patience: patience, dialect: d,
		Limit: patience, ForUpdate: " FOR UPDATE",
		Numbering: `SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.runs'))`,
		Serial:    `SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.upgrades ' || $1))`,
	}, nil
}

func (s *server) version(ctx context.Context, db *sql.DB) (version int64, err error) {
	var made bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, versions).Scan(&made); err != nil || !made {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versions).Scan(&version)
	return version, err
}

func (s *server) migrate(ctx context.Context, db *sql.DB) error {
	var made bool
	// To ask with IF NOT EXISTS needs the right to make one, even where one is.
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, s.schema).Scan(&made); err != nil {
		return err
	}
	if !made {
		if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{s.schema}.Sanitize()); err != nil {
			return err
		}
	}
	return migrate(ctx, goose.DialectPostgres, db, versions)
}

// PostgreSQL's own codes. Source: its documentation, appendix A.
const (
	uniqueViolation     = "23505"
	duplicateTable      = "42P07"
	duplicateSchema     = "42P06"
	duplicateColumn     = "42701"
	duplicateObject     = "42710"
	undefinedTable      = "42P01"
	undefinedColumn     = "42703"
	forbidden           = "42501"
	noDatabase          = "3D000"
	wrongPassword       = "28P01"
	unauthorized        = "28000"
	readOnly            = "25006"
	diskFull            = "53100"
	tooManyConnections  = "53300"
	serializationFailed = "40001"
	deadlock            = "40P01"
	shutdown            = "57P01"
	crashShutdown       = "57P02"
	cannotConnectNow    = "57P03"
)

func sqlState(err error) string {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return ""
	}
	return failed.Code
}

func (s *server) contended(err error) bool {
	switch sqlState(err) {
	case uniqueViolation, duplicateTable, duplicateSchema, duplicateColumn, duplicateObject, serializationFailed, deadlock:
		return true
	}
	// The other's migration may have dropped or made what this one looked at.
	return strings.Contains(err.Error(), "tuple concurrently updated")
}

// passes: a server that is started again, or a deadlock. Whatever was asked of a connection
// that broke may or may not have been done; a ledger's transactions may be repeated.
func (s *server) passes(err error) bool {
	switch code := sqlState(err); code {
	case serializationFailed, deadlock, shutdown, crashShutdown, cannotConnectNow, tooManyConnections:
		return true
	case "":
		return s.unanswered(err)
	default:
		return strings.HasPrefix(code, "08") // connection exceptions
	}
}

// unanswered: what pgx says of a connection that cannot be had or broke.
func (s *server) unanswered(err error) bool {
	var refused *pgconn.ConnectError
	return errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgconn.ErrConnClosed) ||
		strings.Contains(err.Error(), "conn closed") || isNetwork(err)
}

func (s *server) explain(err error) error {
	say := func(problem, remedy string) error {
		return &FileError{Path: s.name, Problem: problem, Remedy: remedy, Err: oneLine{err}}
	}
	const other = "or name another ledger with --ledger"
	switch code := sqlState(err); {
	case errors.Is(err, errNewer):
		return &FileError{Path: s.name, Problem: "was written by a newer stagehand", Remedy: "use that version, " + other}
	case code == wrongPassword || code == unauthorized:
		return say("PostgreSQL refuses the user "+s.user, "give the right password in the URL, in PGPASSWORD or in ~/.pgpass, "+other)
	case code == noDatabase:
		return say("there is no such database", "make it (createdb), "+other)
	case code == forbidden:
		return say("the user "+s.user+" may not do that", fmt.Sprintf("let it make the schema (GRANT CREATE ON DATABASE … TO %[1]s) or own the schema %[2]s, %[3]s", s.user, s.schema, other))
	case code == readOnly:
		return say("cannot be written", "name the primary, not a standby, "+other)
	case code == diskFull:
		return say("the server's disk is full", "make room, "+again+"; "+other)
	case code == tooManyConnections:
		return say("PostgreSQL has no connection left", "raise max_connections or end other clients, "+again)
	case code == undefinedTable || code == undefinedColumn:
		return say("its tables are not those of a ledger", fmt.Sprintf("drop the schema %s (what runs is adopted, helpers run once more), %s", s.schema, other))
	case strings.HasPrefix(code, "XX") || errors.Is(err, ErrBody):
		return say("is damaged", "bring it back from a backup, "+again+"; "+other)
	case s.passes(err):
		return say("PostgreSQL does not answer", "see that the server runs and can be reached from here, "+again+"; "+other)
	}
	return fmt.Errorf("ledger %s: %w", s.name, oneLine{err})
}

// oneLine is an error whose words are in one line.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e oneLine) Unwrap() error { return e.error }
