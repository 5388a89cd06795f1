package memory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers"
)

const (
	// defaultNetwork is what a container joins that asks for none, and what
	// Dial means by the empty name.
	defaultNetwork = "bridge"
	// hostNetwork is the engine's host: published ports, and containers with
	// NetworkMode host.
	hostNetwork = "host"
)

// network is guarded by Engine.mu.
type network struct {
	want    containers.Network
	subnet  int                                  // its addresses are 10.subnet.x.y
	hosts   int                                  // addresses given out
	members map[*container]containers.Attachment // running ones
}

func (e *Engine) newNetwork(want containers.Network) *network {
	e.serial++
	return &network{want: want, subnet: len(e.networks) % 256, members: map[*container]containers.Attachment{}}
}

// EnsureNetwork ignores drivers and address pools.
func (e *Engine) EnsureNetwork(ctx context.Context, want containers.Network) error {
	if err := e.enter(ctx, "EnsureNetwork"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	switch n := e.networks[want.Name]; {
	case want.Name == "":
		return fmt.Errorf("%w: a network needs a name", containers.ErrInvalid)
	case n == nil && want.External:
		return fmt.Errorf("network %s: %w", want.Name, containers.ErrNotFound)
	case n == nil:
		e.networks[want.Name] = e.newNetwork(want)
	}
	return nil
}

// RemoveNetwork refuses while a running container is attached.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	if err := e.enter(ctx, "RemoveNetwork"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	n := e.networks[name]
	if n == nil {
		return nil
	}
	for c := range n.members {
		return fmt.Errorf("network %s is in use by %s: %w", name, c.spec.Name, containers.ErrConflict)
	}
	delete(e.networks, name)
	return nil
}

// ListNetworks returns their names, sorted.
func (e *Engine) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	if err := e.enter(ctx, "ListNetworks"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var found []string
	for _, name := range sortedKeys(e.networks) {
		if carries(e.networks[name].want.Labels, labels) {
			found = append(found, name)
		}
	}
	return found, nil
}

// Dial of network "host" reaches what is published on the engine's host.
func (e *Engine) Dial(ctx context.Context, network, target string) (net.Conn, error) {
	if err := e.enter(ctx, "Dial"); err != nil {
		return nil, err
	}
	if network == "" {
		network = defaultNetwork
	}
	l, err := e.listening([]string{network}, network == hostNetwork, nil, target)
	e.mu.Unlock()
	var c *conn
	if err == nil {
		c, err = l.dial(ctx, "10.0.0.1:0")
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%s on network %s: %w: %w", target, network, containers.ErrUnreachable, err)
	}
	return c, nil
}

var errNoHost = errors.New("no such host")

// listening finds who listens at HOST:PORT, as seen from within own (nil for
// the engine's own view) with the given networks. The engine is locked.
func (e *Engine) listening(networks []string, onHost bool, own *namespace, target string) (*listener, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if isLoopback(host) {
		if onHost {
			return e.onHost(host, port)
		}
		if own == nil {
			return nil, errNoHost
		}
		return own.at(host, port)
	}
	found := false
	for _, name := range networks {
		n := e.networks[name]
		if n == nil {
			continue
		}
		for _, c := range n.resolve(host) {
			found = true
			if l, err := c.namespace.at(host, port); err == nil {
				return l, nil
			}
		}
	}
	if !found {
		return nil, errNoHost
	}
	return nil, syscall.ECONNREFUSED
}

// onHost finds what listens on the engine's host: containers in its namespace first.
func (e *Engine) onHost(host, port string) (*listener, error) {
	if l, err := e.host.at(host, port); err == nil {
		return l, nil
	}
	number, _ := strconv.ParseUint(port, 10, 16)
	if p := e.published[uint16(number)]; p != nil {
		return p.owner.namespace.at(anyHost, strconv.Itoa(int(p.container)))
	}
	return nil, syscall.ECONNREFUSED
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// resolve returns the running members that answer to host, by name.
func (n *network) resolve(host string) []*container {
	var found []*container
	for c, attachment := range n.members {
		if host == c.spec.Name || host == c.id[:12] || host == c.addresses[n.want.Name] || slices.Contains(attachment.Aliases, host) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, byName)
	return found
}

// join attaches c to its networks and gives it addresses. The engine is locked.
func (e *Engine) join(c *container) error {
	c.addresses = map[string]string{}
	for _, attachment := range c.attachments() {
		n := e.networks[attachment.Network]
		if n == nil {
			return fmt.Errorf("network %s: %w", attachment.Network, containers.ErrNotFound)
		}
		n.members[c] = attachment
		n.hosts++
		c.addresses[attachment.Network] = fmt.Sprintf("10.%d.%d.%d", n.subnet, (n.hosts+1)/250, (n.hosts+1)%250)
		if attachment.IPv4 != "" {
			c.addresses[attachment.Network] = attachment.IPv4
		}
	}
	return nil
}

// leave is the opposite of join.
func (e *Engine) leave(c *container) {
	for _, n := range e.networks {
		delete(n.members, c)
	}
	c.addresses = nil
}

// attachments returns what c is attached to: the default where it asks for nothing.
func (c *container) attachments() []containers.Attachment {
	if len(c.spec.Networks) == 0 && c.spec.NetworkMode == "" {
		return []containers.Attachment{{Network: defaultNetwork}}
	}
	return c.spec.Networks
}

// anyHost stands for an address of the namespace that is not loopback.
const anyHost = ""

// namespace is what listens in one container, or in several that share it. It
// has a lock of its own: programs use it without the engine.
type namespace struct {
	mu        sync.Mutex
	listeners map[string]*listener // by port
	ports     int                  // given out for port 0
}

func newNamespace() *namespace { return &namespace{listeners: map[string]*listener{}} }

// at returns who listens on the port for connections to host.
func (n *namespace) at(host, port string) (*listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[port]
	if l == nil || isLoopback(l.host) && !isLoopback(host) {
		return nil, syscall.ECONNREFUSED
	}
	return l, nil
}

func (n *namespace) listen(target string, owner *closers) (*listener, error) {
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

func (n *namespace) bind(host, port, target string, owner *closers) (*listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		n.ports++
		port = strconv.Itoa(49151 + n.ports) // the first dynamic port is 49152: RFC 6335
	}
	if n.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: address(target), Err: syscall.EADDRINUSE}
	}
	l := &listener{
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
