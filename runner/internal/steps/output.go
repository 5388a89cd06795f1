package steps

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/waiters"
)

const (
	// tailLines are kept of what a container printed last; of one whose step failed it is
	// keptLines, and keptBytes at most: what is looked at when it is gone.
	tailLines = 20
	keptLines = 1000
	keptBytes = 128 << 10
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
	// outputPause is the least time between two events that tell a step's last line.
	outputPause = 500 * time.Millisecond
	// listenAfter is how long a service may take to be ready before anybody wants to
	// know what it prints: a stream that is opened for each would slow the quick ones down.
	listenAfter = time.Second
	// listenTail are lines of before that, so that the last one is among them.
	listenTail = 20
)

// output follows what a helper prints: its last lines, its progress and what
// it hands on.
type output struct {
	tail   tail
	done   chan struct{}
	cancel context.CancelFunc
	err    error

	secrets *secrets.Masker

	mu       sync.Mutex
	values   map[string]string
	lastText string
}

// ahead reads the log of a container that is about to be started; nil where the engine cannot.
func (c *Crew) ahead(ctx context.Context, a *active) *output {
	reader, err := c.Engine.Logs(ctx, a.Container, containers.LogOptions{Follow: true, Ahead: true})
	if err != nil { // the one after the start tells why
		return nil
	}
	return c.output(ctx, a, func(context.Context) (io.ReadCloser, error) { return reader, nil })
}

// follow reads the container's log until it ends or ctx does.
func (c *Crew) follow(ctx context.Context, a *active, o containers.LogOptions) *output {
	o.Follow = true
	return c.output(ctx, a, func(ctx context.Context) (io.ReadCloser, error) { return c.Engine.Logs(ctx, a.Container, o) })
}

// output reads what open opens until it ends or ctx does. The goroutines are
// owned by the output: finish and drop wait for them.
func (c *Crew) output(ctx context.Context, a *active, open func(context.Context) (io.ReadCloser, error)) *output {
	ctx, cancel := context.WithCancel(ctx)
	out := &output{values: map[string]string{}, secrets: c.Stack.Secrets, done: make(chan struct{}), cancel: cancel}
	var telling sync.WaitGroup
	telling.Go(func() { c.tell(ctx, a, &out.tail) })
	go func() {
		defer close(out.done)
		defer telling.Wait()
		defer cancel()
		reader, err := open(ctx)
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

// tell tells the last line that was printed, as often as there is another one, until ctx is done.
func (c *Crew) tell(ctx context.Context, a *active, t *tail) {
	ticker := time.NewTicker(outputPause)
	defer ticker.Stop()
	for told := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		line, count := t.last()
		if count == told || line == "" {
			continue
		}
		told = count
		e := record.About(events.StepOutput, a.Step)
		e.Attempt, e.Logs = a.attempt, []string{line}
		c.Record.Note(e)
	}
}

// listen tells what a service prints and reports, until stop is called.
func (c *Crew) listen(ctx context.Context, a *active) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		timer := time.NewTimer(listenAfter)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			<-c.follow(ctx, a, containers.LogOptions{Tail: listenTail}).done
		}
	})
	return func() {
		cancel()
		listening.Wait()
	}
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
		if secrets.Named(key) { // whatever the container prints of it from now on
			o.secrets.Add(value)
		}
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

// drop ends the reading.
func (o *output) drop() {
	o.cancel()
	<-o.done
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
		o.drop()
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
func lastLines(ctx context.Context, engine containers.Engine, name string, lines int) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outputPatience)
	defer cancel()
	reader, err := engine.Logs(ctx, name, containers.LogOptions{Tail: lines})
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
		text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r"), "�")
		if long {
			text += "…"
		}
		fn(text)
		for long {
			if _, long, err = b.ReadLine(); err != nil {
				break
			}
		}
	}
}

// tail holds the last lines: keptLines, or fewer where these are long.
type tail struct {
	mu    sync.Mutex
	kept  []string
	bytes int
	count int // of all lines, also those that are not kept
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, line)
	t.bytes += len(line)
	t.count++
	for len(t.kept) > keptLines || t.bytes > keptBytes {
		t.bytes -= len(t.kept[0])
		t.kept[0], t.kept = "", t.kept[1:]
	}
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.bytes = nil, 0
}

// last is the last line, and how many there were.
func (t *tail) last() (string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == 0 {
		return "", t.count
	}
	return t.kept[len(t.kept)-1], t.count
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}

// few are the last tailLines of lines.
func few(lines []string) []string { return lines[max(len(lines)-tailLines, 0):] }
