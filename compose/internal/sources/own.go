package sources

import (
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// Extension is the key of a Compose file that holds ours.
const Extension = "x-stagehand"

// OwnKeys returns the keys of a stack file that are ours, sorted.
func OwnKeys() []string {
	return []string{"apps", "budget", "helper_network", "immutable", "on_failure", "reserved", "stages", "tenants", "upgrades", "version"}
}

// ownsTopLevel tells whether our keys stand at the top of the file: its name says so, or
// it has a key that nothing but a stack file has.
func ownsTopLevel(f *File) bool {
	if strings.HasPrefix(filepath.Base(f.Path), "stagehand.") {
		return true
	}
	for _, doc := range f.Docs {
		for _, key := range []string{"apps", "stages"} {
			if k, _ := trees.Get(doc, key); k != nil {
				return true
			}
		}
	}
	return false
}

// Own returns the value of one of our keys (OwnKeys), from
// the last file that has it, and that file's name as problems carry it; nil
// when no file has it. Values are not interpolated.
func (s *Source) Own(key string) (file string, node *yaml.Node) {
	for _, f := range slices.Backward(s.Files) {
		for _, doc := range slices.Backward(f.Docs) {
			if f.Own {
				if _, v := trees.Get(doc, key); v != nil {
					return f.Name, v
				}
			}
			_, block := trees.Get(doc, Extension)
			if _, v := trees.Get(block, key); v != nil {
				return f.Name, v
			}
		}
	}
	return "", nil
}

// checkOwn reports what is wrong with where our keys stand.
func checkOwn(f *File, list *problems.List) {
	for _, doc := range f.Docs {
		key, block := trees.Get(doc, Extension)
		if key == nil {
			continue
		}
		if r := trees.Resolve(block); r.Kind != yaml.MappingNode && r.ShortTag() != "!!null" {
			list.Add(trees.At(f.Name, block), "expected a mapping with "+strings.Join(OwnKeys(), ", "), "%s is a %s", Extension, trees.KindName(block))
			continue
		}
		for _, e := range trees.Entries(block) {
			name := trees.Resolve(e.Key).Value
			if !slices.Contains(OwnKeys(), name) {
				list.Add(trees.At(f.Name, e.Key), problems.OneOf(name, OwnKeys()), "unknown key %q in %s", name, Extension)
			} else if k, _ := trees.Get(doc, name); k != nil && f.Own {
				list.Add(trees.At(f.Name, e.Key), "keep one of them", "%q stands both at the top level and under %s", name, Extension)
			}
		}
	}
}

// check reports, for all files, what Load cannot see because compose-go is
// not given it.
func (s *Source) check(list *problems.List) {
	for _, f := range s.Files {
		checkOwn(f, list)
	}
}

// OwnKeys are the top-level keys that compose-go does not see.
func (f *File) OwnKeys() []string {
	if f.Own {
		return append(OwnKeys(), Extension)
	}
	return []string{Extension}
}
