package sources

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/variables"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// reach is where a file is read from: what its paths and variables mean.
type reach struct {
	dir  string
	env  map[string]string
	from []string // the files that led here, for cycles
}

// follow reads the files that the stack's own include or extend, so that what
// is wrong in them can be shown in its place, and before compose-go opens them.
func (s *Source) follow(list *problems.List) {
	for _, f := range s.Files {
		f.Dir, f.Env = s.Dir, s.Env
		s.followFile(f, reach{dir: s.Dir, env: s.Env, from: []string{f.Path}}, list)
	}
}

func (s *Source) followFile(f *File, r reach, list *problems.List) {
	for _, doc := range f.Docs {
		if f.Role != Extended {
			_, includes := trees.Get(doc, "include")
			if includes = trees.Resolve(includes); includes.Kind == yaml.SequenceNode {
				for _, entry := range includes.Content {
					s.include(f, entry, r, list)
				}
			}
		}
		_, services := trees.Get(doc, "services")
		for _, service := range trees.Entries(services) {
			s.extends(f, service.Value, r, list)
			s.files(f, service.Value, r, list)
		}
	}
}

// include reads what one entry of include names: a path, or a mapping with
// path, project_directory and env_file.
func (s *Source) include(f *File, entry *yaml.Node, r reach, list *problems.List) {
	paths := texts(entry)
	next := reach{env: r.env, from: r.from}
	if trees.Resolve(entry).Kind == yaml.MappingNode {
		_, node := trees.Get(entry, "path")
		paths = texts(node)
		if _, dir := trees.Get(entry, "project_directory"); dir != nil {
			if text, ok := r.text(dir); ok && text != "" {
				next.dir = r.abs(text)
			}
		}
	}
	for i, node := range paths {
		text, ok := r.text(node)
		if !ok {
			continue
		}
		path := r.abs(text)
		if i == 0 {
			if next.dir == "" {
				next.dir = filepath.Dir(path)
			}
			next.env = s.includedEnv(f, entry, r, next.dir, list)
		}
		if slices.Contains(r.from, path) {
			s.Broken = true
			list.Add(trees.At(f.Name, node), "", "the files include each other: %s", strings.Join(append(displayedAll(r.from), displayed(path)), " → "))
			continue
		}
		s.more(f, node, path, Included, next, list)
	}
}

func displayedAll(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = displayed(p)
	}
	return out
}

// includedEnv adds the variables of the entry's env_file, or of the .env in
// its folder, below those that there are.
func (s *Source) includedEnv(f *File, entry *yaml.Node, r reach, dir string, list *problems.List) map[string]string {
	var files []string
	_, node := trees.Get(entry, "env_file")
	for _, item := range texts(node) {
		text, ok := r.text(item)
		if !ok || text == "/dev/null" {
			continue
		}
		path := r.abs(text)
		if why := unreadable(path); why != "" {
			s.Broken = true
			list.Add(trees.At(f.Name, item), "", "%s: %s", text, why)
			continue
		}
		files = append(files, path)
	}
	if node == nil && unreadable(filepath.Join(dir, ".env")) == "" {
		files = []string{filepath.Join(dir, ".env")}
	}
	found, err := dotenv.GetEnvFromFile(r.env, files)
	if err != nil {
		s.Broken = true
		list.Add(trees.At(f.Name, entry), "", "%v", err)
		return r.env
	}
	env := found
	for k, v := range r.env {
		env[k] = v
	}
	return env
}

