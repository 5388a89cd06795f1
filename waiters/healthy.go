package waiters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
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

// Look runs the test once.
func (h Healthy) Look(ctx context.Context, w World) (Observation, error) {
	i, _ := w.instance(h.Service)
	if i.Health != nil && len(i.Health.Test) > 0 && i.Health.Test[0] == "NONE" {
		return Observation{}, &Dead{Name: h.Service, Reason: h.Service + " can never be healthy: its healthcheck is disabled"}
	}
	s, there, err := w.status(ctx, h.Service)
	if err != nil {
		return Observation{}, err
	}
	if !there || s.State != containers.StateRunning {
		return Observation{Detail: where(s, there)}, nil
	}
	command, reason := test(i.Health)
	if reason != "" {
		if s.Health == containers.HealthNone {
			return Observation{}, &Dead{Name: h.Service, Status: s, Reason: h.Service + " can never be healthy: " + reason}
		}
		return opinion(s), nil
	}
	execer, ok := w.Engine.(containers.Execer)
	if !ok {
		if s.Health == containers.HealthNone {
			return Observation{}, &Dead{Name: h.Service, Status: s, Reason: h.Service + ": this engine can neither run a healthcheck nor a command in a container"}
		}
		return opinion(s), nil
	}
	return h.run(ctx, execer, s, command, i.Health.Timeout)
}

// run runs the test in the container.
func (h Healthy) run(ctx context.Context, e containers.Execer, s containers.Status, command []string, limit time.Duration) (Observation, error) {
	if limit <= 0 {
		limit = healthTimeout
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out capped
	code, err := e.Exec(inner, s.Name, command, &out)
	switch {
	case err == nil && code == 0:
		return Observation{Holds: true, Detail: "healthy"}, nil
	case err == nil:
		return Observation{Detail: withOutput(fmt.Sprintf("unhealthy: exit %d", code), out.last())}, nil
	case ctx.Err() != nil:
		return Observation{}, ctx.Err()
	case inner.Err() != nil:
		if s.Health == containers.HealthHealthy {
			return opinion(s), nil
		}
		return Observation{Detail: fmt.Sprintf("the healthcheck's test took longer than %s", limit)}, nil
	case errors.Is(err, containers.ErrNotFound), errors.Is(err, containers.ErrConflict):
		return Observation{Detail: "not running"}, nil
	}
	return Observation{}, fmt.Errorf("healthcheck of %s: %w", h.Service, err)
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
func opinion(s containers.Status) Observation {
	detail := string(s.Health)
	if s.Health == containers.HealthUnhealthy {
		detail = withOutput(detail, lastLine(s.HealthLog))
	}
	return Observation{Holds: s.Health == containers.HealthHealthy, Detail: detail + " (the engine says)"}
}

// limit is none: the healthcheck has a timeout of its own.
func (h Healthy) limit() time.Duration { return 0 }

// String is "healthy SERVICE".
func (h Healthy) String() string { return "healthy " + h.Service }

// References is the service.
func (h Healthy) References() []string { return []string{h.Service} }

func (d *decoder) healthy(node *yaml.Node, p *pacing) Condition {
	if name, short := d.short(node); short {
		return Healthy{Service: d.service(node, name)}
	}
	if !d.mapping(node, "healthy", "a service, or {service}") {
		return nil
	}
	f := d.long(node, p, "healthy", "service")
	h := Healthy{Service: f.service()}
	if !f.ok {
		return nil
	}
	return h
}
