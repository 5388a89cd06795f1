package sources

import (
	"maps"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// At returns the place of services.X.Y… (keys and, counting from 0, indexes
// of lists) in the file that says it last, the files that it includes or
// extends among them. Where there is no such place it is that of the nearest
// one above it.
func (s *Source) At(path ...string) problems.Pos {
	file, key, value, _ := s.Find(path...)
	if key != nil {
		return trees.At(file.Name, key)
	}
	return trees.At(file.Name, value)
}

// ValueAt is like At, but of an entry of a mapping it is the value's place
// and not the key's.
func (s *Source) ValueAt(path ...string) problems.Pos {
	file, key, value, depth := s.Find(path...)
	if depth < len(path) && key != nil {
		value = key
	}
	return trees.At(file.Name, value)
}

// Find returns the deepest entry that the path leads to. Of equally deep ones
// the last file's counts; the stack's own files win over included ones.
func (s *Source) Find(path ...string) (file *File, key, value *yaml.Node, depth int) {
	depth = -1
	for _, files := range [][]*File{s.Files, s.Included} {
		for _, f := range slices.Backward(files) {
			for _, doc := range slices.Backward(f.Docs) {
				if k, v, d := trees.Find(doc, path...); d > depth {
					file, key, value, depth = f, k, v, d
				}
			}
		}
	}
	if file == nil {
		return s.Files[0], nil, nil, 0
	}
	if depth == 0 {
		value = nil
	}
	return file, key, value, depth
}

// Declared returns the names under a top-level key (services, networks …) of all files, sorted.
func (s *Source) Declared(section string) []string {
	names := map[string]bool{}
	for _, files := range [][]*File{s.Files, s.Included} {
		for _, f := range files {
			for _, doc := range f.Docs {
				_, node := trees.Get(doc, section)
				for _, e := range trees.Entries(node) {
					names[trees.Resolve(e.Key).Value] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Names returns the names under a top-level key of the file, in its order.
func (f *File) Names(section string) []string {
	var names []string
	for _, doc := range f.Docs {
		_, node := trees.Get(doc, section)
		for _, e := range trees.Entries(node) {
			names = append(names, trees.Resolve(e.Key).Value)
		}
	}
	return names
}
