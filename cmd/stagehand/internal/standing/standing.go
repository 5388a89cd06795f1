// Package standing looks at what stands on an engine, for pages that show it.
package standing

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/report"
)

// lookLimit bounds a look at all stacks; lookPause is the least time between two, each of which asks for every container.
const (
	lookLimit = 10 * time.Second
	lookPause = 5 * time.Second
)

// Looker looks at which stacks stand on an engine, not more often than each lookPause. It is safe for
// concurrent use.
type Looker struct {
	// Connect connects to the engine, for one look.
	Connect func(context.Context) (containers.Engine, error)

	mu     sync.Mutex
	looked time.Time
	last   []report.Standing
	err    error
}

// Stacks are as they were seen last.
func (l *Looker) Stacks(ctx context.Context) ([]report.Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looked.IsZero() || time.Since(l.looked) > lookPause {
		ctx, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		l.last, l.err = l.look(ctx)
		l.looked = time.Now()
	}
	return l.last, l.err
}

// look looks at all stacks, by name; those that only docker compose has made are not among them.
func (l *Looker) look(ctx context.Context) (_ []report.Standing, err error) {
	engine, err := l.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	list, err := engine.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	byStack := map[string][]containers.Status{}
	for _, c := range list {
		if stack := c.Labels[containers.LabelStack]; stack != "" {
			byStack[stack] = append(byStack[stack], c)
		}
	}
	var all []report.Standing
	for _, name := range slices.Sorted(maps.Keys(byStack)) {
		s := report.Standing{Stack: name}
		for _, c := range byStack[name] {
			switch {
			case containers.Aside(c.Labels):
			case c.Running():
				s.Running++
			default:
				s.Stopped++
			}
		}
		for _, row := range views.PS(byStack[name], engines.Host(info), false) {
			s.Addresses = append(s.Addresses, row.URLs...)
		}
		if s.Run, err = AtWork(ctx, engine, name); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// AtWork is the ID of the run that has the stack's lease; "" for none.
func AtWork(ctx context.Context, engine containers.Engine, stack string) (run string, err error) {
	leaser, ok := containers.AsLeaser(engine)
	if !ok {
		return "", nil
	}
	holder, err := leaser.LeaseHolder(ctx, stack)
	if errors.Is(err, containers.ErrNotFound) {
		return "", nil
	}
	return holder.Run, err
}

// shownLines of a container that still stands are shown.
const shownLines = 1000

// Printed is what the containers of a run that still stand have printed last, by
// their names.
func Printed(ctx context.Context, engine containers.Engine, stack, run string) (map[string][]string, error) {
	list, err := containers.ListRun(ctx, engine, stack, run)
	if err != nil {
		return nil, err
	}
	standing := map[string][]string{}
	for _, s := range list {
		lines, err := printed(ctx, engine, s.Name)
		switch {
		case errors.Is(err, containers.ErrNotFound): // it went meanwhile
		case err != nil:
			return standing, err
		default:
			standing[s.Name] = lines
		}
	}
	return standing, nil
}

// printed are the last lines that a container has printed.
func printed(ctx context.Context, engine containers.Engine, name string) (lines []string, err error) {
	reader, err := engine.Logs(ctx, name, containers.LogOptions{Tail: shownLines})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for r := bufio.NewReader(reader); ; {
		line, err := r.ReadString('\n')
		if line != "" {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}
