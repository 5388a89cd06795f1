package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
)

// source is a container whose lines are printed.
type source struct{ name, step, container string }

// printer writes whole lines of several containers, each behind its name.
type printer struct {
	in    *invocation
	width int
	mu    sync.Mutex
}

func newPrinter(in *invocation, names []string) *printer {
	p := &printer{in: in}
	for _, n := range names {
		p.width = max(p.width, utf8.RuneCountInString(n))
	}
	return p
}

// logLine is a line in JSON.
type logLine struct {
	Service   string `json:"service"`
	Step      string `json:"step,omitempty"`
	Container string `json:"container"`
	Line      string `json:"line"`
}

func (p *printer) print(s source, line string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in.flags.json {
		return views.WriteJSON(p.in.Stdout, logLine{s.name, s.step, s.container, line})
	}
	pad := strings.Repeat(" ", p.width-utf8.RuneCountInString(s.name))
	_, err := fmt.Fprintf(p.in.Stdout, "%s%s | %s\n", s.name, pad, line)
	return err
}

// copy prints what the container has printed and, following, prints until it ends.
func (p *printer) copy(ctx context.Context, engine containers.Engine, s source, o logOptions) (err error) {
	reader, err := engine.Logs(ctx, s.container, containers.LogOptions{Follow: o.follow, Tail: o.tail, Since: o.since, Timestamps: o.timestamps})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	lines := bufio.NewReader(reader)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := p.print(s, strings.TrimRight(line, "\r\n")); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *printer) followAll(ctx context.Context, engine containers.Engine, sources []source, o logOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sources {
		group.Go(func() error { return p.followOne(ctx, engine, s, o) })
	}
	return group.Wait()
}

// followOne follows a container over its restarts until it has ended for good.
func (p *printer) followOne(ctx context.Context, engine containers.Engine, s source, o logOptions) error {
	for {
		began := time.Now()
		err := p.copy(ctx, engine, s, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, containers.ErrNotFound) {
			return p.print(s, "(removed)")
		}
		if err != nil {
			return err
		}
		status, err := engine.Status(ctx, s.container)
		switch {
		case errors.Is(err, containers.ErrNotFound):
			return p.print(s, "(removed)")
		case err != nil:
			return err
		case !status.Running():
			return p.print(s, ending(status))
		}
		// The engine has started it again, or is about to: go on from there.
		o.tail, o.since = 0, began
		if status.Started.After(began) {
			o.since = status.Started
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}
