// Package sources finds, reads and parses a stack's files, and those that they
// include or extend, keeps where everything stands in them, and has compose-go
// read them. What is wrong with their contents is for package diagnosis to find.
package sources

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
	"github.com/stagehand-dev/stagehand/secrets"
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
	// EnvFiles replace the .env beside the first file. They must exist. None: COMPOSE_ENV_FILES.
	EnvFiles []string
	// Name is the stack's name. Empty: COMPOSE_PROJECT_NAME, then the files'
	// name:, then the folder's.
	Name string
	// Scale is how many containers services are to have, whatever the files say.
	Scale map[string]int
	// Dir is what relative paths in the files start from. Empty: the first file's folder.
	Dir string
	// Environ is the environment, KEY=VALUE; it wins over .env files. nil: the process's own.
	Environ []string
	// Secrets learns what must not be shown, also of files that cannot be used; may be nil.
	Secrets *secrets.Masker
}

// Source is a stack's files, read and parsed once, which compose-go is to read
// once for each set of variables. It is safe for concurrent use.
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

	// Broken: a file that the stack's own include or extend cannot be read, which
	// Open has reported.
	Broken bool

	// variables are the names that any of the files mentions, sorted.
	variables []string
}

// All are the stack's own files, then those that they include or extend.
func (s *Source) All() []*File {
	return append(s.Files[:len(s.Files):len(s.Files)], s.Included...)
}

// File is one file that was read.
type File struct {
	// Path is absolute, or "-".
	Path string
	// Name is the path as the user knows it: what problems carry.
	Name string
	Text []byte
	// Docs are the mappings of all documents.
	Docs []*yaml.Node
	// Documents are the same for compose-go.
	models.Documents
	Role Role
	// Own: our keys stand at the top level.
	Own bool
	// Dir and Env are what the file's paths start from and its variables stand for.
	Dir string
	Env map[string]string

	// used are the services of an extended file that others extend.
	used  map[string]bool
	lines []string
}

// Role is how a file came to be read.
type Role int

const (
	Direct   Role = iota // one of the stack's own
	Included             // stands for itself
	Extended             // only what others extend of it counts
)
