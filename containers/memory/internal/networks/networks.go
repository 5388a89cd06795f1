// Package networks says who reaches whom: over networks, and over the ports
// that are published on the engine's host.
package networks

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/sockets"
)

const (
	// Default is what a container joins that asks for none.
	Default = "bridge"
	// Host is the engine's host: published ports, and containers that use its
	// namespace.
	Host = "host"
)

// Networks are all that an engine has. They are guarded by the engine's lock.
type Networks struct {
	byName    map[string]*network
	host      *sockets.Namespace
	published map[uint16]published // by port of the host
}

type network struct {
	want    containers.Network
	subnet  int                               // its addresses are 10.subnet.x.y
	hosts   int                               // addresses given out
	members map[*Member]containers.Attachment // running ones
}

// Member is a container as the networks see it.
type Member struct {
	Name, ID  string
	Namespace *sockets.Namespace
	Addresses map[string]string // by network, while it is attached
}

// New returns the default network alone.
func New() *Networks {
	n := &Networks{byName: map[string]*network{}, host: sockets.NewNamespace(), published: map[uint16]published{}}
	n.add(containers.Network{Name: Default})
	return n
}

func (n *Networks) add(want containers.Network) {
	n.byName[want.Name] = &network{want: want, subnet: len(n.byName) % 256, members: map[*Member]containers.Attachment{}}
}

// Host is the namespace of the engine's host.
func (n *Networks) Host() *sockets.Namespace { return n.host }

// Has tells whether there is a network of that name.
func (n *Networks) Has(name string) bool { return n.byName[name] != nil }

// Ensure is Engine.EnsureNetwork.
func (n *Networks) Ensure(want containers.Network) error {
	switch known := n.Has(want.Name); {
	case want.Name == "":
		return fmt.Errorf("%w: a network needs a name", containers.ErrInvalid)
	case !known && want.External:
		return fmt.Errorf("network %s: %w", want.Name, containers.ErrNotFound)
	case !known:
		n.add(want)
	}
	return nil
}

// Remove is Engine.RemoveNetwork.
func (n *Networks) Remove(name string) error {
	if n.Has(name) {
		for m := range n.byName[name].members {
			return fmt.Errorf("network %s is in use by %s: %w", name, m.Name, containers.ErrConflict)
		}
	}
	delete(n.byName, name)
	return nil
}

// List returns the names of those that wanted accepts by their labels, sorted.
func (n *Networks) List(wanted func(labels map[string]string) bool) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(n.byName)) {
		if wanted(n.byName[name].want.Labels) {
			found = append(found, name)
		}
	}
	return found
}

// Labels are those that a network was made with.
func (n *Networks) Labels(name string) map[string]string {
	if n.Has(name) {
		return n.byName[name].want.Labels
	}
	return nil
}

// Join attaches a member and gives it addresses. After an error it must leave.
func (n *Networks) Join(m *Member, attachments []containers.Attachment) error {
	m.Addresses = map[string]string{}
	for _, attachment := range attachments {
		network := n.byName[attachment.Network]
		if network == nil {
			return fmt.Errorf("network %s: %w", attachment.Network, containers.ErrNotFound)
		}
		network.members[m] = attachment
		network.hosts++
		m.Addresses[attachment.Network] = fmt.Sprintf("10.%d.%d.%d", network.subnet, (network.hosts+1)/250, (network.hosts+1)%250)
		if attachment.IPv4 != "" {
			m.Addresses[attachment.Network] = attachment.IPv4
		}
	}
	return nil
}

// Leave is the opposite of Join.
func (n *Networks) Leave(m *Member) {
	for _, network := range n.byName {
		delete(network.members, m)
	}
	m.Addresses = nil
}

// View is where somebody looks from.
type View struct {
	Networks []string
	OnHost   bool               // in the host's namespace
	Own      *sockets.Namespace // nil for the engine itself
}

var errNoHost = errors.New("no such host")

// Listener finds who listens at HOST:PORT.
func (n *Networks) Listener(from View, target string) (*sockets.Listener, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if sockets.IsLoopback(host) {
		if from.OnHost {
			return n.onHost(host, port)
		}
		if from.Own == nil {
			return nil, errNoHost
		}
		return from.Own.At(host, port)
	}
	found := false
	for _, name := range from.Networks {
		network := n.byName[name]
		if network == nil {
			continue
		}
		for _, m := range network.resolve(host) {
			found = true
			if l, err := m.Namespace.At(host, port); err == nil {
				return l, nil
			}
		}
	}
	if !found {
		return nil, errNoHost
	}
	return nil, syscall.ECONNREFUSED
}

// resolve returns the running members that answer to host, by name.
func (n *network) resolve(host string) []*Member {
	var found []*Member
	for m, attachment := range n.members {
		if host == m.Name || host == m.ID[:12] || host == m.Addresses[n.want.Name] || slices.Contains(attachment.Aliases, host) {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *Member) int { return strings.Compare(a.Name, b.Name) })
	return found
}
