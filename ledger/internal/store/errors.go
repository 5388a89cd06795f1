package store

import (
	"errors"
	"fmt"
)

// ErrAddress: what was given as the ledger's address is none.
var ErrAddress = errors.New("ledger address")

// ErrBody: what is kept as an event is none.
var ErrBody = errors.New("an event cannot be read")

// FileError is a ledger, a file or a database, that cannot be used. It names the
// ledger and says what to do.
type FileError struct {
	// Path of the file, or URL of the database, without its password.
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
	errShort   = errors.New("it is shorter than its header says")
)

// again is how to go on, whenever a ledger failed: every run replays first.
const again = "then run the same command again, which goes on from there"

// elsewhere is what helps against everything that is wrong with one ledger.
const elsewhere = "or name another file with --ledger"
