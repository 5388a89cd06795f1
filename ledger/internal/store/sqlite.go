package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also the database driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// file is a SQLite file.
type file struct {
	path     string
	patience time.Duration
}

// openFile opens a SQLite file, and makes it, folders too, where there is none.
func openFile(ctx context.Context, address string, patience time.Duration) (*Store, error) {
	path, err := Locate(address)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, patience: patience}
	s := &Store{Name: path, Patience: patience, dialect: f}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, f.explain(err)
	}
	if err := f.short(); err != nil {
		return nil, f.explain(err)
	}
	if s.Writer, err = sql.Open("sqlite", f.source("synchronous(FULL)", "journal_mode(WAL)")); err != nil {
		return nil, f.explain(err)
	}
	// One connection, so that the processes, not the goroutines, are all that can meet at the file's lock.
	s.Writer.SetMaxOpenConns(1)
	if s.Reader, err = sql.Open("sqlite", f.source("query_only(1)")); err != nil {
		return nil, errors.Join(f.explain(err), s.Writer.Close())
	}
	if err := f.check(ctx, s.Writer); err != nil {
		_ = s.Close() // what was wrong before says more
		return nil, s.Explain(err)
	}
	return s, nil
}

// source is the driver's name for the file. Transactions take the write lock
// at their beginning: one that has read cannot lose the lock to another then.
func (f *file) source(pragmas ...string) string {
	values := url.Values{"_txlock": {"immediate"}}
	values.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", f.patience.Milliseconds()))
	values.Add("_pragma", "foreign_keys(1)")
	for _, p := range pragmas {
		values.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(f.path), RawQuery: values.Encode()}).String()
}

// short tells a file that has lost content from its end. An empty one is new, unless a log lies
// beside it, which SQLite would throw away then. What else is wrong with a file, opening it tells.
func (f *file) short() error {
	logged := f.logged()
	opened, err := os.Open(f.path)
	if err != nil {
		return nil
	}
	defer opened.Close() // it was only read
	info, err := opened.Stat()
	if err != nil || info.Size() == 0 && !logged {
		return nil
	}
	if info.Size() == 0 {
		return errShort
	}
	// Source: sqlite.org/fileformat.html, 1.3: the size of a page at 16, their number at 28, which counts if 24 and 92 are the same.
	var header [100]byte
	if _, err := io.ReadFull(opened, header[:]); err != nil {
		return nil
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint32(header[at:])) }
	page := int64(binary.BigEndian.Uint16(header[16:]))
	if page == 1 {
		page = 65536
	}
	// While there is a log, pages that the header counts may stand there only.
	if logged || number(24) != number(92) || info.Size() >= page*number(28) || f.logged() {
		return nil
	}
	return errShort
}

// logged tells whether a log with anything in it lies beside the file.
func (f *file) logged() bool {
	info, err := os.Stat(f.path + "-wal")
	return err == nil && info.Size() > 0
}

// checkedSize bounds the files that are looked through as they are opened: that takes
// 1 to 2 ms for 1 MB; a hundred runs of a stack that does a hundred steps each time fill 9.
const checkedSize = 16 << 20

// check looks the file through, so that damage is met before a run begins and not in the middle of it.
func (f *file) check(ctx context.Context, db *sql.DB) error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (info.Size() == 0 || info.Size() > checkedSize) {
		return nil
	}
	if err != nil {
		return err
	}
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil || result == "ok" {
		return err
	}
	return &FileError{Path: f.path, Problem: "is damaged", Remedy: f.aside(), Err: errors.New(strings.ReplaceAll(result, "\n", " "))}
}

func (f *file) aside() string {
	return fmt.Sprintf("move it away (mv %[1]s %[1]s.damaged; rm -f %[1]s-wal %[1]s-shm) and run again: what runs is adopted, helpers run once more; %[2]s", f.path, elsewhere)
}

func (f *file) version(ctx context.Context, db *sql.DB) (version int64, err error) {
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return 0, errForeign
	}
	return version, err
}

func (f *file) migrate(ctx context.Context, db *sql.DB) error {
	return migrate(ctx, goose.DialectSQLite3, db, "goose_db_version")
}

func (f *file) contended(err error) bool {
	switch resultCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CONSTRAINT:
		return true
	case sqlite3.SQLITE_ERROR:
		return strings.Contains(err.Error(), "already exists") || strings.Contains(err.Error(), "duplicate column")
	}
	return false
}

// passes: SQLite has waited for as long as it should before it gave up.
func (f *file) passes(error) bool { return false }

func (f *file) explain(err error) error {
	say := func(problem, remedy string) error {
		return &FileError{Path: f.path, Problem: problem, Remedy: remedy, Err: err}
	}
	code := resultCode(err)
	if code == sqlite3.SQLITE_IOERR || code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_FULL {
		// SQLite says which of its own files failed, not why.
		if why := f.probe(); why != nil {
			err = fmt.Errorf("%w; %w", err, why)
		}
	}
	switch {
	case errors.Is(err, errNewer):
		return &FileError{Path: f.path, Problem: "was written by a newer stagehand", Remedy: "use that version, " + elsewhere}
	case errors.Is(err, errForeign):
		return &FileError{Path: f.path, Problem: "is the database of another program", Remedy: "name another file with --ledger"}
	case code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB || errors.Is(err, ErrBody) || errors.Is(err, errShort):
		return say("is damaged", f.aside())
	case code == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC):
		return say("the disk is full", "make room, "+again+"; "+elsewhere)
	case code == sqlite3.SQLITE_READONLY || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return say("cannot be written", "make the file and its folder writable, "+again+"; "+elsewhere)
	case code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_PERM:
		return say("cannot be opened: "+f.unopened(), "correct that, "+elsewhere)
	case code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED:
		return say(fmt.Sprintf("another process kept it locked for %s", f.patience), "see who has it open (fuser "+f.path+"), "+again)
	case code == sqlite3.SQLITE_IOERR:
		return say("cannot be read or written", "see the system's log for the disk's errors, "+again+"; "+elsewhere)
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist):
		return say("its folder cannot be made", "correct the path, "+elsewhere)
	}
	return fmt.Errorf("ledger %s: %w", f.path, err)
}

// probe finds out whether anything can be written beside the file: nil, or
// why not. 64 KiB is more than SQLite writes at a time.
func (f *file) probe() error {
	temporary, err := os.CreateTemp(filepath.Dir(f.path), ".stagehand-probe-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(make([]byte, 64<<10))
	return errors.Join(err, temporary.Close(), os.Remove(temporary.Name()))
}

// unopened finds out what SQLite does not tell: why a file cannot be opened.
func (f *file) unopened() string {
	info, err := os.Stat(f.path)
	switch {
	case err == nil && info.IsDir():
		return "it is a folder"
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err.Error()
	}
	opened, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	_ = opened.Close()
	return "its folder must be writable too"
}

// resultCode is SQLite's primary result code, 0 where err is not SQLite's.
func resultCode(err error) int {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Code() & 0xff // the upper bits are the extended code
}
