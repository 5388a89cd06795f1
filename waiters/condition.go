// Package waiters says what a condition is and waits for it. A condition
// looks once and knows no time; one loop (Wait) owns time, backoff and
// stability, also of conditions made of others (All, Any, Timed). What can be
// waited for stands in waiters/conditions, how it is written in a stack file
// in waiters/decode.
package waiters

import (
	"context"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Condition is something that can be looked at. Look must be safe to call
// any number of times and from several goroutines.
type Condition interface {
	// Look looks once. An Observation that does not hold is an answer, not
	// an error. A *Dead error says that the condition can never hold any more:
	// the wait ends at once. Any other error is a broken engine.
	Look(ctx context.Context, w World) (Observation, error)
	// String is the condition's short form: "tcp haf:5432".
	String() string
}

// Limiter is a Condition whose single look may take another time than 10 s.
type Limiter interface {
	// Limit is that time; 0 for none. A look that takes longer is cut off and has
	// not seen the condition hold.
	Limit() time.Duration
}

// Reporter is a Condition that holds where the engine itself reports so, of a
// container that has been running for a while.
type Reporter interface {
	// Reported tells whether the status of the service's container says that it holds.
	Reported(service string, s containers.Status) bool
}

// Reported tells whether a status alone says that c holds; for most conditions
// none does.
func Reported(c Condition, service string, s containers.Status) bool {
	t := asTimed(c)
	r, ok := t.Condition.(Reporter)
	return ok && t.Pace.StableFor == 0 && r.Reported(service, s)
}

// Beginner is a Condition that remembers something during one wait.
type Beginner interface {
	// Begin gives a copy with an empty memory, which one wait alone looks at,
	// one look after another.
	Begin() Condition
}

// Observation is what one look saw.
type Observation struct {
	Holds bool
	// Detail says what was seen, for people: "refused", "status 503", "starting".
	Detail string
}

// World is what a look may touch.
type World struct {
	Engine containers.Engine
	// Instance finds the container that a name of the stack (service, or
	// app instance APP-SERVICE) stands for. ok is false for names that are not the stack's.
	Instance func(name string) (i Instance, ok bool)
	// Network is the stack's default network on the engine: what names that are
	// not the stack's are dialled from.
	Network string
}

// Instance is a service's container and how it is reached.
type Instance struct {
	Container string
	// Network is the network, by its name on the engine, to dial it on; empty when it has none.
	Network string
	Health  *containers.Healthcheck
}

// Dead says that what is waited for has died or can never become true.
type Dead struct {
	// Name is the service as the stack calls it, or empty.
	Name   string
	Status containers.Status
	// Logs are the container's last lines.
	Logs []string
	// Reason says it in words where Status cannot.
	Reason string
}

// Error names what died and of what.
func (d *Dead) Error() string {
	if d.Reason != "" {
		return d.Reason
	}
	return fmt.Sprintf("%s has died: %s", d.Name, d.Status.Verdict())
}

// Pace is how often a condition is looked at, and for how long.
type Pace struct {
	// Every is the time between two looks; 0 begins at 10 ms and backs off.
	Every time.Duration
	// Timeout of the whole wait; 0 for none.
	Timeout time.Duration
	// StableFor is how long the condition must hold without a break.
	StableFor time.Duration
}

// Timed is a condition with times of its own, which the loop obeys.
type Timed struct {
	Condition
	Pace Pace
}
