// Package strategies makes the wait strategies of testcontainers-go
// conditions of a stack. They work on every engine: what a strategy asks of
// Docker is answered from the engine's contract, and a port that it wants
// mapped is forwarded through the engine's Dial.
package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
)

// lookLimit is how long a strategy, which has a loop and a timeout of its
// own, is given for one look. The stack's own loop decides about time, so a
// strategy's startup timeout matters only where it is shorter.
const lookLimit = 3 * time.Second

// Condition holds when the strategy says that the service is ready. service
// is a name of the stack. Ports that a strategy names need not be published; one
// that names no port takes the lowest published one.
func Condition(service string, strategy wait.Strategy) waiters.Condition {
	return &condition{service: service, strategy: strategy}
}

type condition struct {
	service  string
	strategy wait.Strategy
}

// String is "strategy SERVICE: " and what the strategy calls itself.
func (c *condition) String() string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", c.strategy), "*")
	if named, ok := c.strategy.(fmt.Stringer); ok {
		name = named.String()
	}
	return "strategy " + c.service + ": " + name
}

// References is the service.
func (c *condition) References() []string { return []string{c.service} }

// Look implements waiters.Condition.
func (c *condition) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	if w.Instance == nil {
		return waiters.Observation{}, fmt.Errorf("%s: %w: there are no services here", c, containers.ErrInvalid)
	}
	instance, known := w.Instance(c.service)
	if !known {
		return waiters.Observation{}, fmt.Errorf("%s: %w: %q is not a service of the stack", c, containers.ErrInvalid, c.service)
	}
	status, err := w.Engine.Status(ctx, instance.Container)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return waiters.Observation{Detail: "not created yet"}, nil
	case err != nil:
		return waiters.Observation{}, err
	case status.State == containers.StateCreated:
		// To a strategy that waits for an end, one that never ran has ended.
		return waiters.Observation{Detail: "not started yet"}, nil
	}
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	target := newTarget(w.Engine, instance)
	err = c.strategy.WaitUntilReady(limited, target)
	broken := target.close()
	switch {
	case err == nil:
		return waiters.Observation{Holds: true, Detail: "ready"}, nil
	case ctx.Err() != nil:
		return waiters.Observation{}, ctx.Err()
	case broken != nil:
		return waiters.Observation{}, fmt.Errorf("%s: %w", c, broken)
	}
	return c.verdict(ctx, w, instance, err)
}

// verdict tells a service that is not ready from one that has died.
func (c *condition) verdict(ctx context.Context, w waiters.World, instance waiters.Instance, reason error) (waiters.Observation, error) {
	status, err := w.Engine.Status(ctx, instance.Container)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return waiters.Observation{}, &waiters.Dead{Name: c.service, Reason: c.service + " was removed while it was waited for"}
	case err != nil:
		return waiters.Observation{}, err
	case status.Ended():
		return waiters.Observation{}, &waiters.Dead{Name: c.service, Status: status, Logs: lastLines(ctx, w.Engine, instance.Container)}
	case errors.Is(reason, context.DeadlineExceeded):
		return waiters.Observation{Detail: "not ready"}, nil
	}
	return waiters.Observation{Detail: reason.Error()}, nil
}
