package waiters

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

const (
	// lastLines is how many lines of a dead container's log are shown.
	lastLines = 20
	// statusLimit bounds a question to the engine itself: longer means that it does not answer.
	statusLimit = 5 * time.Second
	// maxLine is the longest part of a log line that is kept, in bytes.
	maxLine = 16 << 10
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

// instance is World.Instance for worlds that have none, too.
func (w World) instance(name string) (Instance, bool) {
	if w.Instance == nil {
		return Instance{}, false
	}
	return w.Instance(name)
}

// status looks at the container that name stands for. there is false when
// it is not the stack's or has not been created. An engine that takes longer
// than statusLimit does not answer: containers.ErrUnavailable.
func (w World) status(ctx context.Context, name string) (s containers.Status, there bool, err error) {
	i, ok := w.instance(name)
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

// died returns the first of the named containers that has ended, nil if there is none.
// Not created is not dead, and neither is one that its restart policy brings back:
// engines report that one as restarting, not as exited.
func died(ctx context.Context, w World, names []string) (*Dead, error) {
	for _, name := range names {
		s, there, err := w.status(ctx, name)
		if err != nil {
			return nil, err
		}
		if there && s.Ended() {
			return w.dead(ctx, name, s, ""), nil
		}
	}
	return nil, nil
}

// dead makes the error for a container that has ended, with its last lines if they can be had.
func (w World) dead(ctx context.Context, name string, s containers.Status, reason string) *Dead {
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
	err = eachLine(r, func(line string) bool {
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

// eachLine gives each line without its end to do, until do returns false. A
// line longer than maxLine is cut.
func eachLine(r io.Reader, do func(line string) bool) error {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		text := strings.TrimRight(string(line), "\r\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if len(line) > 0 && !do(text) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// where says where a container stands that does not run, for an Observation.
func where(s containers.Status, there bool) string {
	if !there {
		return "not created yet"
	}
	return s.Verdict()
}
