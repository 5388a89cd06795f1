package conditions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// healthTimeout is how long one test may take where the healthcheck does not
// say. Source: the Compose specification's and Docker's default.
const healthTimeout = 30 * time.Second

// Healthy holds when the test of the service's healthcheck passes. The test is run by us,
// by the wait's own clock, not by the engine's interval. The engine's opinion counts
// where ours cannot be had: the test stands only in the image, the engine cannot
// run commands in containers, or ours did not come to an end. Engines report the health of the
// container's present start only.
type Healthy struct {
	Service string
}

var _ waiters.Reporter = Healthy{}

// Look runs the test once.
func (h Healthy) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	i, _ := w.Find(h.Service)
	if i.Health != nil && len(i.Health.Test) > 0 && i.Health.Test[0] == "NONE" {
		return waiters.Observation{}, &waiters.Dead{Name: h.Service, Reason: h.Service + " can never be healthy: its healthcheck is disabled"}
	}
	s, there, err := w.Status(ctx, h.Service)
	if err != nil {
		return waiters.Observation{}, err
	}
	if !there || s.State != containers.StateRunning {
		return waiters.Observation{Detail: where(s, there)}, nil
	}
	command, reason := test(i.Health)
	if reason != "" {
		if s.Health == containers.HealthNone {
			return waiters.Observation{}, &waiters.Dead{Name: h.Service, Status: s, Reason: h.Service + " can never be healthy: " + reason}
		}
		return opinion(s), nil
	}
	execer, ok := w.Engine.(containers.Execer)
	if !ok {
		if s.Health == containers.HealthNone {
			return waiters.Observation{}, &waiters.Dead{Name: h.Service, Status: s, Reason: h.Service + ": this engine can neither run a healthcheck nor a command in a container"}
		}
		return opinion(s), nil
	}
	return h.run(ctx, execer, s, command, i.Health.Timeout)
}

// Reported takes the engine's word for it.
func (h Healthy) Reported(service string, s containers.Status) bool {
	return service == h.Service && s.State == containers.StateRunning && s.Health == containers.HealthHealthy
}

// run runs the test in the container.
func (h Healthy) run(ctx context.Context, e containers.Execer, s containers.Status, command []string, limit time.Duration) (waiters.Observation, error) {
	if limit <= 0 {
		limit = healthTimeout
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out texts.Capped
	code, err := e.Exec(inner, s.Name, command, &out)
	switch {
	case err == nil && code == 0:
		return waiters.Observation{Holds: true, Detail: "healthy"}, nil
	case err == nil:
		return waiters.Observation{Detail: texts.WithOutput(fmt.Sprintf("unhealthy: exit %d", code), out.Last())}, nil
	case ctx.Err() != nil:
		return waiters.Observation{}, ctx.Err()
	case inner.Err() != nil:
		if s.Health == containers.HealthHealthy {
			return opinion(s), nil
		}
		return waiters.Observation{Detail: fmt.Sprintf("the healthcheck's test took longer than %s", limit)}, nil
	case errors.Is(err, containers.ErrNotFound), errors.Is(err, containers.ErrConflict):
		return waiters.Observation{Detail: "not running"}, nil
	}
	return waiters.Observation{}, fmt.Errorf("healthcheck of %s: %w", h.Service, err)
}

// test is the command of a healthcheck; reason says why there is none.
func test(h *containers.Healthcheck) (command []string, reason string) {
	if h == nil || len(h.Test) == 0 {
		return nil, "it has no healthcheck"
	}
	kind, rest := h.Test[0], h.Test[1:]
	switch {
	case kind == "CMD" && len(rest) > 0:
		return rest, ""
	case kind == "CMD-SHELL" && len(rest) > 0:
		return []string{"/bin/sh", "-c", strings.Join(rest, " ")}, ""
	}
	return nil, fmt.Sprintf("its healthcheck's test %q is none", h.Test)
}

// opinion is the engine's.
func opinion(s containers.Status) waiters.Observation {
	detail := string(s.Health)
	if s.Health == containers.HealthUnhealthy {
		detail = texts.WithOutput(detail, texts.LastLine(s.HealthLog))
	}
	return waiters.Observation{Holds: s.Health == containers.HealthHealthy, Detail: detail + " (the engine says)"}
}

// Limit is none: the healthcheck has a timeout of its own.
func (h Healthy) Limit() time.Duration { return 0 }

// String is "healthy SERVICE".
func (h Healthy) String() string { return "healthy " + h.Service }

// References is the service.
func (h Healthy) References() []string { return []string{h.Service} }
