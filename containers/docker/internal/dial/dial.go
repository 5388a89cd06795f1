// Package dial connects to what runs in the networks of an engine.
package dial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

// Options of a Dialer.
type Options struct {
	API *client.Client
	// Local: the engine answers at a socket of this host.
	Local bool
	// Force makes everything go through probes.
	Force bool
	// ProbeBinary is as in docker.Options.
	ProbeBinary string
	// Arch tells the engine's processor, as Go names it.
	Arch func(context.Context) (string, error)
	// Destroy is the engine's.
	Destroy func(ctx context.Context, name string) error
}

// Dialer dials into the networks of one engine and owns the probe containers
// that this takes.
type Dialer struct {
	options Options
	names   nameCache
	bridges bridgeCache
	probes  probes
}

// New returns a Dialer that has no probe yet; Close removes those it makes.
func New(options Options) *Dialer { return &Dialer{options: options} }

// Dial is what containers.Engine says of it. Where the engine's bridges are
// network interfaces of this host, a container's name is looked up in the
// engine and its address dialled at once. Otherwise, and for names that are not
// containers of the network, a probe container dials from inside.
//
// A name without a dot that no running container of the network has is
// unreachable without asking a probe: that is what waiting for a container
// that is yet to be made looks like, and it must stay cheap.
func (d *Dialer) Dial(ctx context.Context, networkName, address string) (net.Conn, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	if d.options.Force {
		n, err := look.Network(ctx, d.options.API, networkName)
		if err != nil {
			return nil, err
		}
		return d.dialProbe(ctx, n, address)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.dialAddress(ctx, networkName, host, address)
	}
	found, err := d.lookup(ctx, networkName, host)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		if direct, known := d.bridges.get(found[0].network); known && direct {
			return dialAny(ctx, found, host, port)
		}
	}
	n, err := look.Network(ctx, d.options.API, networkName)
	if err != nil {
		return nil, err
	}
	direct := d.isBridgeHere(n)
	switch {
	case len(found) > 0 && direct:
		return dialAny(ctx, found, host, port)
	case len(found) == 0 && !strings.Contains(host, "."):
		return nil, fmt.Errorf("dial %s on network %s: %w: no running container has that name there", address, networkName, containers.ErrUnreachable)
	}
	return d.dialProbe(ctx, n, address)
}

// dialAddress dials an IP address of the network, or from within it.
func (d *Dialer) dialAddress(ctx context.Context, networkName, host, address string) (net.Conn, error) {
	n, err := look.Network(ctx, d.options.API, networkName)
	if err != nil {
		return nil, err
	}
	if !d.isBridgeHere(n) || !contains(n, netip.MustParseAddr(host)) {
		return d.dialProbe(ctx, n, address)
	}
	_, port, _ := net.SplitHostPort(address)
	return dialAny(ctx, []target{{address: host}}, host, port)
}

