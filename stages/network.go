package stages

import "strings"

// checkNetwork reports what a helper that shares its network with others cannot have of its own.
func (r *reader) checkNetwork(i *instance) {
	if !i.stage.SharedNetwork || i.number > 1 {
		return
	}
	s := i.service
	own := map[string]bool{
		"network_mode": s.NetworkMode != "", "hostname": s.Hostname != "", "domainname": s.DomainName != "", "ports": len(s.Ports) > 0, "expose": len(s.Expose) > 0,
		"extra_hosts": len(s.ExtraHosts) > 0, "dns": len(s.DNS) > 0, "dns_search": len(s.DNSSearch) > 0, "dns_opt": len(s.DNSOpts) > 0,
		"links": len(s.Links) > 0, "external_links": len(s.ExternalLinks) > 0, "mac_address": s.MacAddress != "",
	}
	for name := range s.Sysctls {
		own["sysctls"] = own["sysctls"] || strings.HasPrefix(name, "net.")
	}
	for _, key := range sortedKeys(own) {
		if own[key] {
			r.refuseOwn(i, key)
		}
	}
	for _, key := range s.NetworksByPriority() {
		// Not the gateway's priority: it says no more than which network is first.
		if n := s.Networks[key]; n != nil && (len(n.Aliases) > 0 || n.Ipv4Address != "" || n.Ipv6Address != "" || n.MacAddress != "" ||
			n.InterfaceName != "" || len(n.LinkLocalIPs) > 0 || len(n.DriverOpts) > 0) {
			r.refuseOwn(i, "networks", key)
		}
	}
}

func (r *reader) refuseOwn(i *instance, path ...string) {
	r.list.Add(r.source.At(append([]string{"services", i.template}, path...)...), "leave it out, or network: own in stage "+i.stage.Name,
		"service %s has %s, but the helpers of stage %s share one network", i.template, strings.Join(path, "."), i.stage.Name)
}
