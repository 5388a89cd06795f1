package waiters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

const (
	// lastLines is how many lines of a dead container's log are shown.
	lastLines = 20
	// statusLimit bounds a question to the engine itself: longer means that it does not answer.
	statusLimit = 5 * time.Second
)

// References returns the names of services and hosts that c looks at, sorted,
// each once. A condition from elsewhere names its own with a method
// References() []string, or has none.
func References(c Condition) []string {
	if t, ok := c.(Timed); ok {
		return References(t.Condition)
	}
	r, ok := c.(interface{ References() []string })
	if !ok {
		return nil
	}
	names := slices.Clone(r.References())
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// Find is World.Instance for worlds that have none, too.
func (w World) Find(name string) (Instance, bool) {
	if w.Instance == nil {
		return Instance{}, false
	}
	return w.Instance(name)
}

// Status looks at the container that name stands for. there is false when
// it is not the stack's or has not been created. An engine that takes longer
// than 5 s does not answer: containers.ErrUnavailable.
func (w World) Status(ctx context.Context, name string) (s containers.Status, there bool, err error) {
	i, ok := w.Find(name)
	if !ok {
		return containers.Status{}, false, nil
	}
	inner, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	s, err = w.Engine.Status(inner, i.Container)
	switch {
	case err == nil:
		return s, true, nil
	case errors.Is(err, containers.ErrNotFound):
		return containers.Status{}, false, nil
	case ctx.Err() == nil && inner.Err() != nil:
		return s, false, fmt.Errorf("status of %s: %w within %s", i.Container, containers.ErrUnavailable, statusLimit)
	}
	return s, false, fmt.Errorf("status of %s: %w", i.Container, err)
}

// FirstDead returns the first of the named containers that has ended, nil if there is none.
// Not created is not dead, and neither is one that its restart policy brings back:
// engines report that one as restarting, not as exited.
func (w World) FirstDead(ctx context.Context, names []string) (*Dead, error) {
	for _, name := range names {
		s, there, err := w.Status(ctx, name)
		if err != nil {
			return nil, err
		}
		if there && s.Ended() {
			return w.Dead(ctx, name, s, ""), nil
		}
	}
	return nil, nil
}

// Dead makes the error for a container that has ended, with its last 20 lines if they
// can be had. reason may be empty where the status says it all.
func (w World) Dead(ctx context.Context, name string, s containers.Status, reason string) *Dead {
	return &Dead{Name: name, Status: s, Logs: w.tail(ctx, s.Name), Reason: reason}
}

// tail reads a container's last lines; nil when they cannot be had, since the
// death is news enough.
func (w World) tail(ctx context.Context, container string) []string {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	r, err := w.Engine.Logs(ctx, container, containers.LogOptions{Tail: lastLines})
	if err != nil {
		return nil
	}
	defer r.Close()
	var lines []string
	err = texts.EachLine(r, func(line string) bool {
		if len(lines) == lastLines {
			lines = slices.Delete(lines, 0, 1)
		}
		lines = append(lines, line)
		return true
	})
	if err != nil && len(lines) == 0 {
		return nil
	}
	return lines
}
