// Package follow prints what containers print, side by side, each line behind
// its container's name.
package follow

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
	"github.com/stagehand-dev/stagehand/sleep"
	"github.com/stagehand-dev/stagehand/views"
)

// Options say what is printed.
type Options struct {
	// W takes the lines.
	W io.Writer
	// JSON has each line as an object.
	JSON bool
	// Follow goes on until the containers have ended.
	Follow bool
	// Tail is with how many of the last lines to begin; 0 is all.
	Tail int
	// Timestamps puts the time before each line.
	Timestamps bool
	// Since leaves out what is older; zero is all.
	Since time.Time
}

// source is a container whose lines are printed.
type source struct{ name, step, container string }

// printer writes whole lines of several containers, each behind its name.
type printer struct {
	o     Options
	width int
	mu    sync.Mutex
}

// Containers prints the containers' logs side by side until all have ended or, without
// Follow, are read. A container that was removed meanwhile is no error.
func Containers(ctx context.Context, engine containers.Engine, list []containers.Status, o Options) error {
	p := &printer{o: o}
	var sources []source
	for _, s := range list {
		src := source{name: containers.InstanceOf(s.Labels), step: s.Labels[containers.LabelStep], container: s.Name}
		if src.name == "" {
			src.name = s.Name
		}
		p.width = max(p.width, utf8.RuneCountInString(src.name))
		sources = append(sources, src)
	}
	if o.Follow {
		return p.followAll(ctx, engine, sources)
	}
	for _, src := range sources {
		if err := p.copy(ctx, engine, src, o); err != nil && !errors.Is(err, containers.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Recorded prints lines that a step's container has left behind.
func Recorded(step, container string, lines []string, o Options) error {
	p := &printer{o: o, width: utf8.RuneCountInString(step)}
	for _, line := range lines {
		if err := p.print(source{name: step, step: step, container: container}, line); err != nil {
			return err
		}
	}
	return nil
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
	if p.o.JSON {
		return views.WriteJSON(p.o.W, logLine{s.name, s.step, s.container, line})
	}
	pad := strings.Repeat(" ", p.width-utf8.RuneCountInString(s.name))
	_, err := fmt.Fprintf(p.o.W, "%s%s | %s\n", s.name, pad, line)
	return err
}

// copy prints what the container has printed and, following, prints until it ends.
func (p *printer) copy(ctx context.Context, engine containers.Engine, s source, o Options) (err error) {
	reader, err := engine.Logs(ctx, s.container, containers.LogOptions{Follow: o.Follow, Tail: o.Tail, Since: o.Since, Timestamps: o.Timestamps})
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

func (p *printer) followAll(ctx context.Context, engine containers.Engine, sources []source) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sources {
		group.Go(func() error { return p.followOne(ctx, engine, s) })
	}
	return group.Wait()
}

// followOne follows a container over its restarts until it has ended for good.
func (p *printer) followOne(ctx context.Context, engine containers.Engine, s source) error {
	for o := p.o; ; {
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
			return p.print(s, "("+status.Verdict()+")")
		}
		// The engine has started it again, or is about to: go on from there.
		o.Tail, o.Since = 0, began
		if status.Started.After(began) {
			o.Since = status.Started
		}
		if err := sleep.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
