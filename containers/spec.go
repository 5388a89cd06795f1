// Package containers says what a container step is and what an engine must be
// able to do. It knows no engine: types of Docker, Podman, Swarm or Kubernetes
// stay inside the folder of the engine that needs them.
package containers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Spec is everything an engine needs to make one container. It is pure data
// and engine-neutral; each engine converts it. A zero field means "the image's
// own value" where the image has one, otherwise "the engine's default".
type Spec struct {
	// Name is the container's name on its engine: see Name.
	Name  string `json:"name"`
	Image string `json:"image"`
	Pull  Pull   `json:"pull,omitempty"`
	// Build makes the image where there is none; nil for images that come from elsewhere.
	Build *Build `json:"build,omitempty"`
	// Platform is os[/arch[/variant]]; empty means the engine's own.
	Platform string `json:"platform,omitempty"`

	// Entrypoint and Command: nil keeps the image's, an empty non-nil slice
	// clears it. An Entrypoint of at least one word takes the image's command
	// away with its entrypoint, as Docker and Compose do: with Command nil it then
	// runs without arguments.
	Entrypoint []string `json:"entrypoint"`
	Command    []string `json:"command"`
	// Env holds KEY=VALUE, sorted by key. KEY alone takes the image's away.
	Env        []string `json:"env,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	User       string   `json:"user,omitempty"`
	Hostname   string   `json:"hostname,omitempty"`
	Domainname string   `json:"domainname,omitempty"`
	TTY        bool     `json:"tty,omitempty"`
	OpenStdin  bool     `json:"open_stdin,omitempty"`

	Mounts []Mount `json:"mounts,omitempty"`
	// Tmpfs are memory file systems by their paths, with options as of mount(8),
	// "size=64m,noexec" or none. A Mount of MountTmpfs is the same with two options only.
	Tmpfs map[string]string `json:"tmpfs,omitempty"`
	// VolumesFrom names containers, CONTAINER[:ro], whose mounts are mounted here too.
	VolumesFrom []string `json:"volumes_from,omitempty"`
	// Files are copied in after the container was created and before it starts.
	Files []File `json:"files,omitempty"`

	// Networks to attach to, the first one first. Empty with an empty
	// NetworkMode means no network at all is asked for: the engine's default.
	Networks []Attachment `json:"networks,omitempty"`
	// NetworkMode is "none", "host", "bridge", "container:NAME" or empty.
	NetworkMode string `json:"network_mode,omitempty"`
	// Links, CONTAINER:ALIAS, are further names of other containers on each network.
	Links []string `json:"links,omitempty"`
	Ports []Port   `json:"ports,omitempty"`
	// Expose lists further ports (PORT[/PROTOCOL]) that are not published.
	Expose []string `json:"expose,omitempty"`

	Health  *Healthcheck `json:"health,omitempty"`
	Restart Restart      `json:"restart"`
	// StopSignal is a name such as SIGINT; empty means the image's, then SIGTERM.
	StopSignal string `json:"stop_signal,omitempty"`
	// StopGrace is the time between the stop signal and SIGKILL; 0 means DefaultGrace.
	StopGrace time.Duration `json:"stop_grace,omitempty"`

	// PreStart are containers that do one job each, one after another, before this one is
	// started, which stands by then: they may mount what it mounts. They have no labels but the file's.
	PreStart []Spec `json:"pre_start,omitempty"`
	// PostStart run inside the container once it has been started, PreStop before it is
	// stopped, one after another. The engine knows nothing of them: the runner runs them.
	PostStart []Hook `json:"post_start,omitempty"`
	PreStop   []Hook `json:"pre_stop,omitempty"`

	Init        *bool    `json:"init,omitempty"`
	ReadOnly    bool     `json:"read_only,omitempty"`
	Privileged  bool     `json:"privileged,omitempty"`
	CapAdd      []string `json:"cap_add,omitempty"`
	CapDrop     []string `json:"cap_drop,omitempty"`
	SecurityOpt []string `json:"security_opt,omitempty"`
	// SystemPaths shows what engines hide of /proc and /sys.
	SystemPaths bool              `json:"system_paths,omitempty"`
	GroupAdd    []string          `json:"group_add,omitempty"`
	DNS         []string          `json:"dns,omitempty"`
	DNSSearch   []string          `json:"dns_search,omitempty"`
	DNSOptions  []string          `json:"dns_options,omitempty"`
	ExtraHosts  []string          `json:"extra_hosts,omitempty"` // HOST:IP
	Devices     []Device          `json:"devices,omitempty"`
	DeviceRules []string          `json:"device_rules,omitempty"` // as of the devices control group
	StorageOpt  map[string]string `json:"storage_opt,omitempty"`
	Isolation   string            `json:"isolation,omitempty"`
	Sysctls     map[string]string `json:"sysctls,omitempty"`
	Ulimits     []Ulimit          `json:"ulimits,omitempty"`
	IpcMode     string            `json:"ipc,omitempty"`
	PidMode     string            `json:"pid,omitempty"`
	UTSMode     string            `json:"uts,omitempty"`
	UsernsMode  string            `json:"userns,omitempty"`
	CgroupNS    string            `json:"cgroup,omitempty"`
	Runtime     string            `json:"runtime,omitempty"`
	Resources   Resources         `json:"resources"`
	Log         Log               `json:"log"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// Labels the container carries, Compose's and ours: see labels.go.
	Labels map[string]string `json:"labels,omitempty"`
	// NewerHash is LabelConfigHash as docker compose v5 writes it, where that is another one.
	NewerHash string `json:"-"`
}

