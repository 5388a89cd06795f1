// Package logs reads the log of a container, through all its runs.
package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/ends"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// Open is what containers.Engine says of Logs.
func Open(ctx context.Context, api *client.Client, heard *ends.Listener, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	found, err := look.Container(ctx, api, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	f := &follower{
		api: api, id: found.ID, name: name, opts: opts, started: translate.Time(found.State.StartedAt),
		made: found.State.Status == container.StateCreated, tty: found.Config != nil && found.Config.Tty,
		lines: lineWriter{out: writer, keepTimes: opts.Timestamps},
	}
	leave := func() {}
	if opts.Ahead || opts.Follow && found.State.Running {
		f.end, leave = heard.Of(found)
	}
	begin := f.begin
	if opts.Ahead {
		begin = f.attach
	}
	// The first answer is waited for here, so that a container without
	// readable logs is an error of this call.
	copying, err := begin(ctx)
	if err != nil {
		cancel()
		leave()
		return nil, err
	}
	stream := &logStream{PipeReader: reader, cancel: cancel}
	stream.done.Go(func() {
		defer leave()
		writer.CloseWithError(copying())
	})
	return stream, nil
}

// begin opens the engine's log; copying is to its end.
func (f *follower) begin(ctx context.Context) (copying func() error, err error) {
	// A followed log is opened again for each run of the container: the time
	// of the last line is where it goes on.
	f.lines.times = f.opts.Timestamps || f.opts.Follow
	body, err := f.open(ctx, f.opts.Since, f.opts.Tail)
	if err != nil {
		return nil, err
	}
	return func() error { return f.run(ctx, body) }, nil
}

// logStream owns the goroutine that fills its pipe.
type logStream struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (s *logStream) Close() error {
	s.cancel()
	err := s.PipeReader.Close()
	s.done.Wait()
	return err
}

// follower reads the log of one container through all its runs.
type follower struct {
	api     *client.Client
	id      string
	name    string
	opts    containers.LogOptions
	tty     bool
	made    bool      // and not started when it was looked at
	started time.Time // the start of the run that is read; zero before the first
	// end is where the end of that run may be heard of, and that there is no other run.
	end   <-chan ends.End
	lines lineWriter
}

func (f *follower) open(ctx context.Context, since time.Time, tail int) (io.ReadCloser, error) {
	options := container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: f.opts.Follow,
		Timestamps: f.opts.Timestamps || (f.lines.times && !f.tty),
	}
	if tail > 0 {
		options.Tail = strconv.Itoa(tail)
	}
	if !since.IsZero() {
		options.Since = since.Format(time.RFC3339Nano)
	}
	body, err := f.api.ContainerLogs(ctx, f.id, options)
	if err != nil {
		return nil, failure.Of(ctx, err, "logs of container %s", f.name)
	}
	return body, nil
}

// run copies the log to its end. The engine ends a followed log when the
// process ends, and at once for one that was not started: a restart policy's
// next run, or the first one, is waited for here.
func (f *follower) run(ctx context.Context, body io.ReadCloser) error {
	for {
		err := f.copy(body)
		err = errors.Join(err, body.Close())
		if err != nil {
			return failure.Of(ctx, err, "logs of container %s", f.name)
		}
		if !f.opts.Follow {
			return nil
		}
		since, more, err := f.nextRun(ctx)
		if !more || err != nil {
			return err
		}
		if body, err = f.open(ctx, since, 0); err != nil {
			return err
		}
	}
}

func (f *follower) copy(body io.Reader) error {
	if f.tty {
		_, err := io.Copy(f.lines.out, body)
		return err
	}
	err := f.lines.demultiplex(body)
	return errors.Join(err, f.lines.flush())
}

// nextRun waits until there is another run than the one that was read, and
// returns the moment from which on the log is new; more is false after the end.
func (f *follower) nextRun(ctx context.Context) (since time.Time, more bool, err error) {
	for pause := (backoff.Backoff{}); ; {
		found, over, err := f.look(ctx)
		if over {
			return since, false, nil
		}
		if errors.Is(err, containers.ErrNotFound) {
			return since, false, nil
		}
		if err != nil {
			return since, false, err
		}
		started := translate.Time(found.State.StartedAt)
		switch {
		case !started.IsZero() && !started.Equal(f.started):
			since = f.opts.Since
			switch {
			case !f.lines.last.IsZero():
				since = f.lines.last.Add(1) // the engine's since is inclusive
			case f.tty && !f.started.IsZero():
				since = started // a terminal's log has no times to go by
			}
			f.started = started
			return since, true, nil
		case translate.Status(found).Ended():
			return since, false, nil
		}
		if err := pause.Wait(ctx); err != nil {
			return since, false, failure.Of(ctx, err, "logs of container %s", f.name)
		}
	}
}

// look looks at the container unless its end is heard of first.
func (f *follower) look(ctx context.Context) (found container.InspectResponse, over bool, err error) {
	if f.end == nil {
		found, err = look.Container(ctx, f.api, f.id)
		return found, false, err
	}
	looking, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ended below
		defer close(done)
		found, err = look.Container(looking, f.api, f.id)
	}()
	select {
	case <-f.end:
		over = true
	case <-done:
	}
	cancel()
	<-done
	return found, over, err
}

// lineWriter takes the engine's frames, each of which holds one line of one
// stream or a part of a long one (Docker cuts at 16 KB), and writes whole lines.
type lineWriter struct {
	out io.Writer
	// times: each frame begins with a time and a space; keepTimes: so does each line.
	times, keepTimes bool
	last             time.Time // of the newest line; zero before the first
	partial          [3][]byte // by stream
}

// demultiplex reads frames of 8 bytes of header (stream, 0, 0, 0, length as
// big endian) and content. Source: Docker's API, "Attach to a container".
func (w *lineWriter) demultiplex(body io.Reader) error {
	var header [8]byte
	var frame []byte
	for {
		if _, err := io.ReadFull(body, header[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		size := int(binary.BigEndian.Uint32(header[4:]))
		if cap(frame) < size {
			frame = make([]byte, size)
		}
		frame = frame[:size]
		if _, err := io.ReadFull(body, frame); err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		switch stream := stdcopy.StdType(header[0]); stream {
		case stdcopy.Stdin, stdcopy.Stdout, stdcopy.Stderr:
			if err := w.frame(int(stream), frame); err != nil {
				return err
			}
		case stdcopy.Systemerr:
			return fmt.Errorf("the engine's log reader: %s", bytes.TrimSpace(frame))
		default:
			return fmt.Errorf("the engine's log has a frame of an unknown stream %d", stream)
		}
	}
}

func (w *lineWriter) frame(stream int, content []byte) error {
	if w.times {
		stamp, rest, _ := bytes.Cut(content, []byte(" "))
		if at, err := time.Parse(time.RFC3339Nano, string(stamp)); err == nil {
			w.last = at
			if len(w.partial[stream]) > 0 || !w.keepTimes {
				content = rest
			}
		}
	}
	w.partial[stream] = append(w.partial[stream], content...)
	end := bytes.LastIndexByte(w.partial[stream], '\n') + 1
	if end == 0 {
		return nil
	}
	_, err := w.out.Write(w.partial[stream][:end])
	w.partial[stream] = append(w.partial[stream][:0], w.partial[stream][end:]...)
	return err
}

// flush writes what the log ended with, where that was not a line's end.
func (w *lineWriter) flush() error {
	for stream, rest := range w.partial {
		w.partial[stream] = nil
		if len(rest) == 0 {
			continue
		}
		if _, err := w.out.Write(rest); err != nil {
			return err
		}
	}
	return nil
}
