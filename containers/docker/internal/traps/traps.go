// Package traps knows what goes wrong with engines that are set up in certain ways.
package traps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"

	"github.com/stagehand-dev/stagehand/containers"
)

// Engine is what is known of an engine.
type Engine struct {
	Podman bool
	Info   system.Info
	// Scheme is that of its address: unix, tcp, ssh, npipe. Socket is the path, of unix.
	Scheme, Socket string
	// Lingers tells that the user's processes outlive the user's sessions.
	Lingers bool
	// Networks is how many there are, those of other tools included.
	Networks int
	// Pinned is DOCKER_API_VERSION.
	Pinned string
}

// poolSize is how many networks Docker has addresses for where nobody gave it others: 15 of
// 172.17.0.0/16 to 172.31.0.0/16, 16 of 192.168.0.0/16. Source: Docker's libnetwork, ipamutils.
const poolSize = 31

// Of returns the traps of the engine.
func Of(e Engine) []containers.Trap {
	var found []containers.Trap
	add := func(is bool, mend, format string, args ...any) {
		if is {
			found = append(found, containers.Trap{Text: fmt.Sprintf(format, args...), Mend: mend})
		}
	}
	info := e.Info
	has := func(option string) bool {
		return slices.ContainsFunc(info.SecurityOptions, func(o string) bool { return o == option || strings.HasPrefix(o, option+",") })
	}
	rootless := has("name=rootless")
	desktop := strings.HasPrefix(info.OperatingSystem, "Docker Desktop")

	add(info.OSType != "" && info.OSType != "linux", "switch the engine to Linux containers",
		"its containers are of %s: stagehand makes Linux containers", info.OSType)
	add(info.Driver == "vfs", "use the storage driver overlay2 (fuse-overlayfs where that cannot be)",
		"the storage driver vfs copies the whole image for each container: that is slow, and fills the disk")
	add(info.Driver == "devicemapper" || info.Driver == "aufs", "use the storage driver overlay2",
		"the storage driver %s is no longer maintained, and newer engines do not start with it", info.Driver)
	add(info.LoggingDriver == "none", `set "log-driver" to json-file or local in the engine's configuration, or logging: of the services`,
		"the engine keeps nothing of what containers print: there are no logs, and conditions of the kind log never hold")
	add(info.CgroupDriver == "none", "boot with cgroup v2, and delegate controllers to the user (systemd: Delegate=yes)",
		"limits of memory, processors and processes are ignored, as the engine may not use cgroups")
	add(strings.HasPrefix(info.DockerRootDir, "/var/snap/"), "install Docker from its own packages, or keep stack files below your home folder",
		"Docker came as a snap: it sees no files outside of home folders, and folders that are mounted from elsewhere are empty")
	add(has("name=selinux"), "put :z (shared) or :Z (of one container) behind the mount, or keep data in volumes",
		"SELinux keeps containers from reading folders that are mounted from this machine")
	add(has("name=userns"), "give the folder to the mapped user, or keep data in volumes",
		"users of containers are mapped to others (userns-remap): files in folders that are mounted belong to nobody there")
	add(rootless, "publish ports from 1024 on, or set net.ipv4.ip_unprivileged_port_start",
		"the engine runs without root: it cannot publish ports below 1024")
	add((rootless || e.Podman && strings.HasPrefix(e.Socket, "/run/user/")) && !e.Lingers, "loginctl enable-linger",
		"the engine belongs to a user whose processes end with the last session: containers are killed at log-out")
	add(e.Scheme == "tcp" || e.Scheme == "ssh", "keep data in volumes, or the folders on that machine too",
		"the engine is on another machine: folders that are mounted are that machine's, and published ports are opened there")
	add(desktop, "keep data in volumes",
		"the engine is in a virtual machine: folders that are mounted from this machine are slow, and only those that are shared can be")
	add(len(info.DefaultAddressPools) == 0 && !e.Podman && e.Networks >= poolSize-4, `stagehand gc and docker network prune remove what nobody needs; "default-address-pools" of the engine's configuration gives it more`,
		"there are %d networks, and the engine has addresses for about %d: soon no network can be made", e.Networks, poolSize)
	add(e.Pinned != "", "unset DOCKER_API_VERSION", "DOCKER_API_VERSION=%s keeps stagehand from what newer engines can do", e.Pinned)
	for _, warning := range info.Warnings {
		text := strings.TrimPrefix(strings.TrimSpace(warning), "WARNING: ")
		mend := "see the engine's documentation"
		switch {
		case strings.Contains(text, "IPv4 forwarding"):
			mend = "sysctl -w net.ipv4.ip_forward=1"
		case strings.HasPrefix(text, "bridge-nf-call"):
			mend = "modprobe br_netfilter"
		case strings.Contains(text, "imit support"), strings.Contains(text, "cpu"):
			mend = "enable that controller in the kernel (cgroup_enable=memory swapaccount=1)"
		}
		add(text != "", mend, "the engine warns: %s", text)
	}
	return found
}
