package sockets

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
)

// Listener accepts connections to one port of a namespace.
type Listener struct {
	address address
	host    string // the address that it is bound to; empty for all
	backlog chan *conn
	owner   *Closers // of the process that listens
	once    sync.Once
	closed  chan struct{}
	onClose func()
}

// backlogSize is how many connections wait to be accepted. Source: Linux, SOMAXCONN of old.
const backlogSize = 128

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.address }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.address, Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.onClose()
		for {
			select {
			case c := <-l.backlog:
				_ = c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Dial hands one end of a new connection to the listener, and returns the
// other, which closes with its owner; nil for none. The error says that nobody
// listens any more, or is that of ctx.
func (l *Listener) Dial(ctx context.Context, from string, owner *Closers) (net.Conn, error) {
	if isClosed(l.closed) {
		return nil, syscall.ECONNREFUSED
	}
	client, server := connect(address(from), l.address)
	server.onClose = func() { l.owner.remove(server) }
	l.owner.add(server)
	select {
	case l.backlog <- server:
	case <-l.closed:
		_ = server.Close()
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		_ = server.Close()
		return nil, ctx.Err()
	}
	if isClosed(l.closed) { // closed meanwhile: nobody will accept it
		_ = server.Close()
	}
	if owner != nil {
		client.onClose = func() { owner.remove(client) }
		owner.add(client)
	}
	return client, nil
}

// Closers are the listeners and connections of one process: they end with it.
type Closers struct {
	mu   sync.Mutex
	all  map[io.Closer]struct{}
	over bool
}

// add closes c at once when the process has ended already.
func (s *Closers) add(c io.Closer) {
	s.mu.Lock()
	over := s.over
	if !over {
		if s.all == nil {
			s.all = map[io.Closer]struct{}{}
		}
		s.all[c] = struct{}{}
	}
	s.mu.Unlock()
	if over {
		_ = c.Close()
	}
}

func (s *Closers) remove(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// CloseAll is the end of the process.
func (s *Closers) CloseAll() {
	s.mu.Lock()
	s.over = true
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for c := range all {
		_ = c.Close()
	}
}
