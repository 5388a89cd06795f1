// Package doctor looks whether all is well with what stagehand needs, and says what to
// do where it is not.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/ephemeral"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/reaper"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Check is one thing that was looked at.
type Check struct {
	// Of is what was looked at: engine, api, permissions, disk, clock, leases, leftovers, trap, ledger.
	Of    string `json:"of"`
	State State  `json:"state"`
	Text  string `json:"text"`
	// Mend says what to do; empty where all is well.
	Mend string `json:"mend,omitempty"`
}

// State is how something was found.
type State string

// The states.
const (
	Well State = "ok"
	// Unknown: it could not be looked at from here.
	Unknown State = "unknown"
	// Warning: stagehand works, until it does not.
	Warning State = "warning"
	// Failed: stagehand does not work.
	Failed State = "failed"
)

// Refusal is what is told of an engine that cannot be connected to: each address that was tried.
func Refusal(err error) []Check {
	var found []Check
	for _, e := range advised(err) {
		found = append(found, Check{"engine", Failed, e.Err.Error(), e.Mend})
	}
	if len(found) == 0 {
		found = []Check{{"engine", Failed, err.Error(), "name an engine that answers with --engine or DOCKER_HOST, or start one"}}
	}
	return found
}

// advised are the errors below err of which it is known what to do.
func advised(err error) (found []*containers.AdvisedError) {
	if e, ok := err.(*containers.AdvisedError); ok { //nolint:errorlint // each of a joined tree is wanted, not the first
		return append(found, e)
	}
	switch x := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if inner := x.Unwrap(); inner != nil {
			found = advised(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range x.Unwrap() {
			found = append(found, advised(inner)...)
		}
	}
	return found
}

// Examination is what Engine looks at.
type Examination struct {
	Engine containers.Engine
	Holder containers.Holder
	// Free gives the bytes and the files that there is room for where the path leads.
	Free func(path string) (Room, error)
	// Lease is the name of the lease that is taken and given back: nobody else's.
	Lease string
}

// Room is how much room a disk has. Files is negative where nothing bounds their number.
type Room struct {
	Bytes uint64
	Files int64
}

// leaseLimit is how long the making of one container may take, with its image.
const leaseLimit = time.Minute

// Run looks at the engine. It makes one container, that of a lease, and removes it.
// The error is ctx's.
func (x Examination) Run(ctx context.Context) ([]Check, error) {
	info, err := x.Engine.Info(ctx)
	if err != nil {
		return []Check{{"engine", Failed, err.Error(), "restart the engine, and look into its log"}}, ctx.Err()
	}
	checks := []Check{{Of: "engine", State: Well, Text: strings.TrimSpace(fmt.Sprintf("%s %s at %s", info.Kind, info.Version, info.Endpoint))}}
	if info.API != "" {
		checks = append(checks, Check{Of: "api", State: Well, Text: "version " + info.API})
	}
	checks = append(checks, x.permissions(ctx))
	checks = append(checks, x.vitals(ctx)...)
	checks = append(checks, x.leases(ctx)...)
	checks = append(checks, x.leftovers(ctx))
	return checks, ctx.Err()
}

// permissions tries what every run does first: to make, start and remove a container.
func (x Examination) permissions(ctx context.Context) Check {
	leaser, ok := containers.AsLeaser(x.Engine)
	if !ok {
		return Check{"permissions", Warning, "this engine has no leases: nothing keeps two runs from one stack", "see to it that only one runs"}
	}
	ctx, cancel := context.WithTimeout(ctx, leaseLimit)
	defer cancel()
	lease, err := leaser.Lease(ctx, x.Lease, x.Holder)
	if err == nil {
		err = lease.Release(ctx)
	}
	if err != nil {
		mend := "the engine's log says why it could not make, start or remove a container"
		if known := advised(err); len(known) > 0 {
			mend = known[0].Mend
		}
		return Check{"permissions", Failed, "no lease can be taken: " + err.Error(), mend}
	}
	return Check{Of: "permissions", State: Well, Text: "a container was made, started and removed: runs can take leases"}
}

// The clocks of engine and machine may differ by so much before it shows.
const clockLimit = 2 * time.Second

// vitals are what the engine says of itself.
func (x Examination) vitals(ctx context.Context) []Check {
	examiner, ok := x.Engine.(containers.Examiner)
	if !ok {
		return []Check{{"clock", Unknown, "this engine does not tell its time, its disk or its set-up", ""}}
	}
	before := time.Now()
	v, err := examiner.Examine(ctx)
	after := time.Now()
	if err != nil {
		return []Check{{"clock", Failed, err.Error(), "restart the engine, and look into its log"}}
	}
	checks := []Check{disk(v, x.Free), clock(v.Time, before, after)}
	for _, trap := range v.Traps {
		checks = append(checks, Check{"trap", Warning, trap.Text, trap.Mend})
	}
	if len(v.Traps) == 0 {
		checks = append(checks, Check{Of: "trap", State: Well, Text: "none is known of an engine that is set up like this one"})
	}
	return checks
}

func disk(v containers.Vitals, free func(string) (Room, error)) Check {
	if v.Root == "" || !v.Here {
		return Check{Of: "disk", State: Unknown, Text: "the engine's disk is not one of this machine", Mend: "docker system df tells what the engine keeps"}
	}
	return Disk(v.Root, "docker system df tells what can go; docker system prune removes what nobody uses", free)
}

// How little room is worth a warning, and how little is none: an image's layers are
// some hundreds of megabytes, a record in the ledger some kilobytes.
const (
	littleRoom = 5 << 30
	noRoom     = 256 << 20
	fewFiles   = 20_000
)

// Disk looks how much room there is where the path leads.
func Disk(path, mend string, free func(string) (Room, error)) Check {
	room, err := free(path)
	if err != nil {
		return Check{"disk", Unknown, fmt.Sprintf("how much room there is in %s: %v", path, err), ""}
	}
	said := fmt.Sprintf("%s free in %s", size(room.Bytes), path)
	switch {
	case room.Bytes < noRoom:
		return Check{"disk", Failed, said, mend}
	case room.Bytes < littleRoom:
		return Check{"disk", Warning, said, mend}
	case room.Files >= 0 && room.Files < fewFiles:
		return Check{"disk", Warning, fmt.Sprintf("%s, but room for %d more files only (inodes)", said, room.Files), mend}
	}
	return Check{Of: "disk", State: Well, Text: said}
}

// size is a number of bytes for people.
func size(bytes uint64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// clock compares the engine's time with this machine's before and after the question.
func clock(engine, before, after time.Time) Check {
	if engine.IsZero() {
		return Check{Of: "clock", State: Unknown, Text: "the engine does not tell its time"}
	}
	var off time.Duration
	switch {
	case engine.Before(before):
		off = before.Sub(engine)
	case engine.After(after):
		off = engine.Sub(after)
	}
	if off > clockLimit {
		return Check{"clock", Warning, fmt.Sprintf("the engine's clock is %s off this machine's: times in logs and records do not fit each other, and what is kept for a time goes early or late", text.Duration(off)),
			"synchronise both (timedatectl set-ntp true); a virtual machine that slept needs a restart"}
	}
	return Check{Of: "clock", State: Well, Text: "the engine's and this machine's agree"}
}

// leases are those that are held: somebody is at work.
func (x Examination) leases(ctx context.Context) []Check {
	list, err := x.Engine.List(ctx, map[string]string{containers.LabelRole: containers.RoleLease})
	if err != nil {
		return []Check{{"leases", Failed, err.Error(), "restart the engine, and look into its log"}}
	}
	leaser, ok := containers.AsLeaser(x.Engine)
	if !ok {
		return nil
	}
	var checks []Check
	for _, c := range list {
		stack := c.Labels[containers.LabelLease]
		if holder, err := leaser.LeaseHolder(ctx, stack); err == nil && stack != x.Lease {
			checks = append(checks, Check{Of: "leases", State: Well, Text: fmt.Sprintf("%s is being worked on by %s, for %s", stack, holder, text.Duration(holder.Age(time.Now())))})
		}
	}
	return checks
}

// leftovers are what dead runs left, leases that nobody holds among it.
func (x Examination) leftovers(ctx context.Context) Check {
	alive, err := ephemeral.Alive(x.Engine)
	if err != nil {
		return Check{Of: "leftovers", State: Unknown, Text: err.Error()}
	}
	found, err := reaper.Find(ctx, reaper.Search{Engine: x.Engine, Alive: alive})
	if err != nil {
		return Check{"leftovers", Failed, err.Error(), "restart the engine, and look into its log"}
	}
	if len(found.Leftovers) == 0 {
		return Check{Of: "leftovers", State: Well, Text: "dead runs have left nothing"}
	}
	var names []string
	for _, l := range found.Leftovers {
		names = append(names, l.Name+" ("+l.Cause+")")
	}
	const shown = 5
	if len(names) > shown {
		names = append(names[:shown], "…")
	}
	return Check{"leftovers", Warning, text.Plural(len(found.Leftovers), "leftover") + " of dead runs: " + strings.Join(names, ", "), "stagehand gc"}
}

// Ledger looks at the ledger: err is how opening it ended, path where it is.
func Ledger(path string, err error) Check {
	if err == nil {
		return Check{Of: "ledger", State: Well, Text: path}
	}
	var known *containers.AdvisedError
	mend := "name another one with --ledger or STAGEHAND_LEDGER"
	if errors.As(err, &known) {
		mend = known.Mend
	}
	return Check{"ledger", Failed, err.Error(), mend}
}
