package sockets

import (
	"net"
	"strconv"
	"sync"
	"syscall"
)

// AnyHost stands for an address of the namespace that is not loopback.
const AnyHost = ""

// Namespace is what listens in one container, or in several that share it. It
// has a lock of its own: programs use it without the engine.
type Namespace struct {
	mu        sync.Mutex
	listeners map[string]*Listener // by port
	ports     int                  // given out for port 0
}

// NewNamespace returns one in which nobody listens.
func NewNamespace() *Namespace { return &Namespace{listeners: map[string]*Listener{}} }

// At returns who listens on the port for connections to host.
func (n *Namespace) At(host, port string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[port]
	if l == nil || IsLoopback(l.host) && !IsLoopback(host) {
		return nil, syscall.ECONNREFUSED
	}
	return l, nil
}

// Listen listens at HOST:PORT, port 0 being a free one, until the owner closes.
func (n *Namespace) Listen(target string, owner *Closers) (*Listener, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if host == "0.0.0.0" || host == "::" {
		host = ""
	}
	l, err := n.bind(host, port, target, owner)
	if err == nil {
		owner.add(l)
	}
	return l, err
}

func (n *Namespace) bind(host, port, target string, owner *Closers) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		n.ports++
		port = strconv.Itoa(49151 + n.ports) // the first dynamic port is 49152: RFC 6335
	}
	if n.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: address(target), Err: syscall.EADDRINUSE}
	}
	l := &Listener{
		address: address(net.JoinHostPort(host, port)), host: host, owner: owner,
		backlog: make(chan *conn, backlogSize), closed: make(chan struct{}),
	}
	l.onClose = func() {
		owner.remove(l)
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.listeners, port)
	}
	n.listeners[port] = l
	return l, nil
}

// IsLoopback tells whether the host is the namespace itself.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
