// Package reach gives a program on this machine addresses at which it reaches
// the services of a stack, wherever these run.
package reach

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// publishedLimit is how long a published port may take to accept a connection
// before a way of our own is taken.
const publishedLimit = time.Second

// Ways are the addresses of services, and the ways to those that have none on this machine.
type Ways struct {
	// Environ is sorted SERVICE_PORT_ADDR=HOST:PORT; of a port that is not
	// TCP's SERVICE_PORT_PROTOCOL_ADDR.
	Environ []string
	// Unknown says which services, or ports, have no address, and why.
	Unknown []string

	engine containers.Engine
	ctx    context.Context //nolint:containedctx // the life of the ways, ended by Close
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// Open finds an address for each port that the services publish or expose: the
// published one, on host ("" for this machine), where that accepts
// connections, else a port of this machine's loopback that leads to it through the
// engine until Close. ctx bounds Open alone.
func Open(ctx context.Context, engine containers.Engine, services []containers.Status, host string) (*Ways, error) {
	w := &Ways{engine: engine}
	w.ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	found := map[string]string{}
	for _, s := range services {
		name := cmp.Or(s.Labels[containers.LabelService], s.Name)
		if containers.InstanceOf(s.Labels) != s.Labels[containers.LabelService] {
			continue // the first one of several has the address
		}
		if len(s.Exposed) == 0 {
			w.Unknown = append(w.Unknown, name+": neither it nor its image exposes a port")
		}
		for _, exposed := range s.Exposed {
			port, protocol, _ := strings.Cut(exposed, "/")
			variable := Variable(name, port, protocol)
			if found[variable] != "" {
				w.Unknown = append(w.Unknown, fmt.Sprintf("%s port %s: %s is another service's", name, exposed, variable))
				continue
			}
			address, err := w.address(ctx, s, port, protocol, host)
			if ctx.Err() != nil {
				w.Close()
				return nil, ctx.Err()
			}
			if err != nil {
				w.Unknown = append(w.Unknown, fmt.Sprintf("%s port %s: %v", name, exposed, err))
				continue
			}
			found[variable] = address
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(found)) {
		w.Environ = append(w.Environ, variable+"="+found[variable])
	}
	return w, nil
}

// Variable is the name of the environment variable that has the address of a service's port.
func Variable(service, port, protocol string) string {
	words := []string{service, port}
	if protocol != "tcp" {
		words = append(words, protocol)
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(strings.Join(append(words, "addr"), "_")))
	if name[0] >= '0' && name[0] <= '9' {
		return "_" + name // shells know no name that begins with a digit
	}
	return name
}

func (w *Ways) address(ctx context.Context, s containers.Status, port, protocol, host string) (string, error) {
	for _, b := range s.Ports {
		if strconv.Itoa(int(b.Container)) != port || b.Protocol != protocol {
			continue
		}
		address := published(b, host)
		if address == "" || protocol == "tcp" && !accepts(ctx, address) {
			continue
		}
		return address, nil
	}
	if protocol != "tcp" {
		return "", fmt.Errorf("it is not published, and there is no other way to %s", protocol)
	}
	for _, network := range slices.Sorted(maps.Keys(s.Networks)) {
		if s.Networks[network] != "" {
			return w.lead(ctx, network, net.JoinHostPort(s.Name, port))
		}
	}
	return "", fmt.Errorf("it has no network of its own")
}

// published is where a published port is reached, "" where it is not from here.
func published(b containers.Binding, host string) string {
	ip, err := netip.ParseAddr(b.HostIP)
	switch {
	case err != nil || ip.IsUnspecified():
		return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), strconv.Itoa(int(b.Host)))
	case ip.IsLoopback() && host != "": // that machine's own
		return ""
	}
	return net.JoinHostPort(b.HostIP, strconv.Itoa(int(b.Host)))
}

func accepts(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: publishedLimit}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// lead opens a port on the loopback that leads to target on the engine's network.
func (w *Ways) lead(ctx context.Context, network, target string) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(w.ctx, func() { _ = listener.Close() })
	w.group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // closed
			}
			w.group.Go(func() { w.pass(near, network, target) })
		}
	})
	return listener.Addr().String(), nil
}

// pass carries bytes both ways until both sides have said all, or w is closed.
func (w *Ways) pass(near net.Conn, network, target string) {
	defer near.Close()
	far, err := w.engine.Dial(w.ctx, network, target)
	if err != nil {
		// Nobody listens there: a reset is as near to a refusal as it can be.
		if tcp, ok := near.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return
	}
	defer far.Close()
	stop := context.AfterFunc(w.ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	var ways sync.WaitGroup
	ways.Go(func() { oneWay(far, near) })
	oneWay(near, far)
	ways.Wait()
}

func oneWay(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok {
		_ = to.Close()
		return
	}
	_ = half.CloseWrite()
}

// Close ends all ways and what goes over them.
func (w *Ways) Close() {
	w.cancel()
	w.group.Wait()
}
