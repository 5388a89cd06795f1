package stages

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// findNetworks finds out which instances share a network.
func (r *reader) findNetworks() {
	var guests []*instance // of other containers' networks
	for _, name := range sortedKeys(r.instances) {
		if i := r.instances[name]; strings.HasPrefix(i.service.NetworkMode, types.ServicePrefix) {
			guests = append(guests, i)
		}
	}
	for _, d := range r.stages {
		for _, u := range d.units {
			if i := r.instances[u.Service]; i != nil {
				r.findNetwork(i, guests)
			}
		}
	}
}

// findNetwork finds out whether the instance is a helper that shares its network with others, and
// reports what it cannot have of its own where its stage says so. Where only the file does for all
// helpers, one that has something of its own has a network of its own too.
func (r *reader) findNetwork(i *instance, guests []*instance) {
	d := i.stage
	if !d.SharesNetwork() && (!r.HelpersShare || !d.Helpers() || d.Network != "") {
		return
	}
	own := ofOwnNetwork(i.service)
	guest := slices.IndexFunc(guests, func(g *instance) bool {
		return g.service.NetworkMode == types.ServicePrefix+i.template && (g.app.Name == i.app.Name || i.app.Name == "")
	})
	i.shares = len(own) == 0 && guest < 0
	if !d.SharesNetwork() || i.number > 1 {
		return
	}
	if guest >= 0 {
		r.list.Add(r.source.At("services", guests[guest].template, "network_mode"), "network_mode: none, or network: own in stage "+d.Name,
			"service %s joins the network of %s, but the helpers of stage %s share one, which is none of theirs", guests[guest].template, i.template, d.Name)
	}
	for _, path := range own {
		r.list.Add(r.source.At(append([]string{"services", i.template}, path...)...), "leave it out, or network: own in stage "+d.Name,
			"service %s has %s, but the helpers of stage %s share one network", i.template, strings.Join(path, "."), d.Name)
	}
}

// ofOwnNetwork are the keys of the service, as paths, that only a container with a network of its own can have.
func ofOwnNetwork(s types.ServiceConfig) (own [][]string) {
	kernel := false
	for name := range s.Sysctls {
		kernel = kernel || strings.HasPrefix(name, "net.")
	}
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"dns", len(s.DNS) > 0}, {"dns_opt", len(s.DNSOpts) > 0}, {"dns_search", len(s.DNSSearch) > 0}, {"domainname", s.DomainName != ""},
		{"expose", len(s.Expose) > 0}, {"external_links", len(s.ExternalLinks) > 0}, {"extra_hosts", len(s.ExtraHosts) > 0}, {"hostname", s.Hostname != ""},
		{"links", len(s.Links) > 0}, {"mac_address", s.MacAddress != ""}, {"network_mode", s.NetworkMode != ""}, {"ports", len(s.Ports) > 0}, {"sysctls", kernel},
	} {
		if key.set {
			own = append(own, []string{key.name})
		}
	}
	for _, key := range s.NetworksByPriority() {
		// Not the gateway's priority: it says no more than which network is first.
		if n := s.Networks[key]; n != nil && (len(n.Aliases) > 0 || n.Ipv4Address != "" || n.Ipv6Address != "" || n.MacAddress != "" ||
			n.InterfaceName != "" || len(n.LinkLocalIPs) > 0 || len(n.DriverOpts) > 0) {
			own = append(own, []string{"networks", key})
		}
	}
	return own
}
