package specs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// security sets privileges and what is taken from them.
func (v *conversion) security() {
	s, spec := v.service, v.spec
	spec.ReadOnly, spec.Privileged = s.ReadOnly, s.Privileged
	spec.CapAdd, spec.CapDrop = s.CapAdd, s.CapDrop
	spec.GroupAdd = s.GroupAdd
	for i, option := range s.SecurityOpt {
		v.securityOption(i, option)
	}
}

// securityOption carries one on, but for two that are the client's work: the
// engine's host need not have the file of a seccomp profile, and systempaths
// is a word of the command line only. Source: docker/cli cli/command/container/opts.go.
func (v *conversion) securityOption(i int, option string) {
	where := v.at("security_opt", index(i))
	name, value, given := strings.Cut(option, "=")
	if !given {
		name, value, given = strings.Cut(option, ":")
	}
	switch {
	case option == "systempaths=unconfined":
		v.spec.SystemPaths = true
		return
	case !given && option != "no-new-privileges":
		v.list.Add(where, "expected NAME=VALUE, such as seccomp=unconfined", "there is no security option %q", option)
		return
	case name == "seccomp" && strings.Contains(option, "=") && value != "unconfined" && value != "builtin":
		text, err := os.ReadFile(v.Project.RelativePath(value))
		if err != nil {
			v.list.Add(where, "", "the seccomp profile %s: %s", value, problems.Unread(err))
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			v.list.Add(where, "", "the seccomp profile %s is not JSON: %v", value, err)
			return
		}
		option = "seccomp=" + compact.String()
	}
	v.spec.SecurityOpt = append(v.spec.SecurityOpt, option)
}

// host sets what the container is given of its host: names, devices, limits, logs.
func (v *conversion) host() {
	s, spec := v.service, v.spec
	spec.DNS, spec.DNSSearch, spec.DNSOptions = []string(s.DNS), []string(s.DNSSearch), s.DNSOpts
	if hosts := s.ExtraHosts.AsList(":"); len(hosts) > 0 {
		slices.Sort(hosts)
		spec.ExtraHosts = hosts
	}
	for _, d := range s.Devices {
		if isCDI(d.Source) {
			continue // see gpus
		}
		spec.Devices = append(spec.Devices, containers.Device{Source: d.Source, Target: d.Target, Permissions: d.Permissions})
	}
	spec.DeviceRules, spec.StorageOpt, spec.Isolation = s.DeviceCgroupRules, clone(s.StorageOpt), s.Isolation
	spec.Sysctls = clone(s.Sysctls)
	spec.Annotations = clone(s.Annotations)
	spec.Ulimits = ulimits(s.Ulimits)
	spec.Runtime = s.Runtime
	if s.Logging != nil {
		spec.Log = containers.Log{Driver: s.Logging.Driver, Options: clone(s.Logging.Options)}
	}
}

func ulimits(limits map[string]*types.UlimitsConfig) []containers.Ulimit {
	var out []containers.Ulimit
	for _, name := range sortedKeys(limits) {
		if u := limits[name]; u != nil {
			out = append(out, containers.Ulimit{Name: name, Soft: int64(cmp.Or(u.Soft, u.Single)), Hard: int64(cmp.Or(u.Hard, u.Single))})
		}
	}
	return out
}

// isCDI tells whether a device is named VENDOR/CLASS=NAME instead of by a path.
// Source: the Container Device Interface specification.
func isCDI(device string) bool {
	kind, _, named := strings.Cut(device, "=")
	return named && !strings.HasPrefix(device, "/") && strings.Contains(kind, "/")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
