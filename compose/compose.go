// Package compose reads Compose files, by compose-go, and turns their services
// into containers.Spec. Everything that is wrong with the files is reported at
// once and in its place; the content itself is never parsed by us.
package compose

import (
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/sources"
	"github.com/stagehand-dev/stagehand/compose/specs"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Options say which files to read. The zero value looks for a file in the
// current folder and its parents.
type Options = sources.Options

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
}

// Source is a stack's files, read and parsed once, to be loaded once for each
// set of variables. It is safe for concurrent use.
type Source struct {
	// Files in the order in which they are merged.
	Files []*File
	// Included are the files that those include or extend, as far as they can be read.
	Included []*File
	// Name is the stack's name.
	Name string
	// Dir is the absolute folder that relative paths start from.
	Dir string
	// Env holds the environment and the .env files: what ${…} is looked up in.
	Env map[string]string
	// Profiles are the active ones.
	Profiles []string
	// EnvFiles are the env files that the user named, absolute.
	EnvFiles []string

	read  *sources.Source
	scale map[string]int
}

// Open finds, reads and parses the files, and finds the stack's name and
// environment. What is wrong with any of that is reported to list. It returns nil when
// the files cannot be used at all.
func Open(o Options, list *problems.List) *Source {
	s := sources.Open(o, list)
	if s == nil {
		return nil
	}
	return &Source{Files: files(s.Files), Included: files(s.Included), Name: s.Name, Dir: s.Dir, Env: s.Env, Profiles: s.Profiles, EnvFiles: s.EnvFiles, read: s, scale: o.Scale}
}

func files(read []*sources.File) []*File {
	var out []*File
	for _, f := range read {
		file := &File{Path: f.Path, Name: f.Name, Text: f.Text, Docs: f.Docs}
		if len(f.Docs) > 0 {
			file.Root = f.Docs[0]
		}
		out = append(out, file)
	}
	return out
}

// OwnKeys returns the keys of a stack file that are ours, sorted.
func OwnKeys() []string { return sources.OwnKeys() }

// Extension is the key of a Compose file that holds ours.
const Extension = sources.Extension

// Own returns the value of one of our keys, such as stages, from
// the last file that has it, and that file's name as problems carry it; nil
// when no file has it. Values are not interpolated.
func (s *Source) Own(key string) (file string, node *yaml.Node) { return s.read.Own(key) }

// At returns the place of services.X.Y… (keys and, counting from 0, indexes
// of lists) in the file that says it last, the files that it includes or
// extends among them. Where there is no such place it is that of the nearest
// one above it.
func (s *Source) At(path ...string) problems.Pos { return s.read.At(path...) }

// ValueAt is like At, but of an entry of a mapping it is the value's place
// and not the key's.
func (s *Source) ValueAt(path ...string) problems.Pos { return s.read.ValueAt(path...) }

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
