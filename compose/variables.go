package compose

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// reference is one ${NAME…} or $NAME of a text.
type reference struct {
	name string
	// plain: there is neither a default nor a message for when it is not set.
	plain bool
	// inner are the references of its default or replacement, which count
	// when used says so.
	inner []reference
	used  func(value string, set bool) bool
}

// references finds what a text refers to. It decides nothing: values are
// filled in by compose-go; this is for knowing the names and their places.
func references(text string) []reference {
	var found []reference
	for i := 0; i < len(text); {
		if text[i] != '$' || i+1 == len(text) {
			i++
			continue
		}
		next := text[i+1]
		switch {
		case next == '$':
			i += 2
		case next == '{':
			end := closing(text, i+1)
			if end < 0 {
				return found
			}
			if r, ok := braced(text[i+2 : end]); ok {
				found = append(found, r)
			}
			i = end + 1
		default:
			n := nameLength(text[i+1:])
			if n > 0 {
				found = append(found, reference{name: text[i+1 : i+1+n], plain: true})
			}
			i += 1 + n
		}
	}
	return found
}

// closing is the index of the brace that closes the one at open, or -1.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}

// braced reads NAME, NAME:-x, NAME-x, NAME:+x, NAME+x, NAME:?x and NAME?x.
func braced(text string) (reference, bool) {
	n := nameLength(text)
	if n == 0 {
		return reference{}, false
	}
	r := reference{name: text[:n], plain: n == len(text)}
	if r.plain {
		return r, true
	}
	rest := text[n:]
	orEmpty := strings.HasPrefix(rest, ":")
	rest = strings.TrimPrefix(rest, ":")
	if rest == "" {
		return reference{}, false
	}
	r.inner = references(rest[1:])
	has := func(value string, set bool) bool { return set && (!orEmpty || value != "") }
	switch rest[0] {
	case '+':
		r.used = has
	case '-', '?':
		r.used = func(value string, set bool) bool { return !has(value, set) }
	default:
		return reference{}, false
	}
	return r, true
}

// unset returns the names that will be blank because nothing sets them.
func unset(text string, lookup func(string) (string, bool)) []string {
	if !strings.Contains(text, "$") {
		return nil
	}
	var names []string
	var walk func(refs []reference)
	walk = func(refs []reference) {
		for _, r := range refs {
			value, set := lookup(r.name)
			if r.plain && !set {
				names = append(names, r.name)
			}
			if r.used != nil && r.used(value, set) {
				walk(r.inner)
			}
		}
	}
	walk(references(text))
	return names
}

// mentioned adds every name that the text mentions.
func mentioned(text string, names map[string]bool) {
	for i := range len(text) {
		if text[i] != '$' {
			continue
		}
		rest := strings.TrimPrefix(text[i+1:], "{")
		if n := nameLength(rest); n > 0 {
			names[rest[:n]] = true
		}
	}
}

// mention collects the names of all variables that the files mention, those
// among them that stand without a $: an environment's key without a value
// takes its value from the variable of its name.
func (s *Source) mention() {
	names := map[string]bool{}
	for _, f := range s.all() {
		mentioned(string(f.Text), names)
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
	s.variables = sortedKeys(names)
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

func (s *Source) all() []*File { return append(s.Files[:len(s.Files):len(s.Files)], s.Included...) }

// warn tells of variables that are not set and of what compose-go ignores.
func (s *Source) warn(env map[string]string, only func(string) bool, list *problems.List) {
	for _, f := range s.all() {
		lookup := f.lookup(env)
		for _, doc := range f.Docs {
			for _, section := range trees.Entries(doc) {
				key := trees.Resolve(section.Key).Value
				switch {
				case key == "version":
					list.Warn(trees.At(f.Name, section.Key), "remove it", "version is obsolete and has no meaning")
				case strings.HasPrefix(key, "x-") || f.own && contains(f.ownKeys(), key):
				case key == "services":
					for _, service := range trees.Entries(section.Value) {
						if name := trees.Resolve(service.Key).Value; f.counts(name, only) {
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

// counts tells whether the file's service has a part in the result.
func (f *File) counts(service string, only func(string) bool) bool {
	if f.role == extended {
		return f.used[service]
	}
	return only == nil || only(service)
}

// lookup is what a variable means in the file: env, then what the file's own
// .env adds.
func (f *File) lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := env[name]; ok {
			return v, true
		}
		v, ok := f.env[name]
		return v, ok
	}
}

func (f *File) warnUnset(node *yaml.Node, lookup func(string) (string, bool), list *problems.List) {
	switch node = trees.Resolve(node); node.Kind {
	case yaml.ScalarNode:
		if node.ShortTag() != "!!str" {
			return
		}
		for _, name := range unset(node.Value, lookup) {
			list.Warn(f.place(node, name), "set it, put it into .env, or write ${"+name+":-default}", "the variable %s is not set: it is blank", name)
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

// place is where, in or after the node's first line, the variable stands.
func (f *File) place(node *yaml.Node, name string) problems.Pos {
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
