// Package translate says in Docker's terms what a spec wants, and in the
// contract's what Docker tells. It asks no engine.
package translate

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// The API versions from which on an engine can do something.
// Source: Docker's API version history.
const (
	apiCreateMountpoint = "1.42"
	apiManyNetworks     = "1.44" // also health start interval and MAC address per network
	apiAnnotations      = "1.43"
	apiVolumeSubpath    = "1.45"
	apiNoIPv4           = "1.47"
	apiImageMounts      = "1.48" // also gateway priorities
	apiInterfaceName    = "1.49"

	// interfaceName is the option that engines take an interface's name from.
	interfaceName = "com.docker.network.endpoint.ifname"
)

// Creation is a Spec in the engine's own terms.
type Creation struct {
	Config     *container.Config
	Host       *container.HostConfig
	Networking *network.NetworkingConfig
	Platform   *ocispec.Platform
	// Later are networks that the engine cannot take at creation: they are
	// connected between creation and start.
	Later []containers.Attachment
	// Files are copied in between creation and start.
	Files []containers.File
}

// Spec translates spec for an engine that speaks the given API version.
// Its error is ErrInvalid.
func Spec(spec containers.Spec, api string) (Creation, error) {
	var c Creation
	var err error
	if c.Platform, err = Platform(spec.Platform); err != nil {
		return c, err
	}
	c.Config = toConfig(spec, api)
	c.Host = toHost(spec)
	mounts := slices.Clip(spec.Mounts)
	for _, file := range spec.Files {
		if spec.ReadOnly && file.Source != "" {
			mounts = append(mounts, containers.Mount{Kind: containers.MountBind, Source: file.Source, Target: file.Path, ReadOnly: true})
		} else {
			c.Files = append(c.Files, file)
		}
	}
	if c.Host.Mounts, c.Host.Binds, err = toMounts(mounts, api); err != nil {
		return c, err
	}
	c.Config.ExposedPorts, c.Host.PortBindings, err = toPorts(spec.Ports, spec.Expose)
	if err != nil {
		return c, err
	}
	if len(spec.Networks) > 0 && spec.NetworkMode != "" {
		return c, failure.Invalid("container %s: network mode %q and networks exclude each other", spec.Name, spec.NetworkMode)
	}
	c.Host.NetworkMode = container.NetworkMode(spec.NetworkMode)
	if len(spec.Networks) == 0 {
		return c, nil
	}
	now := spec.Networks
	if versions.LessThan(api, apiManyNetworks) {
		now, c.Later = spec.Networks[:1], spec.Networks[1:]
	}
	c.Host.NetworkMode = container.NetworkMode(now[0].Network)
	c.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	for _, attachment := range now {
		c.Networking.EndpointsConfig[attachment.Network] = Attachment(attachment, spec.Links, api)
	}
	return c, nil
}

