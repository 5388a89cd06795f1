package ledger

import (
	"errors"

	"github.com/stagehand-dev/stagehand/ledger/internal/store"
)

// FileError is a ledger, a file or a database, that cannot be used. It names
// the ledger, without any password, and says what to do.
type FileError = store.FileError

// ErrAddress: what was given as the ledger's address is none.
var ErrAddress = store.ErrAddress

// ErrFenced: another runner has taken the stack over since. Nothing that this
// run does counts any more.
var ErrFenced = errors.New("another run has taken the stack over; the same command waits for it and goes on")

// ErrDeployed: an app is registered with other fields than those that this event would deploy it with.
var ErrDeployed = errors.New("the app is deployed otherwise")

var errTaken = errors.New("two writers of one run")
