package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// logbook is what a container has printed, over all its runs.
type logbook struct {
	mu      sync.Mutex
	lines   []logLine
	open    [2][]byte // the unfinished line of each stream
	changed chan struct{}
}

type logLine struct {
	time time.Time
	text []byte // with its newline, if it had one
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

// stream is one of the two output streams of a process.
type stream struct {
	process *process
	index   int
}

func (s stream) Write(text []byte) (int, error) {
	if err := s.process.ctx.Err(); err != nil {
		return 0, err
	}
	book := s.process.container.log
	book.mu.Lock()
	defer book.mu.Unlock()
	rest := append(book.open[s.index], text...)
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		book.add(rest[:end+1])
		rest = rest[end+1:]
	}
	book.open[s.index] = bytes.Clone(rest)
	return len(text), nil
}

// add appends a line. The book is locked.
func (b *logbook) add(text []byte) {
	b.lines = append(b.lines, logLine{time.Now(), bytes.Clone(text)})
	close(b.changed)
	b.changed = make(chan struct{})
}

// flush ends unfinished lines, at the end of the process.
func (b *logbook) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, text := range b.open {
		if len(text) > 0 {
			b.add(text)
		}
		b.open[i] = nil
	}
}

// since returns the lines from index on, and a channel that is closed when there are more.
func (b *logbook) since(index int) ([]logLine, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[index:len(b.lines):len(b.lines)], b.changed
}

// Logs gives both streams in the order in which their lines were finished.
func (e *Engine) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	if err := e.enter(ctx, "Logs"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &logReader{ctx: ctx, cancel: cancel, engine: e, cut: e.cut, container: c, opts: opts, ends: c.ends}
	lines, _ := c.log.since(0)
	for i, line := range lines {
		if line.time.Before(opts.Since) {
			r.next = i + 1
		}
	}
	if opts.Tail > 0 {
		r.next = max(r.next, len(lines)-opts.Tail)
	}
	if !opts.Follow {
		r.render(lines[r.next:])
		r.finished = true
	}
	return r, nil
}

// logReader is one reading of a logbook.
type logReader struct {
	ctx       context.Context // of this reading, which outlives the call of Logs
	cancel    context.CancelFunc
	engine    *Engine
	cut       <-chan struct{}
	container *container
	opts      containers.LogOptions
	ends      int // how often the container had ended when the reading began
	next      int // the first line not read yet
	buffer    []byte
	finished  bool
}

func (r *logReader) render(lines []logLine) {
	for _, line := range lines {
		if r.opts.Timestamps {
			r.buffer = append(r.buffer, line.time.UTC().Format(time.RFC3339Nano)+" "...)
		}
		r.buffer = append(r.buffer, line.text...)
	}
	r.next += len(lines)
}

// ended tells whether a reading that follows has come to its end once all
// lines are read; otherwise it returns a channel that is closed on a change.
func (r *logReader) ended() (bool, <-chan struct{}) {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	c := r.container
	return c.removed || c.ends > r.ends || c.state == containers.StateExited, c.changed
}

func (r *logReader) Read(p []byte) (int, error) {
	for len(r.buffer) == 0 {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.finished {
			return 0, io.EOF
		}
		// The end is asked for before the lines: all lines come before the end.
		ended, state := r.ended()
		lines, more := r.container.log.since(r.next)
		if len(lines) > 0 {
			r.render(lines)
			continue
		}
		if ended {
			r.finished = true
			continue
		}
		select {
		case <-more:
		case <-state:
		case <-r.ctx.Done():
		case <-r.cut:
			return 0, fmt.Errorf("the log broke off: %w", containers.ErrUnavailable)
		}
	}
	n := copy(p, r.buffer)
	r.buffer = r.buffer[n:]
	return n, nil
}

func (r *logReader) Close() error {
	r.cancel()
	return nil
}
