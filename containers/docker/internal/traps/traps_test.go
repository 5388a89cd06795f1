package traps

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"
)

func TestOf(t *testing.T) {
	plain := func() Engine {
		return Engine{Scheme: "unix", Socket: "/var/run/docker.sock", Networks: 5, Info: system.Info{
			OSType: "linux", Driver: "overlay2", LoggingDriver: "json-file", CgroupDriver: "systemd", DockerRootDir: "/var/lib/docker",
			OperatingSystem: "Debian GNU/Linux 12", SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"},
		}}
	}
	if found := Of(plain()); len(found) > 0 {
		t.Fatalf("a plain engine has traps: %+v", found)
	}
	for name, c := range map[string]struct {
		set  func(*Engine)
		want []string // a part of each trap's text, in order
	}{
		"windows":           {func(e *Engine) { e.Info.OSType = "windows" }, []string{"Linux containers"}},
		"vfs":               {func(e *Engine) { e.Info.Driver = "vfs" }, []string{"copies the whole image"}},
		"aufs":              {func(e *Engine) { e.Info.Driver = "aufs" }, []string{"aufs is no longer maintained"}},
		"no logs":           {func(e *Engine) { e.Info.LoggingDriver = "none" }, []string{"there are no logs"}},
		"no cgroups":        {func(e *Engine) { e.Info.CgroupDriver = "none" }, []string{"limits of memory"}},
		"snap":              {func(e *Engine) { e.Info.DockerRootDir = "/var/snap/docker/common/var-lib-docker" }, []string{"came as a snap"}},
		"selinux":           {func(e *Engine) { e.Info.SecurityOptions = []string{"name=selinux"} }, []string{"SELinux"}},
		"userns":            {func(e *Engine) { e.Info.SecurityOptions = []string{"name=userns"} }, []string{"userns-remap"}},
		"rootless":          {func(e *Engine) { e.Info.SecurityOptions = []string{"name=rootless,x=y"} }, []string{"below 1024", "log-out"}},
		"rootless, lingers": {func(e *Engine) { e.Info.SecurityOptions, e.Lingers = []string{"name=rootless"}, true }, []string{"below 1024"}},
		"podman of a user":  {func(e *Engine) { e.Podman, e.Socket = true, "/run/user/1000/podman/podman.sock" }, []string{"log-out"}},
		"remote":            {func(e *Engine) { e.Scheme, e.Socket = "ssh", "" }, []string{"another machine"}},
		"desktop":           {func(e *Engine) { e.Info.OperatingSystem = "Docker Desktop" }, []string{"virtual machine"}},
		"many networks":     {func(e *Engine) { e.Networks = 29 }, []string{"there are 29 networks"}},
		"own pools": {func(e *Engine) {
			e.Networks, e.Info.DefaultAddressPools = 29, []system.NetworkAddressPool{{Base: "10.0.0.0/8", Size: 24}}
		}, nil},
		"pinned":   {func(e *Engine) { e.Pinned = "1.41" }, []string{"DOCKER_API_VERSION=1.41"}},
		"warnings": {func(e *Engine) { e.Info.Warnings = []string{"WARNING: IPv4 forwarding is disabled", ""} }, []string{"the engine warns: IPv4 forwarding"}},
	} {
		e := plain()
		c.set(&e)
		found := Of(e)
		if len(found) != len(c.want) {
			t.Errorf("%s: %+v", name, found)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(found[i].Text, want) || found[i].Mend == "" {
				t.Errorf("%s: got %+v, want %q", name, found[i], want)
			}
		}
	}
}
