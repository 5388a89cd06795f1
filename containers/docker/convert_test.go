package docker

import (
	"errors"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stagehand-dev/stagehand/containers"
)

func ptr[T any](v T) *T { return &v }

// TestConvert gives for each case what it expects on top of the least
// container; api is 1.51 where a case names none.
func TestConvert(t *testing.T) {
	two := []containers.Attachment{
		{Network: "front", Aliases: []string{"web"}, IPv4: "10.0.0.2", MAC: "02:00:00:00:00:01"},
		{Network: "back", Options: map[string]string{"o": "1"}},
	}
	front := &network.EndpointSettings{Aliases: []string{"web"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.0.0.2"}}
	frontMAC := *front
	frontMAC.MacAddress = "02:00:00:00:00:01"
	back := &network.EndpointSettings{DriverOpts: map[string]string{"o": "1"}}
	for _, test := range []struct {
		name string
		api  string
		spec containers.Spec
		want func(*creation)
	}{
		{name: "nothing"},
		{
			name: "an empty command is not no command",
			spec: containers.Spec{Command: []string{}, Entrypoint: []string{}},
			want: func(c *creation) { c.config.Cmd, c.config.Entrypoint = []string{}, []string{} },
		},
		{
			name: "process",
			spec: containers.Spec{
				Command: []string{"a"}, Entrypoint: []string{"b"}, Env: []string{"K=V"}, WorkingDir: "/w", User: "u",
				Hostname: "h", Domainname: "d", TTY: true, OpenStdin: true, StopSignal: "SIGINT", StopGrace: 2500 * time.Millisecond,
			},
			want: func(c *creation) {
				c.config.Cmd, c.config.Entrypoint, c.config.Env = []string{"a"}, []string{"b"}, []string{"K=V"}
				c.config.WorkingDir, c.config.User, c.config.Hostname, c.config.Domainname = "/w", "u", "h", "d"
				c.config.Tty, c.config.OpenStdin, c.config.StopSignal, c.config.StopTimeout = true, true, "SIGINT", ptr(3)
			},
		},
		{
			name: "the caller's hash wins",
			spec: containers.Spec{Labels: map[string]string{containers.LabelSpec: "x", "k": "v"}},
			want: func(c *creation) { c.config.Labels = map[string]string{containers.LabelSpec: "x", "k": "v"} },
		},
		{
			name: "several networks at once",
			spec: containers.Spec{Networks: two},
			want: func(c *creation) {
				c.host.NetworkMode = "front"
				c.networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"front": &frontMAC, "back": back}}
			},
		},
		{
			name: "several networks, one at a time", api: "1.41",
			spec: containers.Spec{Networks: two},
			want: func(c *creation) {
				c.host.NetworkMode = "front"
				c.config.MacAddress = "02:00:00:00:00:01" //nolint:staticcheck // as in the code under test
				c.networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"front": front}}
				c.later = two[1:]
			},
		},
		{
			name: "network mode",
			spec: containers.Spec{NetworkMode: "container:x"},
			want: func(c *creation) { c.host.NetworkMode = "container:x" },
		},
		{
			name: "mounts",
			spec: containers.Spec{Mounts: []containers.Mount{
				{Kind: containers.MountVolume, Source: "v", Target: "/v", ReadOnly: true, NoCopy: true, Subpath: "s"},
				{Kind: containers.MountVolume, Target: "/anonymous"},
				{Kind: containers.MountBind, Source: "/h", Target: "/b", CreateHostPath: true, Propagation: "rslave"},
				{Kind: containers.MountBind, Source: "/h", Target: "/z", SELinux: "z", ReadOnly: true},
				{Kind: containers.MountTmpfs, Target: "/t", TmpfsSize: 5, TmpfsMode: 0o700},
			}},
			want: func(c *creation) {
				c.host.Mounts = []mount.Mount{
					{Type: "volume", Source: "v", Target: "/v", ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true, Subpath: "s"}},
					{Type: "volume", Target: "/anonymous", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "bind", Source: "/h", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: "rslave"}},
					{Type: "tmpfs", Target: "/t", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 5, Mode: 0o700}},
				}
				c.host.Binds = []string{"/h:/z:ro,z"}
			},
		},
		{
			name: "a bind that makes its source on an old engine", api: "1.41",
			spec: containers.Spec{Mounts: []containers.Mount{{Kind: containers.MountBind, Source: "/h", Target: "/b", CreateHostPath: true}}},
			want: func(c *creation) { c.host.Binds = []string{"/h:/b:rw"} },
		},
		{
			name: "ports",
			spec: containers.Spec{
				Ports:  []containers.Port{{HostIP: "127.0.0.1", Host: "8000-8010", Container: 80}, {Container: 53, Protocol: "udp"}},
				Expose: []string{"90", "91-92/udp"},
			},
			want: func(c *creation) {
				c.config.ExposedPorts = nat.PortSet{"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/udp": {}, "92/udp": {}}
				c.host.PortBindings = nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8000-8010"}}, "53/udp": {{}}}
			},
		},
		{
			name: "health",
			spec: containers.Spec{Health: &containers.Healthcheck{Test: []string{"CMD", "x"}, Interval: 1, Timeout: 2, StartPeriod: 3, StartInterval: 4, Retries: 5}},
			want: func(c *creation) {
				c.config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "x"}, Interval: 1, Timeout: 2, StartPeriod: 3, StartInterval: 4, Retries: 5}
			},
		},
		{
			name: "health on an old engine", api: "1.43",
			spec: containers.Spec{Health: &containers.Healthcheck{Test: []string{"NONE"}, StartInterval: 4}},
			want: func(c *creation) { c.config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}} },
		},
		{
			name: "limits and devices",
			spec: containers.Spec{
				Resources: containers.Resources{
					NanoCPUs: 1, Memory: 2, MemorySwap: -1, PidsLimit: 3, OomKillDisable: true, OomScoreAdj: 4, ShmSize: 5,
					GPUs: []containers.GPU{{Count: -1}},
				},
				Devices: []containers.Device{{Source: "/dev/a"}, {Source: "/dev/a", Target: "/dev/b", Permissions: "r"}},
				Ulimits: []containers.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			},
			want: func(c *creation) {
				c.host.NanoCPUs, c.host.Memory, c.host.MemorySwap = 1, 2, -1
				c.host.PidsLimit, c.host.OomKillDisable, c.host.OomScoreAdj, c.host.ShmSize = ptr(int64(3)), ptr(true), 4, 5
				c.host.DeviceRequests = []container.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}}
				c.host.Devices = []container.DeviceMapping{
					{PathOnHost: "/dev/a", PathInContainer: "/dev/a", CgroupPermissions: "rwm"},
					{PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "r"},
				}
				c.host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}
			},
		},
		{
			name: "the rest of the host's side",
			spec: containers.Spec{
				Restart: containers.Restart{Policy: "on-failure", Retries: 2}, Init: ptr(true), ReadOnly: true, Privileged: true,
				CapAdd: []string{"A"}, CapDrop: []string{"B"}, SecurityOpt: []string{"C"}, GroupAdd: []string{"D"},
				DNS: []string{"1.1.1.1"}, DNSSearch: []string{"e"}, DNSOptions: []string{"f"}, ExtraHosts: []string{"h:1.2.3.4"},
				Sysctls: map[string]string{"s": "1"}, IpcMode: "host", PidMode: "host", UTSMode: "host", UsernsMode: "host",
				CgroupNS: "private", Runtime: "r", Log: containers.Log{Driver: "l", Options: map[string]string{"o": "p"}},
				Annotations: map[string]string{"n": "m"}, Platform: "linux/arm/v7",
			},
			want: func(c *creation) {
				c.host.RestartPolicy = container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 2}
				c.host.Init, c.host.ReadonlyRootfs, c.host.Privileged = ptr(true), true, true
				c.host.CapAdd, c.host.CapDrop, c.host.SecurityOpt, c.host.GroupAdd = []string{"A"}, []string{"B"}, []string{"C"}, []string{"D"}
				c.host.DNS, c.host.DNSSearch, c.host.DNSOptions, c.host.ExtraHosts = []string{"1.1.1.1"}, []string{"e"}, []string{"f"}, []string{"h:1.2.3.4"}
				c.host.Sysctls, c.host.IpcMode, c.host.PidMode, c.host.UTSMode, c.host.UsernsMode = map[string]string{"s": "1"}, "host", "host", "host", "host"
				c.host.CgroupnsMode, c.host.Runtime = "private", "r"
				c.host.LogConfig = container.LogConfig{Type: "l", Config: map[string]string{"o": "p"}}
				c.host.Annotations = map[string]string{"n": "m"}
				c.platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.api == "" {
				test.api = "1.51"
			}
			test.spec.Name, test.spec.Image = "n", "i"
			want := creation{
				config: &container.Config{Image: "i", StopTimeout: ptr(10), Labels: map[string]string{containers.LabelSpec: test.spec.Hash()}},
				host:   &container.HostConfig{},
			}
			if test.want != nil {
				test.want(&want)
			}
			got, err := convert(test.spec, test.api)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(creation{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for name, spec := range map[string]containers.Spec{
		"platform":                      {Platform: "linux//v7"},
		"network mode beside a network": {NetworkMode: "host", Networks: []containers.Attachment{{Network: "n"}}},
		"kind of mount":                 {Mounts: []containers.Mount{{Kind: "nfs", Target: "/x"}}},
		"subpath on an old engine":      {Mounts: []containers.Mount{{Kind: containers.MountVolume, Source: "v", Target: "/x", Subpath: "s"}}},
		"colon in an old bind":          {Mounts: []containers.Mount{{Kind: containers.MountBind, Source: "/a:b", Target: "/x", CreateHostPath: true}}},
		"port":                          {Expose: []string{"http"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := convert(spec, "1.41"); !errors.Is(err, containers.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestConvertLeavesTheSpecAlone(t *testing.T) {
	spec := containers.Spec{Labels: map[string]string{"a": "b"}}
	if _, err := convert(spec, "1.41"); err != nil || len(spec.Labels) != 1 {
		t.Errorf("labels of the spec afterwards: %v (error %v)", spec.Labels, err)
	}
}
