package specs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
)

// security sets privileges and what is taken from them.
func (v *conversion) security() {
	s, spec := v.service, v.spec
	spec.ReadOnly, spec.Privileged = s.ReadOnly, s.Privileged
	spec.CapAdd, spec.CapDrop = s.CapAdd, s.CapDrop
	spec.SecurityOpt, spec.GroupAdd = s.SecurityOpt, s.GroupAdd
}

// host sets what the container is given of its host: names, devices, limits, logs.
func (v *conversion) host() {
	s, spec := v.service, v.spec
	spec.DNS, spec.DNSSearch, spec.DNSOptions = []string(s.DNS), []string(s.DNSSearch), s.DNSOpts
	if hosts := s.ExtraHosts.AsList(":"); len(hosts) > 0 {
		slices.Sort(hosts)
		spec.ExtraHosts = hosts
	}
	for i, d := range s.Devices {
		if isCDI(d.Source) {
			v.list.Warn(v.at("devices", strconv.Itoa(i)), "", "the CDI device %q is not carried over", d.Source)
			continue
		}
		spec.Devices = append(spec.Devices, containers.Device{Source: d.Source, Target: d.Target, Permissions: d.Permissions})
	}
	spec.Sysctls = clone(s.Sysctls)
	spec.Annotations = clone(s.Annotations)
	for _, name := range sortedKeys(s.Ulimits) {
		if u := s.Ulimits[name]; u != nil {
			limit := containers.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
			if u.Single != 0 {
				limit.Soft, limit.Hard = int64(u.Single), int64(u.Single)
			}
			spec.Ulimits = append(spec.Ulimits, limit)
		}
	}
	spec.Runtime = s.Runtime
	if s.Logging != nil {
		spec.Log = containers.Log{Driver: s.Logging.Driver, Options: clone(s.Logging.Options)}
	}
}

// isCDI tells whether a device is named VENDOR/CLASS=NAME instead of by a path.
// Source: the Container Device Interface specification.
func isCDI(device string) bool {
	kind, _, named := strings.Cut(device, "=")
	return named && !strings.HasPrefix(device, "/") && strings.Contains(kind, "/")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
