package sources

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/variables"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// mention collects the names of all variables that the files mention, those
// among them that stand without a $: an environment's key without a value
// takes its value from the variable of its name.
func (s *Source) mention() {
	names := map[string]bool{}
	for _, f := range s.All() {
		variables.Mentioned(string(f.Text), names)
		for _, doc := range f.Docs {
			for _, section := range []string{"services", "secrets", "configs"} {
				_, node := trees.Get(doc, section)
				for _, e := range trees.Entries(node) {
					_, environment := trees.Get(e.Value, "environment")
					passed(environment, names)
				}
			}
		}
	}
	s.variables = slices.Sorted(maps.Keys(names))
}

// passed adds the names that are taken over as they are.
func passed(environment *yaml.Node, names map[string]bool) {
	if environment == nil {
		return
	}
	for _, item := range texts(environment) {
		if v := trees.Resolve(item); v.Kind == yaml.ScalarNode {
			name, _, _ := strings.Cut(v.Value, "=")
			names[name] = true
		}
	}
	for _, e := range trees.Entries(environment) {
		names[trees.Resolve(e.Key).Value] = true
	}
}

// Warn tells of variables that are not set and of what compose-go ignores.
func (s *Source) Warn(env map[string]string, only func(string) bool, list *problems.List) {
	for _, f := range s.All() {
		lookup := f.Lookup(env)
		for _, doc := range f.Docs {
			for _, section := range trees.Entries(doc) {
				key := trees.Resolve(section.Key).Value
				switch {
				case key == "version" && !f.Own:
					list.Warn(trees.At(f.Name, section.Key), "remove it", "version is obsolete and has no meaning")
				case strings.HasPrefix(key, "x-") || f.Own && slices.Contains(f.OwnKeys(), key):
				case key == "services":
					for _, service := range trees.Entries(section.Value) {
						if name := trees.Resolve(service.Key).Value; f.Counts(name, only) {
							f.warnUnset(service.Value, lookup, list)
						}
					}
				default:
					f.warnUnset(section.Value, lookup, list)
				}
			}
		}
	}
}

// Counts tells whether the file's service has a part in the result.
func (f *File) Counts(service string, only func(string) bool) bool {
	if f.Role == Extended {
		return f.used[service]
	}
	return only == nil || only(service)
}

// Lookup is what a variable means in the file: env, then what the file's own
// .env adds.
func (f *File) Lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := env[name]; ok {
			return v, true
		}
		v, ok := f.Env[name]
		return v, ok
	}
}

func (f *File) warnUnset(node *yaml.Node, lookup func(string) (string, bool), list *problems.List) {
	switch node = trees.Resolve(node); node.Kind {
	case yaml.ScalarNode:
		if node.ShortTag() != "!!str" {
			return
		}
		for _, name := range variables.Unset(node.Value, lookup) {
			list.Warn(f.Place(node, name), "set it, put it into .env, or write ${"+name+":-default}", "the variable %s is not set: it is blank", name)
		}
	case yaml.MappingNode:
		for _, e := range trees.Entries(node) {
			f.warnUnset(e.Value, lookup, list)
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			f.warnUnset(item, lookup, list)
		}
	}
}

// Place is where, in or after the node's first line, the variable stands.
func (f *File) Place(node *yaml.Node, name string) problems.Pos {
	last := node.Line + strings.Count(node.Value, "\n") + 1
	for i := node.Line - 1; i >= 0 && i < len(f.lines) && i < last; i++ {
		line, from := f.lines[i], 0
		if i == node.Line-1 {
			from = byteColumn(line, node.Column)
		}
		for _, form := range []string{"${" + name, "$" + name} {
			if at := strings.Index(line[from:], form); at >= 0 {
				return problems.Pos{File: f.Name, Line: i + 1, Col: len([]rune(line[:from+at])) + 1}
			}
		}
	}
	return trees.At(f.Name, node)
}

// byteColumn is the byte that the character column begins at.
func byteColumn(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	return 0
}