func toConfig(spec containers.Spec, api string) *container.Config {
	labels := maps.Clone(spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if labels[containers.LabelSpec] == "" {
		labels[containers.LabelSpec] = spec.Hash()
	}
	config := &container.Config{
		// As Docker Compose has it; it is for clients that attach before the start.
		AttachStdout: true, AttachStderr: true,
		Hostname:    spec.Hostname,
		Domainname:  spec.Domainname,
		User:        spec.User,
		Tty:         spec.TTY,
		OpenStdin:   spec.OpenStdin,
		Env:         spec.Env,
		Cmd:         spec.Command,
		Entrypoint:  spec.Entrypoint,
		Image:       spec.Image,
		WorkingDir:  spec.WorkingDir,
		Labels:      labels,
		StopSignal:  spec.StopSignal,
		Healthcheck: toHealth(spec.Health, api),
	}
	if spec.StopGrace > 0 {
		// Engines count the grace in whole seconds: rounded up, never cut short.
		grace := int((spec.StopGrace + time.Second - 1) / time.Second)
		config.StopTimeout = &grace
	}
	if len(spec.Networks) > 0 && versions.LessThan(api, apiManyNetworks) {
		config.MacAddress = spec.Networks[0].MAC //nolint:staticcheck // the only way before API 1.44
	}
	return config
}

func toHealth(check *containers.Healthcheck, api string) *container.HealthConfig {
	if check == nil {
		return nil
	}
	health := &container.HealthConfig{
		Test:        check.Test,
		Interval:    check.Interval,
		Timeout:     check.Timeout,
		StartPeriod: check.StartPeriod,
		Retries:     check.Retries,
	}
	// An older engine checks at Interval from the start; Stagehand's own
	// clock runs the same test sooner.
	if versions.GreaterThanOrEqualTo(api, apiManyNetworks) {
		health.StartInterval = check.StartInterval
	}
	return health
}

func toHost(spec containers.Spec) *container.HostConfig {
	host := &container.HostConfig{
		LogConfig: container.LogConfig{Type: spec.Log.Driver, Config: spec.Log.Options},
		RestartPolicy: container.RestartPolicy{
			Name:              container.RestartPolicyMode(spec.Restart.Policy),
			MaximumRetryCount: spec.Restart.Retries,
		},
		Annotations:    spec.Annotations,
		CapAdd:         spec.CapAdd,
		CapDrop:        spec.CapDrop,
		CgroupnsMode:   container.CgroupnsMode(spec.CgroupNS),
		DNS:            spec.DNS,
		DNSOptions:     spec.DNSOptions,
		DNSSearch:      spec.DNSSearch,
		ExtraHosts:     spec.ExtraHosts,
		GroupAdd:       spec.GroupAdd,
		IpcMode:        container.IpcMode(spec.IpcMode),
		PidMode:        container.PidMode(spec.PidMode),
		Privileged:     spec.Privileged,
		ReadonlyRootfs: spec.ReadOnly,
		SecurityOpt:    spec.SecurityOpt,
		UTSMode:        container.UTSMode(spec.UTSMode),
		UsernsMode:     container.UsernsMode(spec.UsernsMode),
		Sysctls:        spec.Sysctls,
		Runtime:        spec.Runtime,
		Init:           spec.Init,
		OomScoreAdj:    spec.Resources.OomScoreAdj,
		ShmSize:        spec.Resources.ShmSize,
		Links:          spec.Links,
		VolumesFrom:    spec.VolumesFrom,
		Tmpfs:          spec.Tmpfs,
		StorageOpt:     spec.StorageOpt,
		Isolation:      container.Isolation(spec.Isolation),
	}
	if spec.SystemPaths {
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	host.Resources = toResources(spec)
	return host
}

func toResources(spec containers.Spec) container.Resources {
	limits := spec.Resources
	resources := container.Resources{
		NanoCPUs:          limits.NanoCPUs,
		CPUShares:         limits.CPUShares,
		CpusetCpus:        limits.CPUSet,
		CPUPeriod:         limits.CPUPeriod,
		CPUQuota:          limits.CPUQuota,
		Memory:            limits.Memory,
		MemoryReservation: limits.MemoryReservation,
		MemorySwap:        limits.MemorySwap,
		MemorySwappiness:  limits.MemorySwappiness,
		BlkioWeight:       limits.BlkioWeight,
		CgroupParent:      limits.CgroupParent,

		CPURealtimePeriod: limits.CPURealtimePeriod, CPURealtimeRuntime: limits.CPURealtimeRuntime,
		CPUCount: limits.CPUCount, CPUPercent: limits.CPUPercent, DeviceCgroupRules: spec.DeviceRules,
		BlkioDeviceReadBps: toRates(limits.BlkioReadBps), BlkioDeviceWriteBps: toRates(limits.BlkioWriteBps),
		BlkioDeviceReadIOps: toRates(limits.BlkioReadIOps), BlkioDeviceWriteIOps: toRates(limits.BlkioWriteIOps),
	}
	for _, d := range limits.BlkioWeightDevice {
		resources.BlkioWeightDevice = append(resources.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: uint16(min(d.Rate, math.MaxUint16))})
	}
	if limits.PidsLimit != 0 {
		resources.PidsLimit = &limits.PidsLimit
	}
	if limits.OomKillDisable {
		resources.OomKillDisable = &limits.OomKillDisable
	}
	for _, device := range spec.Devices {
		permissions := device.Permissions
		if permissions == "" {
			permissions = "rwm"
		}
		target := device.Target
		if target == "" {
			target = device.Source
		}
		resources.Devices = append(resources.Devices, container.DeviceMapping{
			PathOnHost: device.Source, PathInContainer: target, CgroupPermissions: permissions,
		})
	}
	for _, limit := range spec.Ulimits {
		resources.Ulimits = append(resources.Ulimits, &container.Ulimit{Name: limit.Name, Soft: limit.Soft, Hard: limit.Hard})
	}
	for _, gpu := range limits.GPUs {
		request := container.DeviceRequest{Driver: gpu.Driver, Count: gpu.Count, DeviceIDs: gpu.IDs, Options: gpu.Options}
		switch {
		case len(gpu.Capabilities) > 0:
			request.Capabilities = [][]string{gpu.Capabilities}
		case gpu.Driver != "cdi":
			request.Capabilities = [][]string{{"gpu"}}
		}
		resources.DeviceRequests = append(resources.DeviceRequests, request)
	}
	return resources
}

func toRates(devices []containers.DeviceRate) []*blkiodev.ThrottleDevice {
	var out []*blkiodev.ThrottleDevice
	for _, d := range devices {
		out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: d.Rate})
	}
	return out
}

