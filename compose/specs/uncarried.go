package specs

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/problems"
)

// unknown warns that a key is not carried over.
func (v *conversion) unknown(path ...string) {
	v.list.Warn(v.at(path...), "", "%s is not carried over", strings.Join(path, "."))
}

// carried are the service's keys that a Spec holds or that others read.
// Together with uncarried it names every key that compose-go knows; a test
// holds that, so that a new one cannot be dropped silently.
var carried = []string{
	"annotations", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "configs",
	"container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "deploy", "device_cgroup_rules", "devices", "dns", "dns_opt",
	"dns_search", "domainname", "entrypoint", "env_file", "environment", "expose", "external_links", "extra_hosts", "gpus", "group_add",
	"healthcheck", "hostname", "image", "init", "ipc", "isolation", "label_file", "labels", "links", "logging", "mac_address",
	"mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "network_mode", "networks", "oom_kill_disable",
	"oom_score_adj", "pid", "pids_limit", "platform", "ports", "post_start", "pre_start", "pre_stop", "privileged", "provider", "pull_policy", "read_only",
	"restart", "runtime", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt",
	"sysctls", "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode", "uts", "volumes", "volumes_from", "working_dir",
	// depends_on, extends, profiles and scale are read before or beside the Spec.
	"depends_on", "extends", "name", "profiles", "scale",
	// Keys of file formats that compose-go itself refuses.
	"dockerfile", "log_driver", "log_opt", "net", "volume_driver",
	// extensions
	"#extensions",
}

// uncarried are the service's other keys, each with how to see that it is set.
var uncarried = []struct {
	key string
	set func(s types.ServiceConfig) bool
}{
	{"attach", func(s types.ServiceConfig) bool { return s.Attach != nil && !*s.Attach }},
	{"credential_spec", func(s types.ServiceConfig) bool { return s.CredentialSpec != nil }},
	{"develop", func(s types.ServiceConfig) bool { return s.Develop != nil }},
	{"models", func(s types.ServiceConfig) bool { return len(s.Models) > 0 }},
	{"pull_refresh_after", func(s types.ServiceConfig) bool { return s.PullRefreshAfter != "" }},
	{"umask", func(s types.ServiceConfig) bool { return s.Umask != nil }},
}

// uncarried warns about every key that is set and has no place in a Spec.
func (v *conversion) uncarried() {
	s := v.service
	for _, u := range uncarried {
		if u.set(s) {
			v.unknown(u.key)
		}
	}
	if d := s.Deploy; d != nil {
		for _, part := range []struct {
			key string
			set bool
		}{
			{"mode", d.Mode != "" && d.Mode != "replicated"}, {"labels", len(d.Labels) > 0},
			{"update_config", d.UpdateConfig != nil}, {"rollback_config", d.RollbackConfig != nil},
			{"placement", len(d.Placement.Constraints)+len(d.Placement.Preferences) > 0 || d.Placement.MaxReplicas != 0},
			{"endpoint_mode", d.EndpointMode != ""},
		} {
			if part.set {
				v.unknown("deploy", part.key)
			}
		}
	}
}

// Check reports what of the project's top-level objects is not carried over, and two services that want one container name.
func (c *Converter) Check(list *problems.List) {
	holder := map[string]string{}
	for _, key := range c.Project.ServiceNames() {
		name := c.Project.Services[key].ContainerName
		if other, taken := holder[name]; taken && name != "" {
			list.Add(c.At("services", key, "container_name"), "", "container_name %q is that of service %q already", name, other)
		}
		holder[name] = key
	}
	for _, key := range sortedKeys(c.Project.AllJobs()) {
		list.Warn(c.At("jobs", key), "make it a service and run it in a stage", "job %q is not carried over", key)
	}
	for _, key := range sortedKeys(c.Project.Models) {
		list.Warn(c.At("models", key), "", "model %q is not carried over", key)
	}
}
