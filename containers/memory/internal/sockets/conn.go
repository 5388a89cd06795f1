// Package sockets is TCP in memory: connections, and who listens where.
package sockets

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes a connection holds that nobody has read yet; a
// writer blocks when it is full, as with TCP.
const window = 256 << 10

// address is a net.Addr.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// pipe is one direction of a connection.
type pipe struct {
	mu      sync.Mutex
	data    []byte
	ended   bool // the writer has closed: EOF after the data
	refused bool // the reader has closed: nobody will read
	changed chan struct{}
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

// update calls f with the pipe locked and wakes all who wait.
func (p *pipe) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// conn is one end of a connection: what net.Pipe gives, but buffered, so that
// a peer may write and close before it has read, as TCP allows.
type conn struct {
	in, out       *pipe
	local, remote address
	once          sync.Once
	closed        chan struct{}
	read, write   deadline
	onClose       func()
}

var _ net.Conn = (*conn)(nil)

// connect returns the two ends of a new connection.
func connect(client, server address) (*conn, *conn) {
	there, back := newPipe(), newPipe()
	a := &conn{in: back, out: there, local: client, remote: server, closed: make(chan struct{})}
	b := &conn{in: there, out: back, local: server, remote: client, closed: make(chan struct{})}
	a.read.init()
	a.write.init()
	b.read.init()
	b.write.init()
	return a, b
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// wait blocks until the channel is closed; otherwise it returns why not.
func (c *conn) wait(op string, changed <-chan struct{}, d *deadline) error {
	select {
	case <-changed:
		return nil
	case <-c.closed:
		return c.fail(op, net.ErrClosed)
	case <-d.passed():
		return c.fail(op, os.ErrDeadlineExceeded)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *conn) Read(target []byte) (int, error) {
	for {
		switch {
		case isClosed(c.closed):
			return 0, c.fail("read", net.ErrClosed)
		case isClosed(c.read.passed()):
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		n, ended := 0, false
		c.in.mu.Lock()
		changed := c.in.changed
		ended = c.in.ended && len(c.in.data) == 0
		waiting := len(c.in.data) == 0
		c.in.mu.Unlock()
		switch {
		case len(target) == 0:
			return 0, nil
		case ended:
			return 0, io.EOF
		case waiting:
			if err := c.wait("read", changed, &c.read); err != nil {
				return 0, err
			}
			continue
		}
		c.in.update(func() {
			n = copy(target, c.in.data)
			c.in.data = c.in.data[n:]
		})
		if n > 0 { // 0 when another reader was faster
			return n, nil
		}
	}
}

func (c *conn) Write(source []byte) (int, error) {
	written := 0
	for {
		switch {
		case isClosed(c.closed):
			return written, c.fail("write", net.ErrClosed)
		case isClosed(c.write.passed()):
			return written, c.fail("write", os.ErrDeadlineExceeded)
		}
		var refused bool
		var changed <-chan struct{}
		c.out.update(func() {
			refused = c.out.refused || c.out.ended
			n := min(len(source)-written, window-len(c.out.data))
			if !refused {
				c.out.data = append(c.out.data, source[written:written+n]...)
				written += n
			}
		})
		if refused {
			return written, c.fail("write", syscall.EPIPE)
		}
		if written == len(source) {
			return written, nil
		}
		c.out.mu.Lock()
		changed = c.out.changed
		full := len(c.out.data) >= window && !c.out.refused
		c.out.mu.Unlock()
		if full {
			if err := c.wait("write", changed, &c.write); err != nil {
				return written, err
			}
		}
	}
}

// CloseWrite ends what the peer reads; reading goes on.
func (c *conn) CloseWrite() error {
	c.out.update(func() { c.out.ended = true })
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.out.update(func() { c.out.ended = true })
		c.in.update(func() { c.in.refused = true })
		c.read.set(time.Time{})
		c.write.set(time.Time{})
		if c.onClose != nil {
			c.onClose()
		}
	})
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return nil
}

// deadline is a channel that is closed at a time that can be moved.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func (d *deadline) init() { d.over = make(chan struct{}) }

func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	// Whoever waits on the channel of before must see a new deadline that is
	// earlier, so the channel is replaced only once it is closed.
	if isClosed(d.over) {
		d.over = make(chan struct{})
	}
	over := d.over
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(over)
	default:
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			// A timer that fired while set was at work is no longer meant.
			if d.over == over && d.timer != nil && !isClosed(over) {
				close(over)
			}
		})
	}
}