// toMounts splits the mounts into the structured form and the older
// "SOURCE:TARGET:OPTIONS" text, which alone knows SELinux labels and, before
// API 1.42, how to make a missing source.
func toMounts(specs []containers.Mount, api string) (mounts []mount.Mount, binds []string, err error) {
	for _, m := range specs {
		switch m.Kind {
		case containers.MountVolume:
			if m.Subpath != "" && versions.LessThan(api, apiVolumeSubpath) {
				return nil, nil, failure.Invalid("mount %s: a subpath of a volume needs an engine with API %s (Docker 26) or newer, this one has %s", m.Target, apiVolumeSubpath, api)
			}
			// As Docker Compose has it: as a bind's text unless that cannot say it.
			if m.Source != "" && !m.NoCopy && m.Subpath == "" && len(m.Labels) == 0 && !strings.Contains(m.Target, ":") {
				text, err := bindText(m)
				if err != nil {
					return nil, nil, err
				}
				binds = append(binds, text)
				continue
			}
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeVolume, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Consistency: mount.Consistency(m.Consistency),
				VolumeOptions: &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.Subpath, Labels: m.Labels},
			})
		case containers.MountBind:
			if bindAsText(m, api) {
				text, err := bindText(m)
				if err != nil {
					return nil, nil, err
				}
				binds = append(binds, text)
				continue
			}
			options := &mount.BindOptions{Propagation: mount.Propagation(m.Propagation), CreateMountpoint: m.CreateHostPath}
			switch m.Recursive {
			case "disabled":
				options.NonRecursive = true
			case "writable":
				options.ReadOnlyNonRecursive = true
			case "readonly":
				options.ReadOnlyForceRecursive = true
			}
			if (options.ReadOnlyNonRecursive || options.ReadOnlyForceRecursive) && versions.LessThan(api, apiManyNetworks) {
				return nil, nil, failure.Invalid("mount %s: recursive %s needs an engine with API %s (Docker 25) or newer, this one has %s", m.Target, m.Recursive, apiManyNetworks, api)
			}
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Consistency: mount.Consistency(m.Consistency),
				BindOptions: options,
			})
		case containers.MountImage:
			if versions.LessThan(api, apiImageMounts) {
				return nil, nil, failure.Invalid("mount %s: mounting an image needs an engine with API %s (Docker 28) or newer, this one has %s", m.Target, apiImageMounts, api)
			}
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeImage, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Consistency: mount.Consistency(m.Consistency),
				ImageOptions: &mount.ImageOptions{Subpath: m.Subpath},
			})
		case containers.MountTmpfs:
			mounts = append(mounts, mount.Mount{
				Type: mount.TypeTmpfs, Target: m.Target, ReadOnly: m.ReadOnly, Consistency: mount.Consistency(m.Consistency),
				TmpfsOptions: &mount.TmpfsOptions{SizeBytes: m.TmpfsSize, Mode: os.FileMode(m.TmpfsMode)},
			})
		default:
			return nil, nil, failure.Invalid("mount %s: unknown kind %q", m.Target, m.Kind)
		}
	}
	return mounts, binds, nil
}

