package networks

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/sockets"
)

// published is a port of the engine's host that is taken.
type published struct {
	owner     *Member
	container uint16
}

// onHost finds what listens on the engine's host: containers in its namespace first.
func (n *Networks) onHost(host, port string) (*sockets.Listener, error) {
	if l, err := n.host.At(host, port); err == nil {
		return l, nil
	}
	number, _ := strconv.ParseUint(port, 10, 16)
	if p, taken := n.published[uint16(number)]; taken {
		return p.owner.Namespace.At(sockets.AnyHost, strconv.Itoa(int(p.container)))
	}
	return nil, syscall.ECONNREFUSED
}

// firstPort is where ports begin that nobody named. Source: Linux, net.ipv4.ip_local_port_range.
const firstPort = 32768

// Publish takes the ports that a member asks for, all or none.
func (n *Networks) Publish(m *Member, ports []containers.Port) ([]containers.Binding, error) {
	var bindings []containers.Binding
	for _, want := range ports {
		low, high, ok := portRange(want.Host)
		if !ok {
			n.Unpublish(m)
			return nil, fmt.Errorf("%w: port %q", containers.ErrInvalid, want.Host)
		}
		port := low
		for port <= high && n.taken(port) {
			port++
		}
		if port > high {
			n.Unpublish(m)
			return nil, fmt.Errorf("port %s is already allocated: %w", want.Host, containers.ErrConflict)
		}
		n.published[uint16(port)] = published{owner: m, container: want.Container}
		bindings = append(bindings, containers.Binding{HostIP: want.HostIP, Host: uint16(port), Container: want.Container, Protocol: want.Protocol})
	}
	return bindings, nil
}

func (n *Networks) taken(port int) bool {
	_, taken := n.published[uint16(port)]
	return taken
}

func portRange(text string) (low, high int, ok bool) {
	if text == "" {
		return firstPort, 65535, true
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	return low, high, err1 == nil && err2 == nil && low > 0 && high <= 65535
}

// Unpublish frees the ports of a member.
func (n *Networks) Unpublish(m *Member) {
	for port, p := range n.published {
		if p.owner == m {
			delete(n.published, port)
		}
	}
}
