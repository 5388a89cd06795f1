package specs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// convert loads the text, whose paths start from /stack, with SECRET=s3cret
// in its environment.
func convert(t *testing.T, text string) *Converter {
	t.Helper()
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "/stack",
		ConfigFiles: []types.ConfigFile{{Filename: "/stack/stagehand.yaml", Content: []byte(text)}},
		Environment: types.Mapping{"SECRET": "s3cret"},
	}, func(o *loader.Options) { o.SetProjectName("demo", true) })
	if err != nil {
		t.Fatal(err)
	}
	return &Converter{
		Project: project, Files: []string{"/stack/stagehand.yaml"}, Dir: "/stack",
		At: func(path ...string) problems.Pos { return problems.Pos{File: strings.Join(path, ".")} },
	}
}

func said(list *problems.List) []string {
	var lines []string
	for _, p := range list.All() {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		lines = append(lines, kind+" "+p.File+": "+p.Message)
	}
	return lines
}

func ptr[T any](v T) *T { return &v }

// TestSpec is what each key of a service becomes. The service is web, of image
// nginx, in project demo; change makes the expected Spec of that of a bare one.
func TestSpec(t *testing.T) {
	for _, c := range []struct {
		name, service, rest string
		change              func(s *containers.Spec)
		said                []string
	}{
		{name: "nothing more", change: func(*containers.Spec) {}},
		{name: "command text", service: `command: serve --name "a b"`, change: func(s *containers.Spec) { s.Command = []string{"serve", "--name", "a b"} }},
		{name: "command list", service: `command: [serve, "a b"]`, change: func(s *containers.Spec) { s.Command = []string{"serve", "a b"} }},
		{name: "command empty list clears", service: `command: []`, change: func(s *containers.Spec) { s.Command = []string{} }},
		{name: "command empty text clears", service: `command: ""`, change: func(s *containers.Spec) { s.Command = []string{} }},
		{name: "command null keeps", service: `command: null`, change: func(*containers.Spec) {}},
		{name: "entrypoint", service: `entrypoint: [/bin/sh, -c]`, change: func(s *containers.Spec) { s.Entrypoint = []string{"/bin/sh", "-c"} }},
		{name: "entrypoint empty clears", service: `entrypoint: []`, change: func(s *containers.Spec) { s.Entrypoint = []string{} }},
		{name: "environment sorted", service: `environment: {Z: 1, A: "x=y", E: "", SECRET: , MISSING: }`,
			change: func(s *containers.Spec) { s.Env = []string{"A=x=y", "E=", "MISSING", "SECRET=s3cret", "Z=1"} }},
		{name: "process", service: `{working_dir: /w, user: "1:2", hostname: h, domainname: d.example, tty: true, stdin_open: true, init: false, stop_signal: SIGINT, stop_grace_period: 1m30s}`,
			change: func(s *containers.Spec) {
				s.WorkingDir, s.User, s.Hostname, s.Domainname, s.TTY, s.OpenStdin = "/w", "1:2", "h", "d.example", true, true
				s.Init, s.StopSignal, s.StopGrace = ptr(false), "SIGINT", 90*time.Second
			}},
		{name: "healthcheck", service: `healthcheck: {test: curl localhost, interval: 5s, timeout: 3s, retries: 4, start_period: 1m, start_interval: 1s}`,
			change: func(s *containers.Spec) {
				s.Health = &containers.Healthcheck{Test: []string{"CMD-SHELL", "curl localhost"}, Interval: 5 * time.Second, Timeout: 3 * time.Second,
					Retries: 4, StartPeriod: time.Minute, StartInterval: time.Second}
			}},
		{name: "healthcheck disabled", service: `healthcheck: {disable: true}`, change: func(s *containers.Spec) { s.Health = &containers.Healthcheck{Test: []string{"NONE"}} }},
		{name: "healthcheck none", service: `healthcheck: {test: [NONE]}`, change: func(s *containers.Spec) { s.Health = &containers.Healthcheck{Test: []string{"NONE"}} }},
		{name: "healthcheck of the image, other times", service: `healthcheck: {interval: 7s}`, change: func(s *containers.Spec) { s.Health = &containers.Healthcheck{Interval: 7 * time.Second} }},
		{name: "restart", service: `restart: on-failure:3`, change: func(s *containers.Spec) { s.Restart = containers.Restart{Policy: "on-failure", Retries: 3} }},
		{name: "restart unknown", service: `restart: sometimes`, said: []string{`error services.web.restart: restart cannot be "sometimes"`}, change: func(*containers.Spec) {}},
		{name: "restart always counted", service: `restart: always:3`, said: []string{`error services.web.restart: restart cannot be "always:3"`}, change: func(*containers.Spec) {}},
		{name: "restart policy", service: `deploy: {restart_policy: {condition: on-failure, max_attempts: 5, delay: 3s}}`,
			change: func(s *containers.Spec) { s.Restart = containers.Restart{Policy: "on-failure", Retries: 5} },
			said:   []string{"warning services.web.deploy.restart_policy.delay: restart_policy.delay is not carried over: engines choose their own"}},
		{name: "restart policy wins", service: `{restart: always, deploy: {restart_policy: {condition: none}}}`, change: func(s *containers.Spec) { s.Restart = containers.Restart{Policy: "no"} }},
		{name: "restart policy without a condition", service: `deploy: {restart_policy: {max_attempts: 2}}`, change: func(*containers.Spec) {},
			said: []string{"warning services.web.deploy.restart_policy: a restart_policy without a condition restarts nothing, as with Docker Compose"}},
		{name: "restart policy none", service: `deploy: {restart_policy: {condition: none}}`, change: func(s *containers.Spec) { s.Restart = containers.Restart{Policy: "no"} }},
		{name: "pull policy", service: `pull_policy: if_not_present`, change: func(s *containers.Spec) { s.Pull = containers.PullMissing }},
		{name: "pull policy always", service: `{pull_policy: always, platform: linux/arm64}`, change: func(s *containers.Spec) { s.Pull, s.Platform = containers.PullAlways, "linux/arm64" }},
		{name: "pull policy by time", service: `pull_policy: weekly`, change: func(s *containers.Spec) { s.Pull = containers.PullAlways },
			said: []string{"warning services.web.pull_policy: pull_policy weekly is not known here: the image is pulled every time (always)"}},
		{name: "build and image", service: `build: {context: ., dockerfile: D, args: {B: "1", SECRET: , MISSING: }, target: t, tags: [more], labels: {a: b}, no_cache: true, pull: true, network: host, extra_hosts: ["z:1.2.3.4"], shm_size: 1m, ulimits: {nofile: 5}, cache_from: [c], platforms: [linux/arm64]}`,
			change: func(s *containers.Spec) {
				s.Platform = "linux/arm64"
				s.Build = &containers.Build{Context: "/stack", Dockerfile: "D", Args: []string{"B=1", "SECRET=s3cret"}, Target: "t", Tags: []string{"more"},
					Labels:  map[string]string{"a": "b", "com.docker.compose.project": "demo", "com.docker.compose.service": "web"},
					NoCache: true, Pull: true, Network: "host", ExtraHosts: []string{"z:1.2.3.4"}, ShmSize: 1 << 20, Ulimits: []containers.Ulimit{{Name: "nofile", Soft: 5, Hard: 5}},
					CacheFrom: []string{"c"}}
			}},
		{name: "build always", service: `{pull_policy: build, build: {dockerfile_inline: "FROM scratch"}}`,
			change: func(s *containers.Spec) {
				s.Pull = containers.PullBuild
				s.Build = &containers.Build{Context: "/stack", Inline: "FROM scratch", Labels: map[string]string{"com.docker.compose.project": "demo", "com.docker.compose.service": "web"}}
			}},
		{name: "build without build", service: `pull_policy: build`, change: func(*containers.Spec) {},
			said: []string{"warning services.web.pull_policy: pull_policy build says nothing of a service without build: the image is pulled if it is missing"}},
		{name: "what no build here can", service: `build: {context: ., ssh: [default], sbom: true}`,
			change: func(s *containers.Spec) {
				s.Build = &containers.Build{Context: "/stack", Dockerfile: "Dockerfile", Labels: map[string]string{"com.docker.compose.project": "demo", "com.docker.compose.service": "web"},
					Refused: "build.ssh of service web is not carried out: docker compose build web makes it"}
			},
			said: []string{"warning services.web.build.sbom: build.sbom is not carried over",
				"warning services.web.build.ssh: build.ssh is not carried out: the image nginx is used if it is there, and cannot be made here"}},

		{name: "volumes", service: `volumes: ["data:/data", "./conf:/conf:ro,z", "/anonymous", {type: volume, source: data, target: /sub, volume: {nocopy: true, subpath: a/b}}, {type: bind, source: /b, target: /b, bind: {create_host_path: false, propagation: rslave}}, {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 0o1777}}]`,
			rest: "volumes: {data: }",
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{
					{Kind: "volume", Source: "demo_data", Target: "/data"},
					{Kind: "bind", Source: "/stack/conf", Target: "/conf", ReadOnly: true, CreateHostPath: true, SELinux: "z"},
					{Kind: "volume", Target: "/anonymous"},
					{Kind: "volume", Source: "demo_data", Target: "/sub", NoCopy: true, Subpath: "a/b"},
					{Kind: "bind", Source: "/b", Target: "/b", Propagation: "rslave"},
					{Kind: "tmpfs", Target: "/t", TmpfsSize: 64 << 20, TmpfsMode: 0o1777},
				}
			}},
		{name: "bind without options makes its folder", service: `volumes: [{type: bind, source: ./x, target: /x}]`,
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{{Kind: "bind", Source: "/stack/x", Target: "/x", CreateHostPath: true}}
			}},
		{name: "named and external volumes", service: `volumes: ["aa:/a", "bb:/b"]`, rest: "volumes: {aa: {name: my-a}, bb: {external: true}}",
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{{Kind: "volume", Source: "my-a", Target: "/a"}, {Kind: "volume", Source: "bb", Target: "/b"}}
			}},
		{name: "tmpfs", service: `tmpfs: ["/run", "/tmp:size=10m,mode=1770,ro,noexec"]`,
			change: func(s *containers.Spec) {
				s.Tmpfs = map[string]string{"/run": "", "/tmp": "size=10m,mode=1770,ro,noexec"}
			}},
		{name: "tmpfs mode wrong", service: `tmpfs: ["/tmp:mode=rwx"]`, change: func(*containers.Spec) {}, said: []string{`error services.web.tmpfs.0: tmpfs mode cannot be "rwx"`}},
		{name: "tmpfs size wrong", service: `tmpfs: ["/tmp:size=big"]`, change: func(*containers.Spec) {}, said: []string{`error services.web.tmpfs.0: tmpfs size cannot be "big"`}},
		{name: "volumes_from", service: `volumes_from: ["container:x", other, "other:ro", "container:y:ro"]`,
			change: func(s *containers.Spec) { s.VolumesFrom = []string{"x", "demo-other-1", "demo-other-1:ro", "y:ro"} }},
		{name: "volumes_from wrong", service: `volumes_from: ["other:rx"]`, change: func(*containers.Spec) {}, said: []string{`error services.web.volumes_from.0: volumes_from cannot be "other:rx"`}},
		{name: "image mount", service: `volumes: [{type: image, source: nginx, target: /x, image: {subpath: a}, consistency: cached}]`,
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{{Kind: "image", Source: "nginx", Target: "/x", Subpath: "a", Consistency: "cached"}}
			}},
		{name: "mount of another kind", service: `volumes: [{type: npipe, source: a, target: /x}]`, change: func(*containers.Spec) {}, said: []string{`error services.web.volumes.0: a mount of type "npipe" is not carried over`}},
		{name: "recursive bind, labels of a volume", service: `volumes: [{type: bind, source: /b, target: /b, bind: {recursive: readonly}}, {type: volume, target: /v, volume: {labels: {a: b}}}]`,
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{{Kind: "bind", Source: "/b", Target: "/b", CreateHostPath: true, Recursive: "readonly"}, {Kind: "volume", Target: "/v", Labels: map[string]string{"a": "b"}}}
			}},
		{name: "the engine's socket", service: `use_api_socket: true`,
			change: func(s *containers.Spec) {
				s.Mounts = []containers.Mount{{Kind: "bind", Source: "/var/run/docker.sock", Target: "/var/run/docker.sock", CreateHostPath: true}}
			}, said: []string{"warning services.web.use_api_socket: the engine's socket is mounted, but credentials for registries are not handed in"}},

		{name: "networks by priority", service: `networks: {back: {ipv4_address: 10.0.0.9, ipv6_address: "2001:db8::9", aliases: [b, web], driver_opts: {o: "1"}}, front: {priority: 10, mac_address: "02:42:ac:11:65:43"}}`,
			rest: "networks: {front: {name: outside}, back: }",
			change: func(s *containers.Spec) {
				s.Networks = []containers.Attachment{
					{Network: "outside", Aliases: []string{"demo-web-1", "web"}, MAC: "02:42:ac:11:65:43"},
					{Network: "demo_back", Aliases: []string{"demo-web-1", "web", "b"}, IPv4: "10.0.0.9", IPv6: "2001:db8::9", Options: map[string]string{"o": "1"}},
				}
			}},
		{name: "mac of the service", service: `mac_address: "02:42:ac:11:65:43"`, change: func(s *containers.Spec) { s.Networks[0].MAC = "02:42:ac:11:65:43" }},
		{name: "what newer engines know of networks", service: `networks: {default: {gw_priority: 1, interface_name: eth9, link_local_ips: [169.254.1.1]}}`,
			change: func(s *containers.Spec) {
				s.Networks[0].GatewayPriority, s.Networks[0].Interface, s.Networks[0].LinkLocal = 1, "eth9", []string{"169.254.1.1"}
			}},
		{name: "links", service: `{links: [other, "other:o"], external_links: [theirs, "them:t"]}`,
			change: func(s *containers.Spec) {
				s.Links = []string{"demo-other-1:other", "demo-other-1:other-1", "demo-other-1:demo-other-1", "demo-other-1:o", "demo-other-1:other-1",
					"demo-other-1:demo-other-1", "theirs:theirs", "them:t"}
			}},
		{name: "no alias of the service", service: `networks: {default: {use_service_name_alias: false}}`, change: func(s *containers.Spec) { s.Networks[0].Aliases = []string{"demo-web-1"} }},
		{name: "network_mode none", service: `network_mode: none`, change: func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "none" }},
		{name: "network_mode bridge", service: `network_mode: bridge`, change: func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "bridge" }},
		{name: "network_mode default", service: `network_mode: default`, change: func(s *containers.Spec) { s.Networks = nil }},
		{name: "network_mode host", service: `{network_mode: host, ports: ["80:80"]}`, change: func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "host" },
			said: []string{"warning services.web.ports: ports are not published with network_mode host"}},
		{name: "network_mode service", service: `network_mode: service:other`, change: func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "container:demo-other-1" }},
		{name: "network_mode container", service: `network_mode: container:abc`, change: func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "container:abc" }},
		{name: "network_mode a network", service: `network_mode: mynet`, change: func(s *containers.Spec) { s.Networks = []containers.Attachment{{Network: "mynet"}} }},
		{name: "ports", service: `ports: ["80", "8080:80", "127.0.0.1:53:53/udp", "9000-9001:90-91", "8000-8010:88", {target: 70, published: "7000", protocol: tcp, host_ip: 0.0.0.0}]`,
			change: func(s *containers.Spec) {
				s.Ports = []containers.Port{
					{Container: 80, Protocol: "tcp"}, {Host: "8080", Container: 80, Protocol: "tcp"},
					{HostIP: "127.0.0.1", Host: "53", Container: 53, Protocol: "udp"},
					{Host: "9000", Container: 90, Protocol: "tcp"}, {Host: "9001", Container: 91, Protocol: "tcp"},
					{Host: "8000-8010", Container: 88, Protocol: "tcp"}, {HostIP: "0.0.0.0", Host: "7000", Container: 70, Protocol: "tcp"},
				}
			}},
		{name: "ports wrong", service: `ports: [{target: 99999}, {target: 1, published: abc}, {target: 1, protocol: icmp}]`, change: func(*containers.Spec) {},
			said: []string{"error services.web.ports.0: port 99999 does not exist", `error services.web.ports.1: "abc" cannot be published`, `error services.web.ports.2: there is no protocol "icmp"`}},
		{name: "expose", service: `expose: ["80", "53/udp", "8000-8002"]`, change: func(s *containers.Spec) { s.Expose = []string{"80", "53/udp", "8000", "8001", "8002"} }},
		{name: "expose wrong", service: `expose: ["9-3", "http"]`, change: func(*containers.Spec) {},
			said: []string{`error services.web.expose.0: expose cannot be "9-3"`, `error services.web.expose.1: expose cannot be "http"`}},
		{name: "namespaces", service: `{ipc: service:other, pid: host, uts: host, userns_mode: host, cgroup: private}`,
			change: func(s *containers.Spec) {
				s.IpcMode, s.PidMode, s.UTSMode, s.UsernsMode, s.CgroupNS = "container:demo-other-1", "host", "host", "host", "private"
			}},

		{name: "configs and secrets", service: `{configs: [text, {source: text, target: /etc/app.conf, uid: "5", gid: "6", mode: 0o640}, {source: text, target: rel/x}], secrets: [key, {source: key, target: other}, {source: key, target: /abs}]}`,
			rest: "configs: {text: {content: hello}}\nsecrets: {key: {environment: SECRET}}",
			change: func(s *containers.Spec) {
				s.Files = []containers.File{
					{Path: "/text", Content: []byte("hello"), Mode: 0o444},
					{Path: "/etc/app.conf", Content: []byte("hello"), Mode: 0o640, UID: 5, GID: 6},
					{Path: "/rel/x", Content: []byte("hello"), Mode: 0o444},
					{Path: "/run/secrets/key", Content: []byte("s3cret"), Mode: 0o444, Secret: true},
					{Path: "/run/secrets/other", Content: []byte("s3cret"), Mode: 0o444, Secret: true},
					{Path: "/abs", Content: []byte("s3cret"), Mode: 0o444, Secret: true},
				}
			}},
		{name: "configs and secrets that cannot be", service: `{configs: [ext, gone], secrets: [unset, {source: key, uid: root}]}`,
			rest:   "configs: {ext: {external: true}, gone: {file: ./gone}}\nsecrets: {unset: {environment: NOT_SET}, key: {environment: SECRET}}",
			change: func(*containers.Spec) {},
			said: []string{"error configs.gone.file: /stack/gone: no such file", "error secrets.unset.environment: the environment variable NOT_SET is not set",
				`error services.web.configs.0: config "ext" is external, and no engine here keeps configs`, `error services.web.secrets.1.uid: uid cannot be "root"`}},

		{name: "security", service: `{read_only: true, privileged: true, cap_add: [A], cap_drop: [ALL], security_opt: ["no-new-privileges:true"], group_add: [video]}`,
			change: func(s *containers.Spec) {
				s.ReadOnly, s.Privileged, s.CapAdd, s.CapDrop = true, true, []string{"A"}, []string{"ALL"}
				s.SecurityOpt, s.GroupAdd = []string{"no-new-privileges:true"}, []string{"video"}
			}},
		{name: "names", service: `{dns: 1.1.1.1, dns_search: [a.example, b.example], dns_opt: [use-vc], extra_hosts: ["z=1.2.3.4", "a:host-gateway", "six=[::1]"]}`,
			change: func(s *containers.Spec) {
				s.DNS, s.DNSSearch, s.DNSOptions = []string{"1.1.1.1"}, []string{"a.example", "b.example"}, []string{"use-vc"}
				s.ExtraHosts = []string{"a:host-gateway", "six:::1", "z:1.2.3.4"}
			}},
		{name: "host", service: `{devices: ["/dev/a", "/dev/b:/dev/c:r"], sysctls: {net.core.somaxconn: 1024}, ulimits: {nproc: 65535, nofile: {soft: 1, hard: 2}}, runtime: runsc, annotations: {a: b}, logging: {driver: local, options: {max-size: 10m}}}`,
			change: func(s *containers.Spec) {
				s.Devices = []containers.Device{{Source: "/dev/a", Target: "/dev/a", Permissions: "rwm"}, {Source: "/dev/b", Target: "/dev/c", Permissions: "r"}}
				s.Sysctls = map[string]string{"net.core.somaxconn": "1024"}
				s.Ulimits = []containers.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}, {Name: "nproc", Soft: 65535, Hard: 65535}}
				s.Runtime, s.Annotations, s.Log = "runsc", map[string]string{"a": "b"}, containers.Log{Driver: "local", Options: map[string]string{"max-size": "10m"}}
			}},
		{name: "CDI device", service: `devices: ["vendor1.com/device=gpu0"]`,
			change: func(s *containers.Spec) {
				s.Resources.GPUs = []containers.GPU{{Driver: "cdi", IDs: []string{"vendor1.com/device=gpu0"}}}
			}},
		{name: "security options of the client", service: `security_opt: ["systempaths=unconfined", "seccomp=unconfined", "label:disable", no-new-privileges]`,
			change: func(s *containers.Spec) {
				s.SystemPaths, s.SecurityOpt = true, []string{"seccomp=unconfined", "label:disable", "no-new-privileges"}
			}},
		{name: "security options that are none", service: `security_opt: [wrong, "seccomp=/none.json"]`, change: func(*containers.Spec) {},
			said: []string{`error services.web.security_opt.0: there is no security option "wrong"`, "error services.web.security_opt.1: the seccomp profile /none.json: no such file"}},
		{name: "the rest of the host's", service: `{device_cgroup_rules: ["c 1:3 mr"], storage_opt: {size: 1g}, isolation: hyperv}`,
			change: func(s *containers.Spec) {
				s.DeviceRules, s.StorageOpt, s.Isolation = []string{"c 1:3 mr"}, map[string]string{"size": "1g"}, "hyperv"
			}},
		{name: "limits of devices and real time", service: `{cpu_rt_period: 1000000, cpu_rt_runtime: 400, cpu_count: 2, cpu_percent: 50, blkio_config: {weight_device: [{path: /dev/a, weight: 400}], device_read_bps: [{path: /dev/a, rate: 1mb}], device_write_iops: [{path: /dev/a, rate: 30}]}}`,
			change: func(s *containers.Spec) {
				s.Resources = containers.Resources{CPURealtimePeriod: 1_000_000, CPURealtimeRuntime: 400, CPUCount: 2, CPUPercent: 5000,
					BlkioWeightDevice: []containers.DeviceRate{{Path: "/dev/a", Rate: 400}}, BlkioReadBps: []containers.DeviceRate{{Path: "/dev/a", Rate: 1 << 20}},
					BlkioWriteIOps: []containers.DeviceRate{{Path: "/dev/a", Rate: 30}}}
			}},
		{name: "resources, short keys", service: `{cpus: 0.1, cpu_shares: 5, cpuset: "0-1", cpu_period: 100, cpu_quota: 200, mem_limit: 1g, mem_reservation: 512m, memswap_limit: 2g, mem_swappiness: 60, pids_limit: 10, shm_size: 64m, oom_kill_disable: true, oom_score_adj: -5, cgroup_parent: p, blkio_config: {weight: 300}}`,
			change: func(s *containers.Spec) {
				s.Resources = containers.Resources{NanoCPUs: 100_000_000, CPUShares: 5, CPUSet: "0-1", CPUPeriod: 100, CPUQuota: 200, Memory: 1 << 30,
					MemoryReservation: 512 << 20, MemorySwap: 2 << 30, MemorySwappiness: ptr(int64(60)), PidsLimit: 10, ShmSize: 64 << 20,
					OomKillDisable: true, OomScoreAdj: -5, CgroupParent: "p", BlkioWeight: 300}
			}},
		{name: "resources, deploy", service: `deploy: {resources: {limits: {cpus: "1.5", memory: 50M, pids: 7}, reservations: {cpus: "0.2", memory: 20M, devices: [{capabilities: [tpu], driver: d, count: 2}]}}}`,
			change: func(s *containers.Spec) {
				s.Resources = containers.Resources{NanoCPUs: 1_500_000_000, Memory: 50 << 20, PidsLimit: 7, MemoryReservation: 20 << 20,
					GPUs: []containers.GPU{{Driver: "d", Count: 2, Capabilities: []string{"tpu"}}}}
			}, said: []string{"warning services.web.deploy.resources.reservations.cpus: deploy.resources.reservations.cpus is not carried over"}},
		{name: "gpus", service: `gpus: all`, change: func(s *containers.Spec) {
			s.Resources.GPUs = []containers.GPU{{Count: -1, Capabilities: []string{"gpu"}}}
		}},
		{name: "hooks", service: `{post_start: [{command: "a 'b c'", user: "1", privileged: true, working_dir: /w, environment: {Z: "1", A: "2"}}], pre_stop: [{command: [d]}, {command: [e]}]}`,
			change: func(s *containers.Spec) {
				s.PostStart = []containers.Hook{{Command: []string{"a", "b c"}, User: "1", Privileged: true, WorkingDir: "/w", Env: []string{"A=2", "Z=1"}}}
				s.PreStop = []containers.Hook{{Command: []string{"d"}}, {Command: []string{"e"}}}
			}},
		{name: "pre_start", service: `{environment: {A: "1"}, user: "7", ports: ["80"], volumes: [/data], pre_start: [{command: [a], environment: {B: "2"}}, {image: other, user: "0", command: b, volumes: [/own], labels: {x: y}, configs: [none]}]}`,
			change: func(s *containers.Spec) {
				s.Env, s.User, s.Ports, s.Mounts = []string{"A=1"}, "7", []containers.Port{{Container: 80, Protocol: "tcp"}}, []containers.Mount{{Kind: containers.MountVolume, Target: "/data"}}
				networks := []containers.Attachment{{Network: "demo_default"}}
				s.PreStart = []containers.Spec{
					{Name: "demo-web-1-pre-start-1", Image: "nginx", Pull: containers.PullMissing, Command: []string{"a"}, Env: []string{"A=1", "B=2"}, User: "7", Networks: networks, VolumesFrom: []string{"demo-web-1"}},
					{Name: "demo-web-1-pre-start-2", Image: "other", Pull: containers.PullMissing, Command: []string{"b"}, Env: []string{"A=1"}, User: "0", Networks: networks, VolumesFrom: []string{"demo-web-1"},
						Mounts: []containers.Mount{{Kind: containers.MountVolume, Target: "/own"}}, Labels: map[string]string{"x": "y"}},
				}
			}, said: []string{"error services.web.pre_start.1.configs.0: there is no config \"none\""}},
		{name: "what only one of several can have", service: `{scale: 3, ports: ["80:80", "8000-8002:81", "82", "9000-9001:83"], networks: {default: {ipv4_address: 10.0.0.7}}}`,
			change: func(s *containers.Spec) {
				s.Networks[0].IPv4 = "10.0.0.7"
				s.Ports = []containers.Port{{Host: "80", Container: 80, Protocol: "tcp"}, {Host: "8000-8002", Container: 81, Protocol: "tcp"}, {Container: 82, Protocol: "tcp"}, {Host: "9000-9001", Container: 83, Protocol: "tcp"}}
			},
			said: []string{
				"error services.web.networks.default.ipv4_address: 3 containers of web cannot all have the address 10.0.0.7",
				"error services.web.ports.0: 3 containers of web cannot all have the host's port 80",
				"error services.web.ports.3: 3 containers of web cannot all have the host's port 9000-9001",
			}},
		{name: "what is not carried", service: `{develop: {watch: [{path: ., action: rebuild}]}, deploy: {placement: {constraints: [a]}, update_config: {parallelism: 1}}, attach: false}`,
			change: func(*containers.Spec) {},
			said: []string{
				"warning services.web.attach: attach is not carried over",
				"warning services.web.deploy.placement: deploy.placement is not carried over",
				"warning services.web.deploy.update_config: deploy.update_config is not carried over",
				"warning services.web.develop: develop is not carried over",
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "services:\n  other: {image: nginx}\n  web:\n    image: nginx\n"
			if strings.HasPrefix(c.service, "{") {
				text = "services:\n  other: {image: nginx}\n  web: {image: nginx, " + c.service[1:] + "\n"
			} else if c.service != "" {
				text += "    " + c.service + "\n"
			}
			converter := convert(t, text+c.rest)
			var list problems.List
			got := converter.Spec("web", Identity{}, &list)
			want := containers.Spec{Name: "demo-web-1", Image: "nginx", Pull: containers.PullMissing,
				Networks: []containers.Attachment{{Network: "demo_default", Aliases: []string{"demo-web-1", "web"}}}}
			c.change(&want)
			got.Labels, got.NewerHash = nil, "" // see TestServiceHash
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.said, said(&list)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBuildWithoutImage: Compose's own name for it, and no registry has it.
func TestBuildWithoutImage(t *testing.T) {
	c := convert(t, "services: {web: {build: .}}")
	var list problems.List
	spec := c.Spec("web", Identity{}, &list)
	if spec.Image != "demo-web" || spec.Pull != containers.PullNever {
		t.Errorf("image %q, pull %q", spec.Image, spec.Pull)
	}
	if spec.Build == nil || len(said(&list)) > 0 {
		t.Errorf("build %v, said %q", spec.Build, said(&list))
	}
}

func TestIdentityAndLabels(t *testing.T) {
	c := convert(t, `services:
  sync: {image: app, labels: {own: x, com.docker.compose.project: stolen}, network_mode: service:db}
  api: {image: app, networks: {default: {aliases: [front]}}}
  db: {image: pg, container_name: the-db}
`)
	var list problems.List
	id := Identity{Stack: "demo", Service: "alpha-api", Template: "api", App: "alpha", Aliases: []string{"alpha"}, Labels: map[string]string{containers.LabelRole: "service"}}
	spec := c.Spec("api", id, &list)
	if spec.Name != "demo-alpha-api-1" {
		t.Errorf("name %q", spec.Name)
	}
	if diff := cmp.Diff([]string{"demo-alpha-api-1", "alpha-api", "alpha", "front"}, spec.Networks[0].Aliases); diff != "" {
		t.Error(diff)
	}
	hash := spec.Labels[containers.LabelConfigHash]
	if len(hash) != 64 {
		t.Errorf("config hash %q", hash)
	}
	delete(spec.Labels, containers.LabelConfigHash)
	if diff := cmp.Diff(map[string]string{
		"com.docker.compose.project": "demo", "com.docker.compose.service": "alpha-api", "com.docker.compose.container-number": "1",
		"com.docker.compose.oneoff": "False", "com.docker.compose.project.config_files": "/stack/stagehand.yaml",
		"com.docker.compose.project.working_dir": "/stack", "com.docker.compose.version": "2.40.3", "com.docker.compose.depends_on": "",
		"dev.stagehand.stack": "demo", "dev.stagehand.app": "alpha", "dev.stagehand.role": "service",
	}, spec.Labels); diff != "" {
		t.Error(diff)
	}
	sync := c.Spec("sync", Identity{Number: 2}, &list)
	if sync.Labels["own"] != "x" || sync.Labels[containers.LabelProject] != "demo" || sync.Name != "demo-sync-2" || sync.Labels[containers.LabelNumber] != "2" {
		t.Errorf("%s %v", sync.Name, sync.Labels)
	}
	if sync.NetworkMode != "container:the-db" {
		t.Errorf("network mode %q: the other's container_name counts", sync.NetworkMode)
	}
	peer := c.Spec("sync", Identity{Peer: func(s string) string { return "demo-alpha-" + s + "-1" }}, &list)
	if peer.NetworkMode != "container:demo-alpha-db-1" {
		t.Errorf("network mode %q", peer.NetworkMode)
	}
	if list.Err() != nil {
		t.Error(list.Render())
	}
}

func TestDependsOnLabel(t *testing.T) {
	c := convert(t, `services:
  web: {image: app, depends_on: {db: {condition: service_healthy, restart: true}, migrate: {condition: service_completed_successfully}, cache: {condition: service_started}}}
  db: {image: pg}
  cache: {image: pg}
  migrate: {image: pg}
`)
	var list problems.List
	for _, test := range []struct {
		stand func(string) []string
		want  string
	}{
		{nil, "cache:service_started:false,db:service_healthy:true,migrate:service_completed_successfully:false"},
		{func(dep string) []string {
			return map[string][]string{"db": {"alpha-db", "beta-db"}, "cache": {"cache"}}[dep]
		}, "alpha-db:service_healthy:true,beta-db:service_healthy:true,cache:service_started:false"},
	} {
		if got := c.Spec("web", Identity{DependsOn: test.stand}, &list).Labels[containers.LabelDependsOn]; got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestUnknownAndInactive(t *testing.T) {
	c := convert(t, "services: {web: {image: nginx}, debug: {image: nginx, profiles: [debug]}}")
	var list problems.List
	c.Spec("wbe", Identity{}, &list)
	c.Spec("debug", Identity{}, &list)
	if diff := cmp.Diff([]string{`error services.debug.profiles: service "debug" is in a profile that is not active`, `error services.wbe: there is no service "wbe"`}, said(&list)); diff != "" {
		t.Error(diff)
	}
}

func TestObjects(t *testing.T) {
	c := convert(t, `services:
  web: {image: nginx, networks: [front, theirs], volumes: ["data:/d", "/anonymous", "./bind:/b"]}
  db: {image: nginx, networks: [back], volumes: ["shared:/s", "data:/d"]}
  host: {image: nginx, network_mode: host}
networks:
  front: {driver: bridge, driver_opts: {mtu: 1400}, internal: true, attachable: true, enable_ipv6: true, labels: {a: b},
    ipam: {driver: other, options: {x: y}, config: [{subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24, gateway: 10.1.0.1, aux_addresses: {h: 10.1.0.5}}]}}
  back: {enable_ipv4: false}
  theirs: {external: true, name: their-net}
volumes:
  data: {driver: local, driver_opts: {type: nfs}, labels: {l: "1"}}
  shared: {external: true}
jobs:
  nightly: {image: nginx, triggers: {manual: true}}
`)
	labels := func(kind, key string, more ...string) map[string]string {
		m := map[string]string{"com.docker.compose.project": "demo", "com.docker.compose.version": "2.40.3", "dev.stagehand.stack": "demo", kind: key}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	front := containers.Network{Name: "demo_front", Driver: "bridge", Options: map[string]string{"mtu": "1400"}, Internal: true, Attachable: true, EnableIPv6: true,
		IPAMDriver: "other", IPAMOptions: map[string]string{"x": "y"},
		IPAM:   []containers.Subnet{{Subnet: "10.1.0.0/16", IPRange: "10.1.1.0/24", Gateway: "10.1.0.1", Aux: map[string]string{"h": "10.1.0.5"}}},
		Labels: labels(containers.LabelNetwork, "front", "a", "b", containers.LabelConfigHash, networkHash(c.Project.Networks["front"]))}
	if diff := cmp.Diff([]containers.Network{front, {Name: "their-net", External: true}}, c.NetworksOf("web", "host")); diff != "" {
		t.Error(diff)
	}
	data := containers.Volume{Name: "demo_data", Driver: "local", Options: map[string]string{"type": "nfs"}, Labels: labels(containers.LabelVolume, "data", "l", "1", containers.LabelConfigHash, volumeHash(c.Project.Volumes["data"]))}
	if diff := cmp.Diff([]containers.Volume{data, {Name: "shared", External: true}}, c.VolumesOf("db", "web")); diff != "" {
		t.Error(diff)
	}
	if n, v := c.Network("none"), c.Volume("none"); n.Name != "" || v.Name != "" {
		t.Errorf("%v %v", n, v)
	}
	var list problems.List
	c.Check(&list)
	if diff := cmp.Diff([]string{
		`warning jobs.nightly: job "nightly" is not carried over`,
	}, said(&list)); diff != "" {
		t.Error(diff)
	}
}

// TestFilesOfWhatIsReadOnly: only what stands in a file can be mounted, and the rest be copied only into a volume.
func TestFilesOfWhatIsReadOnly(t *testing.T) {
	script := filepath.Join(t.TempDir(), "run.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := convert(t, `
services:
  web:
    image: nginx
    read_only: true
    volumes: ["data:/data", "data:/seen:ro"]
    configs: [script, text, {source: text, target: /data/text}, {source: text, target: /seen/text}]
    secrets: [word]
volumes: {data: {}}
configs: {script: {file: `+script+`}, text: {content: hello}}
secrets: {word: {environment: SECRET}}
`)
	var list problems.List
	spec := c.Spec("web", Identity{}, &list)
	var paths []string
	for _, f := range spec.Files {
		paths = append(paths, f.Path+" "+f.Source)
	}
	if diff := cmp.Diff([]string{"/script " + script, "/data/text "}, paths); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		`error services.web.configs.1: config "text" has no file to mount, and nothing can be copied to /text with read_only`,
		`error services.web.configs.3: config "text" has no file to mount, and nothing can be copied to /seen/text with read_only`,
		`error services.web.secrets.0: secret "word" has no file to mount, and nothing can be copied to /run/secrets/word with read_only`,
	}, said(&list)); diff != "" {
		t.Error(diff)
	}
}

// TestFiles: a file keeps its mode, readable by all; a folder and a device are refused.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "run.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := convert(t, "services: {web: {image: nginx, configs: [script, folder, device]}}\nconfigs: {script: {file: "+script+"}, folder: {file: "+dir+"}, device: {file: /dev/zero}}")
	var list problems.List
	spec := c.Spec("web", Identity{}, &list)
	if diff := cmp.Diff([]containers.File{{Path: "/script", Content: []byte("#!/bin/sh\n"), Mode: 0o744, Source: script}}, spec.Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"error configs.device.file: /dev/zero is not a regular file", "error configs.folder.file: " + dir + " is a folder"}, said(&list)); diff != "" {
		t.Error(diff)
	}
}

// TestEveryKey: each key that compose-go knows is either carried or named as
// not carried, so that a new one is not dropped silently.
func TestEveryKey(t *testing.T) {
	var ours []string
	ours = append(ours, carried...)
	for _, u := range uncarried {
		ours = append(ours, u.key)
	}
	slices.Sort(ours)
	if diff := cmp.Diff(composeKeys(), ours); diff != "" {
		t.Error(diff)
	}
}
