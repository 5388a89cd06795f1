package specs

import (
	"fmt"
	"strconv"
)

// replicas reports what only one of a service's containers could have.
func (v *conversion) replicas() {
	s, n := v.service, v.service.GetScale()
	if n < 2 || v.id.number() > 1 {
		return
	}
	if s.ContainerName != "" {
		v.list.Add(v.at("container_name"), "leave container_name out", "%d containers of %s cannot all be named %s", n, v.key, s.ContainerName)
	}
	for i, p := range s.Ports {
		if v.spec.NetworkMode != "" && v.spec.NetworkMode != "bridge" || p.Published == "" || p.Published == "0" {
			continue
		}
		if first, last, err := portRange(p.Published); err == nil && last-first+1 < n {
			v.list.Add(v.at("ports", strconv.Itoa(i)), fmt.Sprintf("\"%d-%d:%d\", or no port of the host", first, first+n-1, p.Target),
				"%d containers of %s cannot all have the host's port %s", n, v.key, p.Published)
		}
	}
	for _, key := range sortedKeys(s.Networks) {
		network := s.Networks[key]
		if network == nil {
			continue
		}
		for _, own := range [][2]string{{"ipv4_address", network.Ipv4Address}, {"ipv6_address", network.Ipv6Address}, {"mac_address", network.MacAddress}} {
			if own[1] != "" {
				v.list.Add(v.at("networks", key, own[0]), "leave "+own[0]+" out", "%d containers of %s cannot all have the address %s", n, v.key, own[1])
			}
		}
	}
}
