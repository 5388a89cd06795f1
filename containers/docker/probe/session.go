package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

// DialLimit bounds a dial whose ctx has no deadline: an address that drops
// packets would otherwise hold it for minutes.
const DialLimit = 30 * time.Second

// Stream is the near end of a probe's standard input and output, and of one connection's part of it.
type Stream interface {
	io.Reader // its standard output
	io.Writer // its standard input
	io.Closer // of both; ends reads and writes that are under way
}

// Session is the near side of a probe that serves: any number of connections over one stream.
type Session struct{ mux *yamux.Session }

// NewSession takes the stream, which ends with the session.
func NewSession(stream Stream) (*Session, error) {
	mux, err := yamux.Client(stream, settings())
	if err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	return &Session{mux}, nil
}

// Close ends the session and all its connections.
func (s *Session) Close() error { return s.mux.Close() }

// Ended tells whether the session is over: the probe ended, or the stream broke.
func (s *Session) Ended() bool { return s.mux.IsClosed() }

// Dial has the probe dial HOST:PORT: *RefusedError when the address did not accept
// it, any other error when the probe itself failed.
func (s *Session) Dial(ctx context.Context, address string) (net.Conn, error) {
	limit := DialLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	stream, err := s.mux.OpenStream()
	if err != nil {
		return nil, err
	}
	content := fmt.Appendf(nil, "%d %s", max(1, limit.Milliseconds()), address)
	if err := (&frameWriter{w: stream}).frame(frameDial, content); err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	return connect(ctx, cut{stream}, address)
}

// cut closes a part of a session for good: yamux itself closes one way, and
// goes on to read.
type cut struct{ *yamux.Stream }

func (c cut) Close() error {
	return errors.Join(c.SetDeadline(time.Unix(1, 0)), c.Stream.Close())
}

// serve dials for the near side until its input ends.
func serve(stdin io.Reader, stdout io.Writer) error {
	mux, err := yamux.Server(pipes{stdin, stdout}, settings())
	if err != nil {
		return err
	}
	defer func() { _ = mux.Close() }() // the pipes end with the program
	for {
		stream, err := mux.AcceptStream()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.EPIPE), errors.Is(err, yamux.ErrSessionShutdown):
			return nil // the near side is gone
		case err != nil:
			return err
		}
		go dial(stream) // ends with the stream, which ends with the session at the latest
	}
}

// pipes are a program's own input and output. A read of them cannot be
// interrupted: it ends with the program.
type pipes struct {
	io.Reader
	io.Writer
}

func (pipes) Close() error { return nil }

// settings of both ends. Nobody asks whether the other is there, for both
// hear it when the pipes end; and an engine that is busy is no reason to give up.
func settings() *yamux.Config {
	config := yamux.DefaultConfig()
	config.EnableKeepAlive = false
	config.ConnectionWriteTimeout = time.Minute
	config.StreamCloseTimeout = time.Minute
	config.LogOutput = io.Discard
	return config
}

// RefusedError is what the probe answers when the address accepts no connection.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// connect waits for the probe's word and returns the connection. The stream
// belongs to it, and is closed on failure.
func connect(ctx context.Context, stream Stream, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	reader := bufio.NewReader(stream)
	kind, content, err := readFrame(reader)
	if !stop() {
		return nil, errors.Join(ctx.Err(), stream.Close())
	}
	switch {
	case err != nil:
		return nil, errors.Join(err, stream.Close())
	case kind == frameFailed:
		_ = stream.Close()
		return nil, &RefusedError{Reason: string(content)}
	case kind != frameOpen:
		_ = stream.Close()
		return nil, fmt.Errorf("probe: unexpected answer %q", kind)
	}
	return newConn(stream, reader, address), nil
}
