// Package probe is both ends of connections through a probe container: the
// program that dials from inside a stack's network, and the net.Conns here
// whose bytes travel over that program's standard input and output.
//
// All connections of a probe share one pair of pipes (a Session, by yamux):
// what a look costs is a message, not a process. Each is a stream of frames
// each way: a byte for the kind, four for the length as big endian, then that many
// bytes. A half-close is a frame, since yamux tells the far side the same of a stream
// that is half closed and of one that nobody reads any more.
package probe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The kinds of frames.
const (
	frameDial   = 'c' // the near side's first: a limit in milliseconds, a space, HOST:PORT
	frameOpen   = 'o' // the connection stands; nothing in it
	frameFailed = 'f' // it does not, and why: the end
	frameData   = 'd'
	frameEnd    = 'e' // no more data this way
)

// maxFrame bounds what one frame may hold, in bytes.
const maxFrame = 64 << 10

// Command is the hidden command of the program that is Main.
const Command = "probe-dial"

// The arguments of Main, one of them: HoldArg makes it wait as long as it is needed, StayArg
// until it is stopped, ServeArg dial.
const (
	HoldArg  = "--hold"
	StayArg  = "--stay"
	ServeArg = "--serve"
)

// IdleLimit is how long a held probe stays without anybody dialling: a runner
// that was killed leaves its probes, and they end by themselves.
const IdleLimit = 5 * time.Minute

// Main is the hidden command probe-dial. With HoldArg it waits in the container until
// nobody has needed it for IdleLimit, with StayArg until it is stopped; with ServeArg it dials for a Session until its input
// ends. It returns the exit code: 0, 1 when a session broke, 2 for wrong arguments.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == HoldArg:
		hold(IdleLimit)
		return 0
	case len(args) == 1 && args[0] == StayArg:
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		return 0
	case len(args) == 1 && args[0] == ServeArg:
		if err := serve(stdin, stdout); err != nil {
			fmt.Fprintf(stderr, "probe-dial: %v\n", err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(stderr, "probe-dial: want %s, %s or %s\n", HoldArg, StayArg, ServeArg)
	return 2
}

// dial does what the first frame of a stream asks for, and carries the connection.
func dial(stream io.ReadWriteCloser) {
	defer stream.Close()
	in, out := bufio.NewReader(stream), &frameWriter{w: stream}
	kind, content, err := readFrame(in)
	if err != nil {
		return
	}
	milliseconds, address, _ := strings.Cut(string(content), " ")
	limit, err := strconv.Atoi(milliseconds)
	if kind != frameDial || err != nil || limit <= 0 {
		_ = out.frame(frameFailed, fmt.Appendf(nil, "probe: cannot dial %q", content))
		return
	}
	dialer := net.Dialer{Timeout: time.Duration(limit) * time.Millisecond}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		_ = out.frame(frameFailed, []byte(err.Error()))
		return
	}
	if err := out.frame(frameOpen, nil); err != nil {
		_ = conn.Close()
		return
	}
	relay(conn, in, out)
}

// relay carries bytes until both ways have ended or this side is gone.
func relay(conn net.Conn, in *bufio.Reader, out *frameWriter) {
	defer conn.Close()
	received := make(chan struct{})
	go func() { // ends with conn, which relay closes, or with its far end
		defer close(received)
		_, _ = io.Copy(dataWriter{out}, conn)
		_ = out.frame(frameEnd, nil)
	}()
	var sent sync.WaitGroup
	gone := make(chan struct{})
	sent.Go(func() { // ends with the stream
		if err := pumpFrames(in, conn); err != nil {
			close(gone)
			return
		}
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		// The other side has nothing more to say, but its going away still counts.
		_, _ = io.Copy(io.Discard, in)
		close(gone)
	})
	select {
	case <-received:
		// The far end has finished; what comes from here still goes there,
		// until this side has finished too.
		<-gone
	case <-gone:
	}
}

// pumpFrames writes the data of the frames to w, until they come to their end;
// the error says why they did not.
func pumpFrames(reader *bufio.Reader, w io.Writer) error {
	for {
		kind, content, err := readFrame(reader)
		switch {
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case kind == frameEnd:
			return nil
		case kind == frameData:
			// Who has stopped reading may still send: go on to the end.
			_, _ = w.Write(content)
		}
	}
}

// hold waits until nobody else has been in this container for the limit: who
// serves a session is another process in the same process namespace.
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
