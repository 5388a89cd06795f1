package specs

import (
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Spec converts a service; see compose.Project.Spec.
func (c *Converter) Spec(service string, id Identity, list *problems.List) containers.Spec {
	s, ok := c.Project.Services[service]
	if !ok {
		list.Add(c.At("services", service), "", "there is no service %q", service)
		return containers.Spec{}
	}
	return containers.Spec{Name: c.ContainerName(service, id), Image: s.Image}
}

// Check reports what the project's networks and volumes cannot be.
func (c *Converter) Check(list *problems.List) {}
