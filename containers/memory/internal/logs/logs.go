// Package logs keeps what containers print.
package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Book is what a container has printed, over all its runs.
type Book struct {
	mu      sync.Mutex
	lines   []line
	open    [2][]byte // the unfinished line of each stream
	changed chan struct{}
}

type line struct {
	time time.Time
	text []byte // with its newline, if it had one
}

// New returns an empty one.
func New() *Book { return &Book{changed: make(chan struct{})} }

// Write adds what one of the two streams of a process printed.
func (b *Book) Write(stream int, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := append(b.open[stream], text...)
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		b.add(rest[:end+1])
		rest = rest[end+1:]
	}
	b.open[stream] = bytes.Clone(rest)
}

// add appends a line. The book is locked.
func (b *Book) add(text []byte) {
	b.lines = append(b.lines, line{time.Now(), bytes.Clone(text)})
	close(b.changed)
	b.changed = make(chan struct{})
}

// Flush ends unfinished lines, at the end of the process.
func (b *Book) Flush() {
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
func (b *Book) since(index int) ([]line, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[index:len(b.lines):len(b.lines)], b.changed
}

// Read returns the lines that opts ask for, in the order in which they were
// finished. A reading that follows is at its end once ended says so and all
// lines are read; the channel that ended returns is closed when its answer may
// have changed. When cut is closed, the reading fails with ErrUnavailable.
func (b *Book) Read(ctx context.Context, opts containers.LogOptions, cut <-chan struct{}, ended func() (bool, <-chan struct{})) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{ctx: ctx, cancel: cancel, cut: cut, book: b, ended: ended, opts: opts}
	lines, _ := b.since(0)
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
	return r
}

// reader is one reading of a Book.
type reader struct {
	ctx      context.Context //nolint:containedctx // io.Reader takes none, and the ctx of Logs ends the whole reading
	cancel   context.CancelFunc
	cut      <-chan struct{}
	book     *Book
	ended    func() (bool, <-chan struct{})
	opts     containers.LogOptions
	next     int // the first line not read yet
	buffer   []byte
	finished bool
}

func (r *reader) render(lines []line) {
	for _, line := range lines {
		if r.opts.Timestamps {
			r.buffer = append(r.buffer, line.time.UTC().Format(time.RFC3339Nano)+" "...)
		}
		r.buffer = append(r.buffer, line.text...)
	}
	r.next += len(lines)
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.buffer) == 0 {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.finished {
			return 0, io.EOF
		}
		// The end is asked for before the lines: all lines come before the end.
		ended, state := r.ended()
		lines, more := r.book.since(r.next)
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

func (r *reader) Close() error {
	r.cancel()
	return nil
}
