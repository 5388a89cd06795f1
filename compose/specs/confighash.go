package specs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Compose knows a service, network or volume that has not changed by a hash of
// its JSON, so that the order of the keys counts and what is written of those
// that are not set. Both differ between compose-go's versions: what follows
// makes of this one's JSON that of Compose's release.
// Source: docker/compose v2.40.3 pkg/compose/hash.go with compose-go v2.9.1. Of all that
// stands in a service v5 (5.4.0, with compose-go v2.14.0) writes only create_host_path
// of a bind otherwise.

// serviceKeys are a service's keys in the order in which that release writes them.
var serviceKeys = []string{
	"annotations", "attach", "develop", "blkio_config", "cap_add", "cap_drop", "cgroup_parent", "cgroup",
	"cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpus", "cpuset", "cpu_shares",
	"command", "configs", "container_name", "credential_spec", "deploy", "device_cgroup_rules", "devices",
	"dns", "dns_opt", "dns_search", "dockerfile", "domainname", "entrypoint", "provider", "environment",
	"expose", "extends", "external_links", "extra_hosts", "group_add", "gpus", "hostname", "healthcheck", "image", "init", "ipc",
	"isolation", "labels", "links", "logging", "log_driver", "log_opt", "mem_limit", "mem_reservation",
	"memswap_limit", "mem_swappiness", "mac_address", "models", "net", "network_mode", "networks", "oom_kill_disable",
	"oom_score_adj", "pid", "pids_limit", "platform", "ports", "privileged", "read_only", "restart", "runtime", "secrets",
	"security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty",
	"ulimits", "use_api_socket", "user", "userns_mode", "uts", "volume_driver", "volumes", "volumes_from", "working_dir",
	"post_start", "pre_stop",
}

// bindKeys are those of a service's volume of type bind.
var bindKeys = []string{"selinux", "propagation", "create_host_path", "recursive"}

// serviceHash is Compose's hash of a service, "" where there is none; newer is that of v5.
func serviceHash(s types.ServiceConfig) (hash, newer string) {
	return sumOf(serviceText(s, false)), sumOf(serviceText(s, true))
}

func sumOf(text []byte) string {
	if text == nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// serviceText is what the hash is of: all but what does not concern the
// service's container, and the files whose variables and labels stand in it
// already. nil where it cannot be written.
func serviceText(s types.ServiceConfig, newer bool) []byte {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles, s.EnvFiles, s.LabelFiles = nil, "", nil, nil, nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	var service object
	if !again(s, &service) {
		return nil
	}
	if len(s.Volumes) > 0 {
		service.set("volumes", volumesOf(s, newer))
	}
	return service.text(serviceKeys)
}

// volumesOf writes create_host_path where it is true and not where it is false; the newer way is the other way round.
func volumesOf(s types.ServiceConfig, newer bool) []json.RawMessage {
	var out []json.RawMessage
	for _, v := range s.Volumes {
		var volume object
		again(v, &volume)
		if v.Bind != nil {
			var bind object
			again(v.Bind, &bind)
			delete(bind, "create_host_path")
			if made := bool(v.Bind.CreateHostPath); made != newer {
				bind.set("create_host_path", made)
			}
			volume["bind"] = bind.text(bindKeys)
		}
		out = append(out, volume.text([]string{"type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"}))
	}
	return out
}

// networkHash and volumeHash are Compose's of a network and a volume.
func networkHash(n types.NetworkConfig) string { return hashOf(n) }

func volumeHash(v types.VolumeConfig) string {
	v.Driver = cmp.Or(v.Driver, "local")
	return hashOf(v)
}

func hashOf(x any) string {
	text, err := json.Marshal(x)
	if err != nil {
		return ""
	}
	return sumOf(text)
}

// object is a JSON object whose values stay as they were written.
type object map[string]json.RawMessage

// again writes x and reads it as an object; false where x cannot be written.
func again(x any, o *object) bool {
	text, err := json.Marshal(x)
	return err == nil && json.Unmarshal(text, o) == nil
}

func (o object) set(key string, value any) {
	if text, err := json.Marshal(value); err == nil {
		o[key] = text
	}
}

// text writes the object with its keys in the given order, and those that are
// not in it, as only newer releases know them, behind.
func (o object) text(order []string) json.RawMessage {
	place := func(key string) int {
		if i := slices.Index(order, key); i >= 0 {
			return i
		}
		return len(order)
	}
	keys := slices.SortedFunc(maps.Keys(o), func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(key) // a string always can be written
		b.Write(name)
		b.WriteByte(':')
		b.Write(o[key])
	}
	b.WriteByte('}')
	return b.Bytes()
}
