package specs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// networks attaches to the service's networks, by priority, or sets the mode.
func (v *conversion) networks() {
	s := v.service
	if s.NetworkMode != "" {
		v.networkMode(s.NetworkMode)
		return
	}
	for i, key := range s.NetworksByPriority() {
		n, ok := v.Project.Networks[key]
		if !ok {
			v.list.Add(v.at("networks", key), "", "there is no network %q", key)
			continue
		}
		a := v.attachment(n.Name, s.Networks[key])
		if i == 0 && a.MAC == "" {
			a.MAC = s.MacAddress
		}
		v.spec.Networks = append(v.spec.Networks, a)
	}
}

func (v *conversion) attachment(name string, config *types.ServiceNetworkConfig) containers.Attachment {
	a := containers.Attachment{Network: name}
	add := func(alias string) {
		if alias != "" && !slices.Contains(a.Aliases, alias) {
			a.Aliases = append(a.Aliases, alias)
		}
	}
	// Compose's own: the container's name, the service's, then the file's.
	add(v.spec.Name)
	if config.ServiceNameAliasEnabled() {
		add(v.id.Service)
	}
	for _, alias := range v.id.Aliases {
		add(alias)
	}
	if config == nil {
		return a
	}
	for _, alias := range config.Aliases {
		add(alias)
	}
	a.IPv4, a.IPv6, a.MAC, a.Options = config.Ipv4Address, config.Ipv6Address, config.MacAddress, clone(config.DriverOpts)
	a.LinkLocal, a.GatewayPriority, a.Interface = config.LinkLocalIPs, config.GatewayPriority, config.InterfaceName
	return a
}

// links sets the further names of other services' containers, as Compose
// does. Source: docker/compose pkg/compose/convergence.go, getLinks.
func (v *conversion) links() {
	number := strconv.Itoa(v.id.number())
	for _, link := range v.service.Links {
		service, alias, named := strings.Cut(link, ":")
		if !named {
			alias = service
		}
		container := v.peer(service)
		for _, name := range []string{alias, service + "-" + number, v.id.Stack + "-" + service + "-" + number} {
			v.spec.Links = append(v.spec.Links, container+":"+name)
		}
	}
	for _, link := range v.service.ExternalLinks {
		container, alias, named := strings.Cut(link, ":")
		if !named {
			alias = container
		}
		v.spec.Links = append(v.spec.Links, container+":"+alias)
	}
}

// networkMode: "default" is the engine's default network, which a Spec says
// by naming none.
func (v *conversion) networkMode(mode string) {
	switch {
	case mode == "none" || mode == "host" || mode == "bridge":
		v.spec.NetworkMode = mode
	case mode == "default":
	case strings.HasPrefix(mode, types.ServicePrefix):
		v.spec.NetworkMode = types.ContainerPrefix + v.peer(strings.TrimPrefix(mode, types.ServicePrefix))
	case strings.HasPrefix(mode, types.ContainerPrefix):
		v.spec.NetworkMode = mode
	default: // the name of a network on the engine
		v.spec.Networks = []containers.Attachment{{Network: mode}}
	}
}

// ports sets what is published and exposed.
func (v *conversion) ports() {
	s := v.service
	if mode := v.spec.NetworkMode; mode != "" && mode != "bridge" && len(s.Ports) > 0 {
		v.list.Warn(v.at("ports"), "", "ports are not published with network_mode %s", s.NetworkMode)
	} else {
		for i, p := range s.Ports {
			v.port(i, p)
		}
	}
	for i, text := range s.Expose {
		ports, err := exposed(text)
		if err != nil {
			v.list.Add(v.at("expose", strconv.Itoa(i)), "expected PORT, PORT/udp or FIRST-LAST", "expose cannot be %q", text)
			continue
		}
		v.spec.Expose = append(v.spec.Expose, ports...)
	}
}

func (v *conversion) port(i int, p types.ServicePortConfig) {
	protocol := strings.ToLower(p.Protocol)
	if protocol == "" {
		protocol = "tcp"
	}
	switch {
	case p.Target == 0 || p.Target > 65535:
		v.list.Add(v.at("ports", strconv.Itoa(i)), "expected 1 to 65535", "port %d does not exist", p.Target)
		return
	case !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol):
		v.list.Add(v.at("ports", strconv.Itoa(i)), "expected tcp, udp or sctp", "there is no protocol %q", p.Protocol)
		return
	}
	if p.Published != "" {
		if _, _, err := portRange(p.Published); err != nil {
			v.list.Add(v.at("ports", strconv.Itoa(i)), "expected a port or FIRST-LAST", "%q cannot be published", p.Published)
			return
		}
	}
	port := containers.Port{HostIP: p.HostIP, Host: p.Published, Container: uint16(p.Target), Protocol: protocol}
	if port.Host == "0" {
		port.Host = ""
	}
	if !slices.Contains(v.spec.Ports, port) {
		v.spec.Ports = append(v.spec.Ports, port)
	}
}

// exposed spells out PORT[-PORT][/PROTOCOL].
func exposed(text string) ([]string, error) {
	ports, protocol, given := strings.Cut(strings.ToLower(text), "/")
	if given && !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return nil, fmt.Errorf("protocol %q", protocol)
	}
	first, last, err := portRange(ports)
	if err != nil {
		return nil, err
	}
	var out []string
	for p := first; p <= last; p++ {
		port := strconv.Itoa(p)
		if given {
			port += "/" + protocol
		}
		out = append(out, port)
	}
	return out, nil
}

// portRange reads PORT or FIRST-LAST.
func portRange(text string) (first, last int, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 16)
	b, errB := strconv.ParseUint(to, 10, 16)
	if errA != nil || errB != nil || b < a {
		return 0, 0, fmt.Errorf("not a port: %q", text)
	}
	return int(a), int(b), nil
}

// namespaces sets the other namespaces that can be shared.
func (v *conversion) namespaces() {
	s, spec := v.service, v.spec
	spec.IpcMode, spec.PidMode = v.namespace(s.Ipc), v.namespace(s.Pid)
	spec.UTSMode, spec.UsernsMode, spec.CgroupNS = s.Uts, s.UserNSMode, s.Cgroup
}

func (v *conversion) namespace(mode string) string {
	if service, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
		return types.ContainerPrefix + v.peer(service)
	}
	return mode
}