// DefaultGrace is the time between a stop signal and SIGKILL where the stack
// file names none. Source: the Compose specification, stop_grace_period.
const DefaultGrace = 10 * time.Second

// Hook is a command that runs inside a container.
type Hook struct {
	Command    []string `json:"command"`
	User       string   `json:"user,omitempty"` // empty: the container's
	Privileged bool     `json:"privileged,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"` // empty: the container's
	Env        []string `json:"env,omitempty"`         // KEY=VALUE, beside the container's
}

// Grace returns StopGrace, or DefaultGrace where none is set.
func (s Spec) Grace() time.Duration {
	if s.StopGrace > 0 {
		return s.StopGrace
	}
	return DefaultGrace
}

// Hash identifies what the container does: every field but the labels and
// how the image is come by, as 64 hexadecimal digits. Two specs with one hash are the
// same work, so a recorded outcome of one holds for the other.
func (s Spec) Hash() string {
	s.Labels, s.Pull, s.Build = nil, "", nil
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("containers: a spec of plain data does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Pull says when an image is fetched from its registry.
type Pull string

// The pull policies of the Compose specification that need no clock.
const (
	PullMissing Pull = "missing" // also the meaning of ""
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
	PullBuild   Pull = "build" // build it, even if it is there
)

// MountKind is the kind of a mount.
type MountKind string

// The kinds of mounts.
const (
	MountVolume MountKind = "volume"
	MountBind   MountKind = "bind"
	MountTmpfs  MountKind = "tmpfs"
	MountImage  MountKind = "image"
)

// Mount puts a volume, a path of the engine's host, an image's files or a
// memory file system at Target.
type Mount struct {
	Kind MountKind `json:"kind"`
	// Source is the volume's name on the engine (empty: an anonymous volume),
	// an image or, of a bind, an absolute path on the engine's host.
	Source   string `json:"source,omitempty"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`
	// Consistency is what Docker Desktop may do; other engines take it and do nothing.
	Consistency string `json:"consistency,omitempty"`
	// Subpath inside the volume or image.
	Subpath string `json:"subpath,omitempty"`
	// Labels of a volume that the mount makes.
	Labels map[string]string `json:"labels,omitempty"`
	// NoCopy keeps the image's files at Target from being copied into a new volume.
	NoCopy bool `json:"no_copy,omitempty"`
	// CreateHostPath makes a bind's missing source a new folder.
	CreateHostPath bool   `json:"create_host_path,omitempty"`
	Propagation    string `json:"propagation,omitempty"`
	// Recursive is what becomes of mounts below a bind's source: "" or enabled
	// (bound too, read-only if the kernel can), disabled, writable or readonly.
	Recursive string `json:"recursive,omitempty"`
	SELinux   string `json:"selinux,omitempty"` // z, Z or empty
	// TmpfsSize in bytes, 0 for no limit; TmpfsMode as in chmod.
	TmpfsSize int64  `json:"tmpfs_size,omitempty"`
	TmpfsMode uint32 `json:"tmpfs_mode,omitempty"`
}

// File is a file that is copied into a container before its start.
type File struct {
	// Path is absolute; missing folders are made.
	Path    string `json:"path"`
	Content []byte `json:"content"`
	Mode    uint32 `json:"mode"` // as in chmod
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	// Secret: the content must not be shown.
	Secret bool `json:"-"`
	// Source is where it stands on this host, if it does. It is mounted from there, as it is, into a
	// container that is ReadOnly, into which nothing can be copied.
	Source string `json:"-"`
}

// Attachment joins a container to a network.
type Attachment struct {
	Network string            `json:"network"` // its name on the engine
	Aliases []string          `json:"aliases,omitempty"`
	IPv4    string            `json:"ipv4,omitempty"`
	IPv6    string            `json:"ipv6,omitempty"`
	MAC     string            `json:"mac,omitempty"`
	Options map[string]string `json:"options,omitempty"`
	// LinkLocal are further addresses.
	LinkLocal []string `json:"link_local,omitempty"`
	// GatewayPriority: the network with the highest one has the default gateway.
	GatewayPriority int `json:"gateway_priority,omitempty"`
	// Interface is the network interface's name in the container.
	Interface string `json:"interface,omitempty"`
}

// Port publishes a container's port on the engine's host.
type Port struct {
	HostIP string `json:"host_ip,omitempty"`
	// Host is a port, a range "8000-8010" to choose from, or empty for any.
	Host      string `json:"host,omitempty"`
	Container uint16 `json:"container"`
	Protocol  string `json:"protocol"` // tcp, udp or sctp
}

// Healthcheck is the engine's own check of a container. Stagehand runs its
// Test by its own clock as well.
type Healthcheck struct {
	// Test begins with CMD, CMD-SHELL or NONE.
	Test          []string      `json:"test"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Restart is what the engine does when the container ends by itself.
type Restart struct {
	Policy  string `json:"policy,omitempty"` // "", no, always, on-failure, unless-stopped
	Retries int    `json:"retries,omitempty"`
}

// Device maps a device of the engine's host into the container.
type Device struct {
	Source      string `json:"source"`
	Target      string `json:"target"`
	Permissions string `json:"permissions,omitempty"` // of rwm
}

// Ulimit is a resource limit as in setrlimit.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Resources are limits and reservations; 0 means none.
type Resources struct {
	NanoCPUs          int64  `json:"nano_cpus,omitempty"` // 1e9 is one core
	CPUShares         int64  `json:"cpu_shares,omitempty"`
	CPUSet            string `json:"cpuset,omitempty"`
	CPUPeriod         int64  `json:"cpu_period,omitempty"` // microseconds
	CPUQuota          int64  `json:"cpu_quota,omitempty"`  // microseconds
	Memory            int64  `json:"memory,omitempty"`     // bytes
	MemoryReservation int64  `json:"memory_reservation,omitempty"`
	MemorySwap        int64  `json:"memory_swap,omitempty"` // memory and swap together; -1 unlimited
	MemorySwappiness  *int64 `json:"memory_swappiness,omitempty"`
	PidsLimit         int64  `json:"pids_limit,omitempty"`
	ShmSize           int64  `json:"shm_size,omitempty"`
	OomKillDisable    bool   `json:"oom_kill_disable,omitempty"`
	OomScoreAdj       int    `json:"oom_score_adj,omitempty"`
	BlkioWeight       uint16 `json:"blkio_weight,omitempty"`
	CgroupParent      string `json:"cgroup_parent,omitempty"`
	GPUs              []GPU  `json:"gpus,omitempty"`

	CPURealtimePeriod  int64 `json:"cpu_rt_period,omitempty"`  // microseconds
	CPURealtimeRuntime int64 `json:"cpu_rt_runtime,omitempty"` // microseconds
	// CPUCount and CPUPercent (100 is one whole) are Windows's.
	CPUCount   int64 `json:"cpu_count,omitempty"`
	CPUPercent int64 `json:"cpu_percent,omitempty"`

	BlkioWeightDevice []DeviceRate `json:"blkio_weight_device,omitempty"` // weights
	BlkioReadBps      []DeviceRate `json:"blkio_read_bps,omitempty"`      // bytes a second
	BlkioWriteBps     []DeviceRate `json:"blkio_write_bps,omitempty"`
	BlkioReadIOps     []DeviceRate `json:"blkio_read_iops,omitempty"` // operations a second
	BlkioWriteIOps    []DeviceRate `json:"blkio_write_iops,omitempty"`
}

// DeviceRate is a limit or a weight of one block device.
type DeviceRate struct {
	Path string `json:"path"`
	Rate uint64 `json:"rate"`
}

// GPU is a request for devices of one driver. Driver "cdi" asks for the
// devices named by IDs (VENDOR/CLASS=NAME).
type GPU struct {
	Driver       string            `json:"driver,omitempty"`
	Count        int               `json:"count,omitempty"` // -1 for all
	IDs          []string          `json:"ids,omitempty"`
	Capabilities []string          `json:"capabilities,omitempty"`
	Options      map[string]string `json:"options,omitempty"`
}

// Log is the engine's log driver and its options.
type Log struct {
	Driver  string            `json:"driver,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// Network is a network that a stack wants.
type Network struct {
	Name       string
	Driver     string
	Options    map[string]string
	Internal   bool
	Attachable bool
	EnableIPv6 bool
	NoIPv4     bool
	// IPAMDriver and IPAMOptions: who gives addresses; empty for the engine's own.
	IPAMDriver  string
	IPAMOptions map[string]string
	IPAM        []Subnet
	Labels      map[string]string
	// External networks are the user's: looked up, never made or removed.
	External bool
}

// Subnet is one address pool of a network.
type Subnet struct {
	Subnet, IPRange, Gateway string
	Aux                      map[string]string
}

// Volume is a volume that a stack wants.
type Volume struct {
	Name    string
	Driver  string
	Options map[string]string
	Labels  map[string]string
	// External volumes are the user's: looked up, never made or removed.
	External bool
}
