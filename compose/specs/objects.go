package specs

import (
	"cmp"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// Network converts a network by its key; the zero value when there is none.
func (c *Converter) Network(key string) containers.Network {
	n, ok := c.Project.Networks[key]
	if !ok {
		return containers.Network{}
	}
	if n.External {
		return containers.Network{Name: n.Name, External: true}
	}
	network := containers.Network{
		Name: n.Name, Driver: n.Driver, Options: clone(n.DriverOpts), Internal: n.Internal, Attachable: n.Attachable,
		EnableIPv6: n.EnableIPv6 != nil && *n.EnableIPv6, NoIPv4: n.EnableIPv4 != nil && !*n.EnableIPv4,
		IPAMDriver: n.Ipam.Driver, IPAMOptions: clone(n.Ipam.Options),
		Labels: c.objectLabels(n.Labels, containers.LabelNetwork, key, networkHash(n)),
	}
	for _, pool := range n.Ipam.Config {
		if pool != nil {
			network.IPAM = append(network.IPAM, containers.Subnet{
				Subnet: pool.Subnet, IPRange: pool.IPRange, Gateway: pool.Gateway, Aux: clone(pool.AuxiliaryAddresses),
			})
		}
	}
	return network
}

// Volume converts a named volume by its key; the zero value when there is none.
func (c *Converter) Volume(key string) containers.Volume {
	v, ok := c.Project.Volumes[key]
	if !ok {
		return containers.Volume{}
	}
	if v.External {
		return containers.Volume{Name: v.Name, External: true}
	}
	return containers.Volume{
		Name: v.Name, Driver: v.Driver, Options: clone(v.DriverOpts),
		Labels: c.objectLabels(v.Labels, containers.LabelVolume, key, volumeHash(v)),
	}
}

// objectLabels are the file's, Compose's and ours; the latter win.
func (c *Converter) objectLabels(own types.Labels, kind, key, hash string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, own)
	labels[containers.LabelProject] = c.Project.Name
	labels[containers.LabelStack] = c.Project.Name
	labels[containers.LabelVersion] = composeVersion
	labels[containers.LabelConfigHash] = hash
	labels[kind] = key
	return labels
}

// NetworksOf returns the networks that the services use, by name.
func (c *Converter) NetworksOf(services ...string) []containers.Network {
	keys := map[string]bool{}
	for _, name := range services {
		s := c.Project.Services[name]
		if s.NetworkMode != "" {
			continue
		}
		for key := range s.Networks {
			keys[key] = true
		}
	}
	var found []containers.Network
	for key := range keys {
		if n := c.Network(key); n.Name != "" {
			found = append(found, n)
		}
	}
	slices.SortFunc(found, func(a, b containers.Network) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// VolumesOf returns the named volumes that the services use, by name.
func (c *Converter) VolumesOf(services ...string) []containers.Volume {
	keys := map[string]bool{}
	for _, name := range services {
		for _, m := range c.Project.Services[name].Volumes {
			if m.Type == types.VolumeTypeVolume && m.Source != "" {
				keys[m.Source] = true
			}
		}
	}
	var found []containers.Volume
	for key := range keys {
		if v := c.Volume(key); v.Name != "" {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b containers.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// clone copies a map; empty ones become nil.
func clone[M ~map[string]string](m M) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(map[string]string(m))
}
