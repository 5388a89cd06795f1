package rehearse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// Isolate makes a stack that was read under another name than the user's one
// share nothing with it: what the file gives a fixed name to gets one of the
// copy's own, no port is published, no address is fixed. What cannot be made
// its own is returned in words, sorted: external volumes and networks, folders
// of the host that are written to, the host's network.
func Isolate(stack, original *stages.Stack) []string {
	taken := map[string]bool{}
	for _, v := range original.Volumes {
		taken[v.Name] = true
	}
	for _, n := range original.Networks {
		taken[n.Name] = true
	}
	for _, s := range original.Services {
		taken[s.Spec.Name] = true
	}
	c := &copier{taken: taken, prefix: stack.Name, shared: map[string]bool{}, external: map[string]bool{}}
	for i := range stack.Volumes {
		v := &stack.Volumes[i]
		if v.External {
			c.external[v.Name] = true
			c.shared["the external volume "+v.Name] = true
		}
		v.Name = c.name(v.Name)
	}
	for i := range stack.Networks {
		n := &stack.Networks[i]
		if n.External {
			c.external[n.Name] = true
			c.shared["the external network "+n.Name] = true
		}
		n.Name, n.IPAM = c.name(n.Name), nil
	}
	stack.DefaultNetwork = c.name(stack.DefaultNetwork)
	for key, service := range stack.Services {
		service.Spec = c.spec(key, service.Spec)
		stack.Services[key] = service
	}
	for i := range stack.Stages {
		stack.Stages[i].Exclusive = c.name(stack.Stages[i].Exclusive)
	}
	return slices.Sorted(maps.Keys(c.shared))
}

type copier struct {
	prefix string
	// taken are the names of the original, external those that stay as they are.
	taken, external map[string]bool
	shared          map[string]bool
}

// name is the copy's own name of something.
func (c *copier) name(name string) string {
	if !c.taken[name] || c.external[name] {
		return name
	}
	return containers.Name(c.prefix, name)
}

func (c *copier) spec(service string, spec containers.Spec) containers.Spec {
	spec.Name = c.name(spec.Name)
	spec.Ports = nil
	spec.Mounts = slices.Clone(spec.Mounts)
	for i, m := range spec.Mounts {
		switch {
		case m.Kind == containers.MountVolume && m.Source != "":
			spec.Mounts[i].Source = c.name(m.Source)
		case m.Kind == containers.MountBind && !m.ReadOnly:
			c.shared[fmt.Sprintf("the folder %s of the host, which %s may write to", m.Source, service)] = true
		}
	}
	spec.Networks = slices.Clone(spec.Networks)
	for i, n := range spec.Networks {
		spec.Networks[i].Network = c.name(n.Network)
		spec.Networks[i].IPv4, spec.Networks[i].IPv6, spec.Networks[i].MAC = "", "", ""
	}
	if spec.NetworkMode == "host" {
		c.shared["the host's network, which "+service+" uses"] = true
	}
	for _, mode := range []*string{&spec.NetworkMode, &spec.PidMode, &spec.IpcMode} {
		if other, ok := strings.CutPrefix(*mode, "container:"); ok {
			*mode = "container:" + c.name(other)
		}
	}
	return spec
}
