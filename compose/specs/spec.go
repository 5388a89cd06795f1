package specs

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// conversion is one service on its way to a Spec.
type conversion struct {
	*Converter
	key     string // the service's key in the file
	service types.ServiceConfig
	id      Identity
	list    *problems.List
	spec    *containers.Spec
	within  []string // where in the service this stands; nil for the service itself
}

// Spec converts a service. What cannot be carried over is reported to list.
func (c *Converter) Spec(service string, id Identity, list *problems.List) containers.Spec {
	s, ok := c.Project.Services[service]
	if !ok {
		if _, inactive := c.Project.DisabledServices[service]; inactive {
			list.Add(c.At("services", service, "profiles"), "activate it with --profile", "service %q is in a profile that is not active", service)
		} else {
			list.Add(c.At("services", service), problems.OneOf(service, c.Project.ServiceNames()), "there is no service %q", service)
		}
		return containers.Spec{}
	}
	if id.Service == "" {
		id.Service = service
	}
	if id.Template == "" {
		id.Template = service
	}
	if id.Stack == "" {
		id.Stack = c.Project.Name
	}
	spec := containers.Spec{Name: c.ContainerName(service, id)}
	v := conversion{Converter: c, key: service, service: s, id: id, list: list, spec: &spec}
	v.image()
	v.process()
	v.health()
	v.mounts()
	v.files()
	v.networks()
	v.links()
	v.ports()
	v.replicas()
	v.namespaces()
	v.security()
	v.host()
	v.resources()
	v.preStart()
	v.labels()
	v.uncarried()
	return spec
}

// at is the place of a key of the service.
func (v *conversion) at(path ...string) problems.Pos {
	return v.At(slices.Concat([]string{"services", v.key}, v.within, path)...)
}

// peer is the container's name of another service of the file.
func (v *conversion) peer(service string) string {
	if v.id.Peer != nil {
		if name := v.id.Peer(service); name != "" {
			return name
		}
	}
	return v.ContainerName(service, Identity{Stack: v.id.Stack, Service: service})
}