func contains(n network.Inspect, ip netip.Addr) bool {
	for _, pool := range n.IPAM.Config {
		if prefix, err := netip.ParsePrefix(pool.Subnet); err == nil && prefix.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// target is a running container that has the name that was asked for.
type target struct {
	network string // its ID
	address string // IP
}

// dialAny tries the targets in turn, as a client of a name with several
// addresses does.
func dialAny(ctx context.Context, targets []target, host, port string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: probe.DialLimit}
	var errs []error
	for _, t := range targets {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(t.address, port))
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial %s: %w", net.JoinHostPort(host, port), ctx.Err())
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("dial %s: %w: %w", net.JoinHostPort(host, port), containers.ErrUnreachable, errors.Join(errs...))
}

// lookup does what the network's own name server does: it finds the running
// containers that have the name there. Addresses are read anew each time,
// since a container that is made or started again has another one, and the
// old one may be somebody else's.
func (d *Dialer) lookup(ctx context.Context, networkName, host string) ([]target, error) {
	summaries, err := d.options.API.ContainerList(ctx, container.ListOptions{
		Filters: filters.NewArgs(filters.Arg("network", networkName)),
	})
	if err != nil {
		return nil, failure.Of(ctx, err, "containers of network %s", networkName)
	}
	host = strings.TrimSuffix(host, ".")
	bare, _ := cutSuffixFold(host, "."+networkName) // NAME.NETWORK is a name too
	var found []target
	seen := make(map[string]bool, len(summaries))
	for _, summary := range summaries {
		endpoint := endpointOf(summary, networkName)
		if endpoint == nil {
			continue
		}
		seen[endpointKey(summary.ID, endpoint)] = true
		names, err := d.names.of(ctx, d.options.API, networkName, summary.ID, endpoint)
		if errors.Is(err, containers.ErrNotFound) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		address := cmp.Or(endpoint.IPAddress, endpoint.GlobalIPv6Address)
		if address != "" && (names[strings.ToLower(host)] || names[strings.ToLower(bare)]) {
			found = append(found, target{network: endpoint.NetworkID, address: address})
		}
	}
	d.names.keep(networkName, seen)
	return found, nil
}

func endpointOf(summary container.Summary, networkName string) *network.EndpointSettings {
	if summary.NetworkSettings == nil {
		return nil
	}
	return summary.NetworkSettings.Networks[networkName]
}

// endpointKey tells a container's attachments to a network apart from one
// start to the next. Podman has no IDs of endpoints, but tells the aliases anew each time.
func endpointKey(id string, endpoint *network.EndpointSettings) string {
	return id + "/" + endpoint.EndpointID + "/" + strings.Join(endpoint.Aliases, ",")
}

func cutSuffixFold(text, suffix string) (string, bool) {
	if len(text) > len(suffix) && strings.EqualFold(text[len(text)-len(suffix):], suffix) {
		return text[:len(text)-len(suffix)], true
	}
	return text, false
}

// nameCache remembers which names an endpoint has. An endpoint is a
// container's attachment to a network from one start to the next, so its names
// do not change; its address is not kept.
type nameCache struct {
	mu    sync.Mutex
	names map[string]map[string]map[string]bool // network, endpointKey, names in lower case
}

func (c *nameCache) of(ctx context.Context, api *client.Client, networkName, id string, listed *network.EndpointSettings) (map[string]bool, error) {
	key := endpointKey(id, listed)
	c.mu.Lock()
	names := c.names[networkName][key]
	c.mu.Unlock()
	if names != nil {
		return names, nil
	}
	found, err := look.Container(ctx, api, id)
	if err != nil {
		return nil, err
	}
	names = map[string]bool{
		strings.ToLower(strings.TrimPrefix(found.Name, "/")): true,
		found.ID[:min(12, len(found.ID))]:                    true,
	}
	if found.NetworkSettings != nil && found.NetworkSettings.Networks[networkName] != nil {
		endpoint := found.NetworkSettings.Networks[networkName]
		for _, alias := range append(endpoint.Aliases, endpoint.DNSNames...) {
			names[strings.ToLower(alias)] = true
		}
		if endpoint.EndpointID != listed.EndpointID {
			return names, nil // it has been started again since the list was made
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[string]map[string]map[string]bool{}
	}
	if c.names[networkName] == nil {
		c.names[networkName] = map[string]map[string]bool{}
	}
	c.names[networkName][key] = names
	return names, nil
}

// keep forgets the endpoints of the network that are not there any more.
func (c *nameCache) keep(networkName string, seen map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.names[networkName] {
		if !seen[key] {
			delete(c.names[networkName], key)
		}
	}
}

// bridgeCache remembers by network ID whether the network's bridge is an
// interface of this host: a network does not change.
type bridgeCache struct {
	mu   sync.Mutex
	here map[string]bool
}

func (c *bridgeCache) get(id string) (here, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here, known = c.here[id]
	return here, known
}

func (c *bridgeCache) set(id string, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here == nil {
		c.here = map[string]bool{}
	}
	c.here[id] = here
}

// isBridgeHere tells whether addresses of the network can be dialled from
// this process. A socket on this host does not prove it: the engine may be in a
// virtual machine, rootless in a network of its own, or this process in a container.
func (d *Dialer) isBridgeHere(n network.Inspect) bool {
	if here, known := d.bridges.get(n.ID); known {
		return here
	}
	here := runtime.GOOS == "linux" && d.options.Local && n.Driver == "bridge" && hasBridge(n)
	d.bridges.set(n.ID, here)
	return here
}

// hasBridge looks for the interface that Docker names after the network's ID,
// or for Podman's, which has the gateway's address.
func hasBridge(n network.Inspect) bool {
	name := n.Options["com.docker.network.bridge.name"]
	if name == "" && len(n.ID) >= 12 {
		name = "br-" + n.ID[:12]
	}
	if _, err := net.InterfaceByName(name); err == nil {
		return true
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		if !strings.HasPrefix(i.Name, "podman") && !strings.HasPrefix(i.Name, "cni-podman") {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			ip, _, err := net.ParseCIDR(address.String())
			if err == nil && len(n.IPAM.Config) > 0 && n.IPAM.Config[0].Gateway == ip.String() {
				return true
			}
		}
	}
	return false
}

// splitAddress takes HOST:PORT apart. ErrInvalid otherwise.
func splitAddress(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return "", "", failure.Invalid("address %q: want HOST:PORT", address)
	}
	return host, port, nil
}
