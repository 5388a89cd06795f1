package steps

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/waiters"
)

const (
	tailLines = 20
	// maxLine bounds what is kept of one line, in bytes.
	maxLine = 4 << 10
	// progressPause is the least time between two progress events of a step.
	progressPause = 200 * time.Millisecond
	// outputPatience is how long the log stream may lag behind the end of its container.
	outputPatience = 2 * time.Second
	// rereadPatience is how long a log whose stream breaks again and again is
	// begun anew, after rereadPause each time.
	rereadPatience = 30 * time.Second
	rereadPause    = 250 * time.Millisecond
)

// output follows what a helper prints: its last lines, its progress and what
// it hands on.
type output struct {
	tail   tail
	done   chan struct{}
	cancel context.CancelFunc
	err    error

	mu       sync.Mutex
	values   map[string]string
	lastText string
}

// follow reads the helper's log until it ends or ctx does. The goroutine is
// owned by the output: finish waits for it.
func (c *Crew) follow(ctx context.Context, a *active) *output {
	ctx, cancel := context.WithCancel(ctx)
	out := &output{values: map[string]string{}, done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(out.done)
		defer cancel()
		reader, err := c.Engine.Logs(ctx, a.Container, containers.LogOptions{Follow: true})
		if err != nil {
			out.err = err
			return
		}
		stop := context.AfterFunc(ctx, func() { reader.Close() })
		defer stop()
		defer reader.Close()
		var reported time.Time
		out.err = eachLine(reader, func(line string) {
			if p := out.take(line); p != nil && (time.Since(reported) >= progressPause || p.Total > 0 && p.Done >= p.Total) {
				reported = time.Now()
				e := record.About(events.StepProgress, a.Step)
				e.Attempt, e.Progress = a.attempt, p
				c.Record.Note(e)
			}
		})
	}()
	return out
}

// take keeps one line and returns the progress that it tells, if it does.
func (o *output) take(line string) *events.Progress {
	progress, key, value, ok := waiters.ParseLine(line)
	if !ok {
		o.tail.add(line)
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if progress == nil {
		o.values[key] = value
		return nil
	}
	o.lastText = strings.TrimSpace(line)
	return progress
}

// handed is what the helper handed on with ::set.
func (o *output) handed() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.values)
}

// last is what the helper said of its progress last.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lastText == "" {
		return ""
	}
	return "last said: " + o.lastText
}

// finish waits until all that the ended container printed has been read. A
// stream that broke is read again from the beginning, patiently: a value that
// a helper handed on is lost for good once the helper is recorded without it. The
// error is that of an engine which does not answer. A log that cannot be had at all (none
// is kept, the container is gone) is none.
func (o *output) finish(ctx context.Context, engine containers.Engine, name string) error {
	select {
	case <-o.done:
		if o.err == nil {
			return nil
		}
	case <-time.After(outputPatience):
		o.cancel()
		<-o.done
	}
	deadline := time.Now().Add(rereadPatience)
	for {
		err, broken := o.read(ctx, engine, name)
		if !broken {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("reading what %s printed: %w: %w", name, containers.ErrUnavailable, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rereadPause):
		}
	}
}

// read reads the whole log anew. broken tells that the stream ended before the log did.
func (o *output) read(ctx context.Context, engine containers.Engine, name string) (err error, broken bool) {
	reader, err := engine.Logs(ctx, name, containers.LogOptions{})
	if errors.Is(err, containers.ErrUnavailable) || ctx.Err() != nil {
		return err, false
	}
	if err != nil {
		return nil, false
	}
	defer reader.Close()
	o.tail.reset()
	err = eachLine(reader, func(line string) { o.take(line) })
	return err, err != nil
}

// lastLines reads the last lines of a container; none when they cannot be read.
func lastLines(ctx context.Context, engine containers.Engine, name string) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outputPatience)
	defer cancel()
	reader, err := engine.Logs(ctx, name, containers.LogOptions{Tail: tailLines})
	if err != nil {
		return nil
	}
	defer reader.Close()
	var t tail
	_ = eachLine(reader, t.add)
	return t.lines()
}

func tailOf(text string) []string {
	var t tail
	_ = eachLine(strings.NewReader(text), t.add)
	return t.lines()
}

// eachLine calls fn with each line, cut to maxLine, however long it is.
func eachLine(reader io.Reader, fn func(string)) error {
	b := bufio.NewReaderSize(reader, maxLine)
	for {
		line, long, err := b.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(strings.ToValidUTF8(strings.TrimRight(string(line), "\r"), "�"))
		for long {
			if _, long, err = b.ReadLine(); err != nil {
				break
			}
		}
	}
}

// tail is a ring of the last lines.
type tail struct {
	mu   sync.Mutex
	ring []string
	next int
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < tailLines {
		t.ring = append(t.ring, line)
		return
	}
	t.ring[t.next] = line
	t.next = (t.next + 1) % tailLines
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring, t.next = nil, 0
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]string(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}
