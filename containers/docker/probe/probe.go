// Package probe is both ends of a connection through a probe container: the
// program that dials from inside a stack's network, and the net.Conn here
// whose bytes travel over that program's standard input and output.
//
// Each way carries frames: a byte for the kind, four for the length as big
// endian, then that many bytes. A half-close is a frame, since not every
// engine passes the end of an input on.
package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The kinds of frames.
const (
	frameOpen   = 'o' // the connection stands; nothing in it
	frameFailed = 'f' // it does not, and why: the end
	frameData   = 'd'
	frameEnd    = 'e' // no more data this way
)

// maxFrame bounds what one frame may hold, in bytes.
const maxFrame = 64 << 10

// HoldArg as the only argument makes Main wait instead of dialling.
const HoldArg = "--hold"

// IdleLimit is how long a held probe stays without anybody dialling: a runner
// that was killed leaves its probes, and they end by themselves.
const IdleLimit = 5 * time.Minute

// dialLimit bounds a dial for which the other side set no limit.
const dialLimit = 30 * time.Second

// Main is the hidden command probe-dial. args is HOST:PORT, and then a limit
// in milliseconds for the dial if any; or HoldArg. It returns the exit code: 0,
// 1 when the connection failed (told in a frame), 2 for wrong arguments.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == HoldArg {
		hold(IdleLimit)
		return 0
	}
	limit := dialLimit
	if len(args) == 2 {
		milliseconds, err := strconv.Atoi(args[1])
		if err != nil || milliseconds <= 0 {
			fmt.Fprintf(stderr, "probe-dial: %q is not a number of milliseconds\n", args[1])
			return 2
		}
		limit = time.Duration(milliseconds) * time.Millisecond
	}
	if len(args) != 1 && len(args) != 2 {
		fmt.Fprintln(stderr, "probe-dial: want HOST:PORT [MILLISECONDS]")
		return 2
	}
	out := &frameWriter{w: stdout}
	dialer := net.Dialer{Timeout: limit}
	conn, err := dialer.Dial("tcp", args[0])
	if err != nil {
		_ = out.frame(frameFailed, []byte(err.Error()))
		return 1
	}
	if err := out.frame(frameOpen, nil); err != nil {
		return 1
	}
	return relay(conn, stdin, out)
}

// relay carries bytes until both ways have ended or this side is gone.
func relay(conn net.Conn, stdin io.Reader, out *frameWriter) int {
	defer conn.Close()
	received := make(chan struct{})
	go func() { // ends with conn, which relay closes, or with its far end
		defer close(received)
		_, _ = io.Copy(dataWriter{out}, conn)
		_ = out.frame(frameEnd, nil)
	}()
	var sent sync.WaitGroup
	gone := make(chan struct{})
	// Not waited for on the way out: a read of a terminal's or pipe's input
	// cannot be interrupted, and the process ends with Main.
	sent.Go(func() {
		if ended := pumpFrames(stdin, conn); !ended {
			close(gone)
			return
		}
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		// The other side has nothing more to say, but its going away still counts.
		_, _ = io.Copy(io.Discard, stdin)
		close(gone)
	})
	select {
	case <-received:
		// The far end has finished; what comes from here still goes there,
		// until this side has finished too.
		<-gone
		return 0
	case <-gone:
		return 0
	}
}

// pumpFrames writes the data of the frames of r to w. It tells whether the
// frames came to a proper end.
func pumpFrames(r io.Reader, w io.Writer) bool {
	reader := bufio.NewReader(r)
	for {
		kind, content, err := readFrame(reader)
		if err != nil {
			return false
		}
		switch kind {
		case frameEnd:
			return true
		case frameData:
			// Who has stopped reading may still send: go on to the end.
			_, _ = w.Write(content)
		}
	}
}

// hold waits until nobody else has been in this container for the limit: a
// dial is another process in the same process namespace.
func hold(limit time.Duration) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(stop)
	last := time.Now()
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if others() {
				last = time.Now()
			} else if time.Since(last) > limit {
				return
			}
		}
	}
}

// others tells whether there are further processes; when that cannot be told
// there are none.
func others() bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	self := strconv.Itoa(os.Getpid())
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil && entry.Name() != self {
			return true
		}
	}
	return false
}

// frameWriter writes whole frames, one after another.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frameWriter) frame(kind byte, content []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	buffer := make([]byte, 5, 5+len(content))
	buffer[0] = kind
	binary.BigEndian.PutUint32(buffer[1:], uint32(len(content)))
	_, err := f.w.Write(append(buffer, content...))
	return err
}

// dataWriter writes frames of data.
type dataWriter struct{ *frameWriter }

func (w dataWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		part := p[:min(len(p), maxFrame)]
		if err := w.frame(frameData, part); err != nil {
			return written, err
		}
		written += len(part)
		p = p[len(part):]
	}
	return written, nil
}

func readFrame(r *bufio.Reader) (byte, []byte, error) {
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > maxFrame {
		return 0, nil, fmt.Errorf("probe: a frame of %d bytes: that is not the probe talking", size)
	}
	content := make([]byte, size)
	_, err := io.ReadFull(r, content)
	return header[0], content, err
}

// RefusedError is what the probe answers when the address accepts no connection.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// Stream is the near end of the probe's standard input and output.
type Stream interface {
	io.Reader // its standard output
	io.Writer // its standard input
	io.Closer // of both; ends reads and writes that are under way
}

// Connect waits for the probe's word and returns the connection: *RefusedError
// when the address did not accept it, any other error when the probe itself
// failed. The stream belongs to the connection, and is closed on failure.
func Connect(ctx context.Context, stream Stream, address string) (net.Conn, error) {
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
