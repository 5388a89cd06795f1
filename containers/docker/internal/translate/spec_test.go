package translate

import (
	"errors"
	"testing"
	"time"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stagehand-dev/stagehand/containers"
)

func ptr[T any](v T) *T { return &v }

// TestSpec gives for each case what it expects on top of the least
// container; api is 1.51 where a case names none.
func TestSpec(t *testing.T) {
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
		want func(*Creation)
	}{
		{name: "nothing"},
		{
			name: "an empty command is not no command",
			spec: containers.Spec{Command: []string{}, Entrypoint: []string{}},
			want: func(c *Creation) { c.Config.Cmd, c.Config.Entrypoint = []string{}, []string{} },
		},
		{
			name: "process",
			spec: containers.Spec{
				Command: []string{"a"}, Entrypoint: []string{"b"}, Env: []string{"K=V"}, WorkingDir: "/w", User: "u",
				Hostname: "h", Domainname: "d", TTY: true, OpenStdin: true, StopSignal: "SIGINT", StopGrace: 2500 * time.Millisecond,
			},
			want: func(c *Creation) {
				c.Config.Cmd, c.Config.Entrypoint, c.Config.Env = []string{"a"}, []string{"b"}, []string{"K=V"}
				c.Config.WorkingDir, c.Config.User, c.Config.Hostname, c.Config.Domainname = "/w", "u", "h", "d"
				c.Config.Tty, c.Config.OpenStdin, c.Config.StopSignal, c.Config.StopTimeout = true, true, "SIGINT", ptr(3)
			},
		},
		{
			name: "the caller's hash wins",
			spec: containers.Spec{Labels: map[string]string{containers.LabelSpec: "x", "k": "v"}},
			want: func(c *Creation) { c.Config.Labels = map[string]string{containers.LabelSpec: "x", "k": "v"} },
		},
		{
			name: "several networks at once",
			spec: containers.Spec{Networks: two},
			want: func(c *Creation) {
				c.Host.NetworkMode = "front"
				c.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"front": &frontMAC, "back": back}}
			},
		},
		{
			name: "several networks, one at a time", api: "1.41",
			spec: containers.Spec{Networks: two},
			want: func(c *Creation) {
				c.Host.NetworkMode = "front"
				c.Config.MacAddress = "02:00:00:00:00:01" //nolint:staticcheck // as in the code under test
				c.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"front": front}}
				c.Later = two[1:]
			},
		},
		{
			name: "links, and what newer engines know of networks",
			spec: containers.Spec{Links: []string{"c:alias"}, Networks: []containers.Attachment{{
				Network: "n", LinkLocal: []string{"169.254.1.1"}, GatewayPriority: 2, Interface: "eth9", Options: map[string]string{"o": "1"}}}},
			want: func(c *Creation) {
				c.Host.NetworkMode, c.Host.Links = "n", []string{"c:alias"}
				c.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"n": {
					Links: []string{"c:alias"}, GwPriority: 2, IPAMConfig: &network.EndpointIPAMConfig{LinkLocalIPs: []string{"169.254.1.1"}},
					DriverOpts: map[string]string{"o": "1", "com.docker.network.endpoint.ifname": "eth9"},
				}}}
			},
		},
		{
			name: "network mode",
			spec: containers.Spec{NetworkMode: "container:x"},
			want: func(c *Creation) { c.Host.NetworkMode = "container:x" },
		},
		{
			name: "mounts",
			spec: containers.Spec{Mounts: []containers.Mount{
				{Kind: containers.MountVolume, Source: "v", Target: "/v", ReadOnly: true, NoCopy: true, Subpath: "s"},
				{Kind: containers.MountVolume, Target: "/anonymous"},
				{Kind: containers.MountBind, Source: "/h", Target: "/b", CreateHostPath: true, Propagation: "rslave"},
				{Kind: containers.MountBind, Source: "/h", Target: "/z", SELinux: "z", ReadOnly: true},
				{Kind: containers.MountTmpfs, Target: "/t", TmpfsSize: 5, TmpfsMode: 0o700},
				{Kind: containers.MountVolume, Source: "plain", Target: "/p", ReadOnly: true},
				{Kind: containers.MountBind, Source: "/made", Target: "/m", CreateHostPath: true},
				{Kind: containers.MountBind, Source: "/h", Target: "/r", Recursive: "readonly", ReadOnly: true},
				{Kind: containers.MountImage, Source: "i", Target: "/i", Subpath: "s"},
			}, Tmpfs: map[string]string{"/s": "size=1m"}, VolumesFrom: []string{"other:ro"}},
			want: func(c *Creation) {
				c.Host.Mounts = []mount.Mount{
					{Type: "volume", Source: "v", Target: "/v", ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true, Subpath: "s"}},
					{Type: "volume", Target: "/anonymous", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "bind", Source: "/h", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: "rslave"}},
					{Type: "tmpfs", Target: "/t", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 5, Mode: 0o700}},
				}
				c.Host.Mounts = append(c.Host.Mounts,
					mount.Mount{Type: "bind", Source: "/h", Target: "/r", ReadOnly: true, BindOptions: &mount.BindOptions{ReadOnlyForceRecursive: true}},
					mount.Mount{Type: "image", Source: "i", Target: "/i", ImageOptions: &mount.ImageOptions{Subpath: "s"}})
				c.Host.Binds = []string{"/h:/z:ro,z", "plain:/p:ro", "/made:/m:rw"}
				c.Host.Tmpfs, c.Host.VolumesFrom = map[string]string{"/s": "size=1m"}, []string{"other:ro"}
			},
		},
		{
			name: "a bind that makes its source on an old engine", api: "1.41",
			spec: containers.Spec{Mounts: []containers.Mount{{Kind: containers.MountBind, Source: "/h", Target: "/b", CreateHostPath: true}}},
			want: func(c *Creation) { c.Host.Binds = []string{"/h:/b:rw"} },
		},
		{
			name: "ports",
			spec: containers.Spec{
				Ports:  []containers.Port{{HostIP: "127.0.0.1", Host: "8000-8010", Container: 80}, {Container: 53, Protocol: "udp"}},
				Expose: []string{"90", "91-92/udp"},
			},
			want: func(c *Creation) {
				c.Config.ExposedPorts = nat.PortSet{"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/udp": {}, "92/udp": {}}
				c.Host.PortBindings = nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8000-8010"}}, "53/udp": {{}}}
			},
		},
		{
			name: "health",
			spec: containers.Spec{Health: &containers.Healthcheck{Test: []string{"CMD", "x"}, Interval: 1, Timeout: 2, StartPeriod: 3, StartInterval: 4, Retries: 5}},
			want: func(c *Creation) {
				c.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "x"}, Interval: 1, Timeout: 2, StartPeriod: 3, StartInterval: 4, Retries: 5}
			},
		},
		{
			name: "health on an old engine", api: "1.43",
			spec: containers.Spec{Health: &containers.Healthcheck{Test: []string{"NONE"}, StartInterval: 4}},
			want: func(c *Creation) { c.Config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}} },
		},
		{
			name: "limits and devices",
			spec: containers.Spec{
				Resources: containers.Resources{
					NanoCPUs: 1, Memory: 2, MemorySwap: -1, PidsLimit: 3, OomKillDisable: true, OomScoreAdj: 4, ShmSize: 5,
					GPUs:           []containers.GPU{{Count: -1}, {Driver: "cdi", IDs: []string{"v/c=n"}}},
					BlkioWriteIOps: []containers.DeviceRate{{Path: "/dev/a", Rate: 30}}, BlkioWeightDevice: []containers.DeviceRate{{Path: "/dev/b", Rate: 400}},
				},
				DeviceRules: []string{"c 1:3 mr"}, SystemPaths: true,
				Devices: []containers.Device{{Source: "/dev/a"}, {Source: "/dev/a", Target: "/dev/b", Permissions: "r"}},
				Ulimits: []containers.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			},
			want: func(c *Creation) {
				c.Host.NanoCPUs, c.Host.Memory, c.Host.MemorySwap = 1, 2, -1
				c.Host.PidsLimit, c.Host.OomKillDisable, c.Host.OomScoreAdj, c.Host.ShmSize = ptr(int64(3)), ptr(true), 4, 5
				c.Host.DeviceRequests = []container.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}, {Driver: "cdi", DeviceIDs: []string{"v/c=n"}}}
				c.Host.BlkioDeviceWriteIOps = []*blkiodev.ThrottleDevice{{Path: "/dev/a", Rate: 30}}
				c.Host.BlkioWeightDevice = []*blkiodev.WeightDevice{{Path: "/dev/b", Weight: 400}}
				c.Host.DeviceCgroupRules, c.Host.MaskedPaths, c.Host.ReadonlyPaths = []string{"c 1:3 mr"}, []string{}, []string{}
				c.Host.Devices = []container.DeviceMapping{
					{PathOnHost: "/dev/a", PathInContainer: "/dev/a", CgroupPermissions: "rwm"},
					{PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "r"},
				}
				c.Host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}
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
			want: func(c *Creation) {
				c.Host.RestartPolicy = container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 2}
				c.Host.Init, c.Host.ReadonlyRootfs, c.Host.Privileged = ptr(true), true, true
				c.Host.CapAdd, c.Host.CapDrop, c.Host.SecurityOpt, c.Host.GroupAdd = []string{"A"}, []string{"B"}, []string{"C"}, []string{"D"}
				c.Host.DNS, c.Host.DNSSearch, c.Host.DNSOptions, c.Host.ExtraHosts = []string{"1.1.1.1"}, []string{"e"}, []string{"f"}, []string{"h:1.2.3.4"}
				c.Host.Sysctls, c.Host.IpcMode, c.Host.PidMode, c.Host.UTSMode, c.Host.UsernsMode = map[string]string{"s": "1"}, "host", "host", "host", "host"
				c.Host.CgroupnsMode, c.Host.Runtime = "private", "r"
				c.Host.LogConfig = container.LogConfig{Type: "l", Config: map[string]string{"o": "p"}}
				c.Host.Annotations = map[string]string{"n": "m"}
				c.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.api == "" {
				test.api = "1.51"
			}
			test.spec.Name, test.spec.Image = "n", "i"
			want := Creation{
				Config: &container.Config{Image: "i", AttachStdout: true, AttachStderr: true, Labels: map[string]string{containers.LabelSpec: test.spec.Hash()}},
				Host:   &container.HostConfig{},
			}
			if test.want != nil {
				test.want(&want)
			}
			got, err := Spec(test.spec, test.api)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecRefuses(t *testing.T) {
	for name, spec := range map[string]containers.Spec{
		"platform":                      {Platform: "linux//v7"},
		"network mode beside a network": {NetworkMode: "host", Networks: []containers.Attachment{{Network: "n"}}},
		"kind of mount":                 {Mounts: []containers.Mount{{Kind: "nfs", Target: "/x"}}},
		"image mount on an old engine":  {Mounts: []containers.Mount{{Kind: containers.MountImage, Source: "i", Target: "/x"}}},
		"recursion on an old engine":    {Mounts: []containers.Mount{{Kind: containers.MountBind, Source: "/b", Target: "/x", Recursive: "readonly"}}},
		"subpath on an old engine":      {Mounts: []containers.Mount{{Kind: containers.MountVolume, Source: "v", Target: "/x", Subpath: "s"}}},
		"colon in an old bind":          {Mounts: []containers.Mount{{Kind: containers.MountBind, Source: "/a:b", Target: "/x", CreateHostPath: true}}},
		"port":                          {Expose: []string{"http"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Spec(spec, "1.41"); !errors.Is(err, containers.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestSpecLeavesTheSpecAlone(t *testing.T) {
	spec := containers.Spec{Labels: map[string]string{"a": "b"}}
	if _, err := Spec(spec, "1.41"); err != nil || len(spec.Labels) != 1 {
		t.Errorf("labels of the spec afterwards: %v (error %v)", spec.Labels, err)
	}
}