// extends reads the file that a service extends one of.
func (s *Source) extends(f *File, service *yaml.Node, r reach, list *problems.List) {
	_, base := trees.Get(service, "extends")
	_, fileNode := trees.Get(base, "file")
	_, nameNode := trees.Get(base, "service")
	if fileNode == nil || trees.Resolve(fileNode).Kind != yaml.ScalarNode {
		return
	}
	text, ok := r.text(fileNode)
	if !ok {
		return
	}
	path := r.abs(text)
	other := s.more(f, fileNode, path, Extended, reach{dir: filepath.Dir(path), env: r.env, from: r.from}, list)
	if other == nil || nameNode == nil {
		return
	}
	if name, ok := r.text(nameNode); ok {
		if names := other.Names("services"); !slices.Contains(names, name) {
			s.Broken = true
			list.Add(trees.At(f.Name, nameNode), problems.OneOf(name, names), "there is no service %q in %s", name, text)
		}
		other.used[name] = true
	}
}

// files looks at the files that compose-go will read for a service: a device
// or a pipe would hold it for ever.
func (s *Source) files(f *File, service *yaml.Node, r reach, list *problems.List) {
	_, hooks := trees.Get(service, "pre_start")
	for _, hook := range texts(hooks) {
		if hook != service && trees.Resolve(hook).Kind == yaml.MappingNode {
			s.files(f, hook, r, list)
		}
	}
	for _, key := range []string{"env_file", "label_file"} {
		_, node := trees.Get(service, key)
		for _, item := range texts(node) {
			if _, path := trees.Get(item, "path"); path != nil {
				item = path
			}
			text, ok := r.text(item)
			if !ok {
				continue
			}
			if info, err := os.Stat(r.abs(text)); err == nil && !info.Mode().IsRegular() {
				s.Broken = true
				list.Add(trees.At(f.Name, item), "", "%s is not a regular file", text)
			}
		}
	}
}

// more reads and parses one further file; nil when it is unusable.
func (s *Source) more(f *File, node *yaml.Node, path string, as Role, r reach, list *problems.List) *File {
	for _, known := range s.Included {
		if known.Path == path && (known.Role == as || as == Extended) {
			return known
		}
	}
	if as == Extended {
		for _, own := range s.Files {
			if own.Path == path {
				return own
			}
		}
	}
	if why := unreadable(path); why != "" {
		s.Broken = true
		list.Add(trees.At(f.Name, node), "", "%s: %s", displayed(path), why)
		return nil
	}
	next, ok := readFile(displayed(path), list)
	if !ok {
		s.Broken = true
		return nil
	}
	next.Role, next.Dir, next.Env, next.used = as, r.dir, r.env, map[string]bool{}
	s.Included = append(s.Included, next)
	if !s.parse(next, list) {
		s.Broken, next.Docs = true, nil
		return nil
	}
	next.Own = false
	s.followFile(next, reach{dir: r.dir, env: r.env, from: append(r.from[:len(r.from):len(r.from)], path)}, list)
	return next
}

// unreadable says why a path is no file to read; empty when it is one.
func unreadable(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return problems.Unread(err)
	case info.IsDir():
		return "is a folder"
	case !info.Mode().IsRegular():
		return "is not a regular file"
	}
	return ""
}

// texts returns the items of a list, or the one that stands for a list of one.
func texts(node *yaml.Node) []*yaml.Node {
	if node == nil {
		return nil
	}
	r := trees.Resolve(node)
	switch {
	case r.Kind == yaml.SequenceNode:
		return r.Content
	case r.Kind == yaml.ScalarNode && r.ShortTag() == "!!null":
		return nil
	}
	return []*yaml.Node{node}
}

// text interpolates a scalar. Not ok: it is none, or what it means is not
// known before Load.
func (r reach) text(node *yaml.Node) (string, bool) {
	node = trees.Resolve(node)
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	lookup := func(name string) (string, bool) {
		v, ok := r.env[name]
		return v, ok
	}
	text, err := template.Substitute(node.Value, lookup)
	return text, err == nil && len(variables.Unset(node.Value, lookup)) == 0
}

// abs makes the path absolute, from the file's folder.
func (r reach) abs(path string) string {
	if home, err := os.UserHomeDir(); err == nil && (path == "~" || strings.HasPrefix(path, "~/")) {
		return filepath.Join(home, strings.TrimPrefix(path, "~"))
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.dir, path)
}
