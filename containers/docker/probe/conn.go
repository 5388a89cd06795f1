package probe

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// conn is a connection through the probe. Each way is a net.Pipe of its own,
// which gives deadlines and lets one way end before the other.
type conn struct {
	stream  Stream
	address addr

	in, inFar   net.Conn // Read takes from in what receive puts into inFar
	out, outFar net.Conn // Write puts into out what send takes from outFar
	pumps       sync.WaitGroup
	sent        chan struct{} // closed when all that was written is on its way

	mu     sync.Mutex
	broken error // why the stream ended before the far side's end

	closeOnce sync.Once
	closeErr  error
}

func newConn(stream Stream, reader *bufio.Reader, address string) *conn {
	c := &conn{stream: stream, address: addr(address), sent: make(chan struct{})}
	c.in, c.inFar = net.Pipe()
	c.out, c.outFar = net.Pipe()
	c.pumps.Go(func() { c.receive(reader) })
	c.pumps.Go(c.send)
	return c
}

// receive ends with the far side's end or with the stream.
func (c *conn) receive(reader *bufio.Reader) {
	defer c.inFar.Close()
	if err := pumpFrames(reader, c.inFar); err != nil {
		c.mu.Lock()
		c.broken = err
		c.mu.Unlock()
	}
}

func (c *conn) send() {
	defer close(c.sent)
	defer c.outFar.Close()
	out := &frameWriter{w: c.stream}
	if _, err := io.Copy(dataWriter{out}, c.outFar); err != nil {
		return // the stream broke: Write tells it
	}
	_ = out.frame(frameEnd, nil)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.broken != nil {
			err = c.broken
		}
	}
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

// CloseWrite tells the far side that nothing more comes; reading goes on.
func (c *conn) CloseWrite() error { return c.out.Close() }

// linger is how long Close waits for what was written to be on its way, where
// the far side does not read.
const linger = 2 * time.Second

func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		c.closeErr = errors.Join(c.in.Close(), c.out.Close())
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-c.sent:
		case <-timer.C:
		}
		c.closeErr = errors.Join(c.closeErr, c.stream.Close())
		c.pumps.Wait()
	})
	return c.closeErr
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }
func (c *conn) LocalAddr() net.Addr                { return addr("probe") }
func (c *conn) RemoteAddr() net.Addr               { return c.address }

// addr is an address inside a stack's network.
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }
