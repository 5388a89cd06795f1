package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Leaser is what an engine also is when it can see that a stack has one
// runner at a time, whoever else talks to the same engine, from whatever host.
type Leaser interface {
	// Lease takes the lease of that name. It does not wait for somebody else's
	// to end: then it returns a *HeldError that says whose it is. A lease
	// that was taken by a call whose answer got lost ends by itself.
	Lease(ctx context.Context, name string, holder Holder) (Lease, error)
	// LeaseHolder looks who holds the lease. ErrNotFound when nobody does.
	LeaseHolder(ctx context.Context, name string) (Holder, error)
	// AwaitRelease blocks until the lease with that token is not held any
	// more, and returns the notes that its holder told, in order: the last ones
	// perhaps twice, the first ones perhaps not where they come to many megabytes.
	AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error)
}

// Lease is the right to change what belongs to its name, until it is released
// or lost. It is safe for concurrent use.
type Lease interface {
	// Token is larger than that of every holder before: the fencing token.
	Token() int64
	// Lost is closed once this lease must not be relied on any more: the
	// engine ended it or the connection that keeps it broke (told at once), or
	// the engine did not answer for so long that it may end it (told at least
	// a quarter of LeaseTTL before it does). Not by Release.
	Lost() <-chan struct{}
	// Allow returns nil when something may be changed now: at once in general, and where
	// the engine has yet to say that it keeps the lease, soon after it has. After a loss it
	// returns an ErrLeaseLost that says why.
	Allow(ctx context.Context) error
	// Tell leaves a note for those who wait. They get all of them when the
	// lease ends, however it ends. A note that cannot be left is lost with the
	// lease. It must be one line.
	Tell(note []byte)
	// Release gives the lease back and returns once others can take it. It may
	// be called again, and after a loss.
	Release(ctx context.Context) error
}

// LeaseTTL is how long a lease outlives a holder that vanished without its
// connection being closed, with its host for example. One whose process died, or whose
// connection was closed, is released at once.
const LeaseTTL = 15 * time.Second

// ErrLeaseLost: the lease was lost, and what was about to be done was not done. Where no
// more is known somebody ended it, or the connection to the engine broke.
var ErrLeaseLost = errors.New("the lease was lost")

// Holder says who holds a lease.
type Holder struct {
	Run  string `json:"run,omitempty"`
	Host string `json:"host,omitempty"`
	User string `json:"user,omitempty"`
	PID  int    `json:"pid,omitempty"`
	// Since is when the lease was taken, by the engine's clock. Set by the engine.
	Since time.Time `json:"since,omitzero"`
	// Token is the lease's. Set by the engine; of a holder to be it is one that
	// was seen before, and the lease gets a larger one.
	Token int64 `json:"token,omitempty"`
}

// String is for people: "ann on host7, pid 4711, run 20260101-101010-abcdef".
func (h Holder) String() string {
	var parts []string
	switch {
	case h.User != "" && h.Host != "":
		parts = append(parts, h.User+" on "+h.Host)
	case h.User != "" || h.Host != "":
		parts = append(parts, h.User+h.Host)
	default:
		parts = append(parts, "somebody")
	}
	if h.PID != 0 {
		parts = append(parts, fmt.Sprintf("pid %d", h.PID))
	}
	if h.Run != "" {
		parts = append(parts, "run "+h.Run)
	}
	return strings.Join(parts, ", ")
}

// Age is for how long the lease has been held, never below zero: the clocks of
// engine and host may differ.
func (h Holder) Age(now time.Time) time.Duration { return max(0, now.Sub(h.Since)) }

// HeldError is the answer to who wants a lease that somebody holds.
type HeldError struct {
	Name   string
	Holder Holder
}

func (e *HeldError) Error() string {
	text := e.Name + " is being worked on by " + e.Holder.String()
	if !e.Holder.Since.IsZero() {
		text += ", for " + e.Holder.Age(time.Now()).Round(time.Second).String()
	}
	return text
}

// LeaseObject is the name, on an engine, of what stands for the lease: who
// destroys it ends the lease.
func LeaseObject(name string) string { return Name("stagehand-lease", name) }

// AsLeaser returns the engine's leases. A decorator of an engine has a method
// Leaser that returns those of the engine that it decorates.
func AsLeaser(e Engine) (Leaser, bool) {
	switch x := e.(type) {
	case Leaser:
		return x, true
	case interface{ Leaser() (Leaser, bool) }:
		return x.Leaser()
	}
	return nil, false
}
