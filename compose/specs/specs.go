// Package specs converts the services, networks and volumes of a loaded
// Compose project into what engines understand. Every conversion is pure but
// for the files of configs and secrets, which it reads.
package specs

import (
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Converter converts one project.
type Converter struct {
	Project *types.Project
	// At finds the place of services.X.Y… in the files.
	At func(path ...string) problems.Pos
	// Files are the absolute paths of the stack's files, Dir its folder.
	Files []string
	Dir   string
	// EnvFiles are the env files that the user named, absolute.
	EnvFiles []string
}

// Identity says which instance of a service a container is.
type Identity struct {
	// Stack is the stack's name.
	Stack string
	// Service is the instance's name on the stack's network: the service's key,
	// or APP-SERVICE.
	Service string
	// Template is the service's key in the file, App the app's name or empty.
	Template string
	App      string
	// Container is the container's name; empty: see ContainerName.
	Container string
	// Number counts the instances from 1; 0 is 1.
	Number int
	// Aliases are further names on each of its networks.
	Aliases []string
	// Labels are added last and win.
	Labels map[string]string
	// Peer returns the container's name of another service of the file, as seen from
	// this instance, for network_mode, ipc and pid service:NAME. nil: Compose's name of it.
	Peer func(service string) string
	// DependsOn returns the services, by their names on the stack's network, that stand
	// for one that this instance depends on; helpers are none. nil: the service itself.
	DependsOn func(service string) []string
}

func (id Identity) number() int { return max(id.Number, 1) }

// ContainerName is the name of the instance's container.
func (c *Converter) ContainerName(service string, id Identity) string {
	if id.Container != "" {
		return id.Container
	}
	if s, ok := c.Project.Services[service]; ok && s.ContainerName != "" {
		return s.ContainerName
	}
	name := id.Service
	if name == "" {
		name = service
	}
	return containers.Name(c.Project.Name, name, strconv.Itoa(id.number()))
}
