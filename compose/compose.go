// Package compose reads Compose files, by compose-go, and turns their services
// into containers.Spec. Everything that is wrong with the files is reported at
// once and in its place; the content itself is never parsed by us.
package compose

import (
	"github.com/compose-spec/compose-go/v2/types"
	yaml4 "go.yaml.in/yaml/v4"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/specs"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Options say which files to read. The zero value looks for a file in the
// current folder and its parents.
type Options struct {
	// Files are merged in order; "-" is Stdin. None: COMPOSE_FILE, then the
	// default names in Dir and its parents.
	Files []string
	// Stdin is the text of the file "-".
	Stdin []byte
	// Profiles are the active ones. None: COMPOSE_PROFILES.
	Profiles []string
	// EnvFiles replace the .env beside the first file. They must exist.
	EnvFiles []string
	// Name is the stack's name. Empty: COMPOSE_PROJECT_NAME, then the files'
	// name:, then the folder's.
	Name string
	// Dir is what relative paths in the files start from. Empty: the first file's folder.
	Dir string
	// Environ is the environment, KEY=VALUE; it wins over .env files. nil: the process's own.
	Environ []string
}

// File is one file that was read.
type File struct {
	// Path is absolute, or "-".
	Path string
	// Name is the path as the user knows it: what problems carry.
	Name string
	Text []byte
	// Root is the first document's mapping; nil when the file is empty.
	Root *yaml.Node
	// Docs are the mappings of all documents, Root the first.
	Docs []*yaml.Node

	// own: our keys stand at the top level.
	own bool
	// models are the documents as compose-go takes them, without our keys.
	models []map[string]any
	// tagged: it has !reset or !override, which compose-go only finds in a
	// text; that is made of documents.
	tagged    bool
	documents []*yaml4.Node
	role      role
	// dir and env are what the file's paths start from and its variables stand for.
	dir string
	env map[string]string
	// used are the services of an extended file that others extend.
	used  map[string]bool
	lines []string
}

// Project is what the files describe, for one set of variables: Services
// holds the active services, DisabledServices those of inactive profiles.
type Project struct {
	*types.Project
	specs *specs.Converter
}

// Identity says which instance of a service a container is.
type Identity = specs.Identity

// Spec converts a service. What Compose knows and a Spec cannot carry is
// reported to list at its place, as a warning or, where the container would
// not be what was asked for, as an error.
func (p *Project) Spec(service string, id Identity, list *problems.List) containers.Spec {
	return p.specs.Spec(service, id, list)
}

// ContainerName is the name that Spec gives the instance's container:
// id.Container, the service's container_name, or Compose's PROJECT-SERVICE-NUMBER.
func (p *Project) ContainerName(service string, id Identity) string {
	return p.specs.ContainerName(service, id)
}

// Network converts a network by its key in the file; the zero value when there is none.
func (p *Project) Network(key string) containers.Network { return p.specs.Network(key) }

// Volume converts a named volume by its key in the file; the zero value when there is none.
func (p *Project) Volume(key string) containers.Volume { return p.specs.Volume(key) }

// NetworksOf returns the networks that the services use, by name.
func (p *Project) NetworksOf(services ...string) []containers.Network {
	return p.specs.NetworksOf(services...)
}

// VolumesOf returns the named volumes that the services use, by name.
func (p *Project) VolumesOf(services ...string) []containers.Volume {
	return p.specs.VolumesOf(services...)
}
