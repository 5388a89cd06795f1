package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrAddress: what was given as the ledger's address is none.
var ErrAddress = errors.New("ledger address")

// FileError is a ledger's file that cannot be used. It names the file and
// says what to do.
type FileError struct {
	Path string
	// Problem in words, and what to do about it; either may stand alone.
	Problem, Remedy string
	Err             error
}

// Error is all of it in one line.
func (e *FileError) Error() string {
	text := fmt.Sprintf("ledger %s: %s", e.Path, e.Problem)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	if e.Remedy != "" {
		text += ": " + e.Remedy
	}
	return text
}

// Unwrap gives the cause.
func (e *FileError) Unwrap() error { return e.Err }

var (
	errNewer   = errors.New("written by a newer stagehand")
	errForeign = errors.New("the database of another program")
)

const elsewhere = "or name another file with --ledger"

// explain puts words and a remedy to err; nil stays nil, and what is no fault
// of the file (a ctx that is done) stays as it is.
func explain(path string, err error) error {
	var already *FileError
	if err == nil || errors.As(err, &already) {
		return err
	}
	say := func(problem, remedy string) error {
		return &FileError{Path: path, Problem: problem, Remedy: remedy, Err: err}
	}
	switch code := resultCode(err); {
	case errors.Is(err, errNewer):
		return &FileError{Path: path, Problem: "was written by a newer stagehand", Remedy: "use that version, " + elsewhere}
	case errors.Is(err, errForeign):
		return &FileError{Path: path, Problem: "is the database of another program", Remedy: "name another file with --ledger"}
	case code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB || errors.Is(err, errBody):
		return say("is damaged", fmt.Sprintf("move it away (mv %[1]s %[1]s.damaged) and run again: what runs is adopted, helpers run once more; %s", path, elsewhere))
	case code == sqlite3.SQLITE_READONLY || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return say("cannot be written", "make the file and its folder writable, "+elsewhere)
	case code == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC):
		return say("the disk is full", "make room, "+elsewhere)
	case code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_PERM:
		return say("cannot be opened: "+unopened(path), "correct that, "+elsewhere)
	case code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED:
		return say(fmt.Sprintf("another process kept it locked for %s", patience), "see who has it open (fuser "+path+"), then run again")
	case code == sqlite3.SQLITE_IOERR:
		return say("cannot be read or written", "see the system's log for the disk's errors, "+elsewhere)
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist):
		return say("its folder cannot be made", "correct the path, "+elsewhere)
	}
	return fmt.Errorf("ledger %s: %w", path, err)
}

// unopened finds out what SQLite does not tell: why a file cannot be opened.
func unopened(path string) string {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "it is a folder"
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err.Error()
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	_ = file.Close()
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

// contended tells errors of two processes that set the ledger up at the same
// time: the lock, or the other's tables standing there already.
func contended(err error) bool {
	switch resultCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CONSTRAINT:
		return true
	case sqlite3.SQLITE_ERROR:
		return strings.Contains(err.Error(), "already exists")
	}
	return false
}