// bindAsText tells whether a bind is said as SOURCE:TARGET:OPTIONS. Docker
// Compose does so unless it has to say more; before API 1.42 nothing else makes
// a missing folder, and SELinux's labels have no other word.
func bindAsText(m containers.Mount, api string) bool {
	switch {
	case m.SELinux != "":
		return true
	case m.Recursive != "" || m.Consistency != "":
		return false
	case m.CreateHostPath && versions.LessThan(api, apiCreateMountpoint):
		return true
	}
	return m.CreateHostPath && m.Propagation == "" && !strings.Contains(m.Source+m.Target, ":")
}

func bindText(m containers.Mount) (string, error) {
	if strings.Contains(m.Source, ":") || strings.Contains(m.Target, ":") {
		return "", failure.Invalid("mount %s: this engine cannot bind a path with a colon (%s)", m.Target, m.Source)
	}
	options := []string{"rw"}
	if m.ReadOnly {
		options[0] = "ro"
	}
	if m.SELinux != "" {
		options = append(options, m.SELinux)
	}
	if m.Propagation != "" {
		options = append(options, m.Propagation)
	}
	return m.Source + ":" + m.Target + ":" + strings.Join(options, ","), nil
}

func toPorts(published []containers.Port, expose []string) (nat.PortSet, nat.PortMap, error) {
	if len(published)+len(expose) == 0 {
		return nil, nil, nil
	}
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, port := range published {
		protocol := port.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		key := nat.Port(fmt.Sprintf("%d/%s", port.Container, protocol))
		exposed[key] = struct{}{}
		bindings[key] = append(bindings[key], nat.PortBinding{HostIP: port.HostIP, HostPort: port.Host})
	}
	for _, text := range expose {
		protocol, number := nat.SplitProtoPort(text)
		first, last, err := nat.ParsePortRangeToInt(number)
		if err != nil || number == "" {
			return nil, nil, failure.Invalid("port %q: want PORT or PORT/PROTOCOL", text)
		}
		for port := first; port <= last; port++ {
			exposed[nat.Port(fmt.Sprintf("%d/%s", port, protocol))] = struct{}{}
		}
	}
	return exposed, bindings, nil
}

// Attachment translates one attachment for an engine that speaks the given API version.
func Attachment(a containers.Attachment, links []string, api string) *network.EndpointSettings {
	settings := &network.EndpointSettings{
		Aliases: slices.Clone(a.Aliases), Links: slices.Clone(links), DriverOpts: a.Options, GwPriority: a.GatewayPriority,
	}
	if a.Interface != "" {
		settings.DriverOpts = maps.Clone(a.Options)
		if settings.DriverOpts == nil {
			settings.DriverOpts = map[string]string{}
		}
		settings.DriverOpts[interfaceName] = a.Interface
	}
	if a.IPv4 != "" || a.IPv6 != "" || len(a.LinkLocal) > 0 {
		settings.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: a.IPv4, IPv6Address: a.IPv6, LinkLocalIPs: a.LinkLocal}
	}
	if versions.GreaterThanOrEqualTo(api, apiManyNetworks) {
		settings.MacAddress = a.MAC
	}
	return settings
}

// Platform reads os[/arch[/variant]]; nil for an empty text.
func Platform(text string) (*ocispec.Platform, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return nil, failure.Invalid("platform %q: want os[/arch[/variant]], such as linux/arm64", text)
	}
	parts = append(parts, "", "")
	return &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}, nil
}

// Network translates a network that is to be made.
func Network(n containers.Network) network.CreateOptions {
	options := network.CreateOptions{
		Driver: n.Driver, Options: n.Options, Internal: n.Internal, Attachable: n.Attachable, Labels: n.Labels,
	}
	if n.EnableIPv6 {
		options.EnableIPv6 = &n.EnableIPv6
	}
	if n.NoIPv4 {
		options.EnableIPv4 = new(bool)
	}
	if len(n.IPAM) > 0 || n.IPAMDriver != "" || len(n.IPAMOptions) > 0 {
		options.IPAM = &network.IPAM{Driver: n.IPAMDriver, Options: n.IPAMOptions}
	}
	for _, subnet := range n.IPAM {
		options.IPAM.Config = append(options.IPAM.Config, network.IPAMConfig{
			Subnet: subnet.Subnet, IPRange: subnet.IPRange, Gateway: subnet.Gateway, AuxAddress: subnet.Aux,
		})
	}
	return options
}
