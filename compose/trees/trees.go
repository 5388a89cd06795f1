// Package trees keeps YAML texts as node trees whose every key and value
// knows its place. It knows YAML and nothing of Compose.
package trees

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

// maxNodes bounds what aliases may unfold to: a file of a few lines can
// otherwise stand for billions of nodes.
const maxNodes = 200_000

// Parse returns the mappings of all documents of the text. What is not
// well-formed is reported with its line: syntax, duplicate keys, keys that
// are not text, aliases that contain themselves. ok is false when the text cannot be used.
func Parse(file string, text []byte, list *problems.List) (docs []*yaml.Node, ok bool) {
	if !utf8.Valid(text) {
		list.Add(problems.Pos{File: file}, "save it as UTF-8", "the file is not text in UTF-8")
		return nil, false
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			Syntax(file, text, err, list)
			return nil, false
		}
		if len(doc.Content) == 1 && doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
			continue
		}
		docs = append(docs, doc.Content...)
	}
	ok = true
	for _, doc := range docs {
		if Resolve(doc).Kind != yaml.MappingNode {
			list.Add(At(file, doc), "expected a mapping with keys such as services:", "the file is a %s", KindName(doc))
			ok = false
			continue
		}
		w := walker{file: file, list: list, open: map[*yaml.Node]bool{}}
		if w.node(doc); w.failed {
			ok = false
		}
	}
	return docs, ok
}

type walker struct {
	file   string
	list   *problems.List
	open   map[*yaml.Node]bool
	nodes  int
	failed bool
}

func (w *walker) fail(node *yaml.Node, expected, format string, args ...any) {
	w.failed = true
	w.list.Add(At(w.file, node), expected, format, args...)
}

func (w *walker) node(node *yaml.Node) {
	if w.nodes++; w.nodes > maxNodes {
		if w.nodes == maxNodes+1 {
			w.fail(node, "", "the file's aliases unfold to more than %d values", maxNodes)
		}
		return
	}
	switch node.Kind {
	case yaml.AliasNode:
		if w.open[node.Alias] {
			w.fail(node, "", "alias *%s contains itself", node.Value)
			return
		}
		w.open[node.Alias] = true
		w.node(node.Alias)
		delete(w.open, node.Alias)
	case yaml.MappingNode:
		w.open[node] = true
		w.mapping(node)
		delete(w.open, node)
	case yaml.SequenceNode:
		w.open[node] = true
		for _, item := range node.Content {
			w.node(item)
		}
		delete(w.open, node)
	}
}

func (w *walker) mapping(node *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := Resolve(node.Content[i]), node.Content[i+1]
		switch {
		case IsMerge(key):
			w.merge(value)
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			w.fail(node.Content[i], "put it in quotes", "a key must be text, this one is a %s", KindName(key))
		case seen[key.Value] != nil:
			w.fail(node.Content[i], fmt.Sprintf("the first one stands in line %d", seen[key.Value].Line), "key %q stands twice", key.Value)
		default:
			seen[key.Value] = node.Content[i]
		}
		w.node(value)
	}
}

func (w *walker) merge(value *yaml.Node) {
	value = Resolve(value)
	sources := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		sources = value.Content
	}
	for _, source := range sources {
		if Resolve(source).Kind != yaml.MappingNode {
			w.fail(source, "expected an alias of a mapping", "<< cannot merge a %s", KindName(source))
		}
	}
}

// IsMerge tells whether a key is YAML's merge key.
func IsMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && (key.Tag == "" || key.Tag == "!" || key.ShortTag() == "!!merge")
}

// Resolve follows an alias. Of nil it is an empty value.
func Resolve(node *yaml.Node) *yaml.Node {
	if node == nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	return node
}

// At is the node's place.
func At(file string, node *yaml.Node) problems.Pos {
	if node == nil {
		return problems.Pos{File: file}
	}
	return problems.Pos{File: file, Line: node.Line, Col: node.Column}
}

// KindName says what a node is, in the user's words.
func KindName(node *yaml.Node) string {
	node = Resolve(node)
	switch node.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	switch node.ShortTag() {
	case "!!null":
		return "null"
	case "!!bool":
		return "boolean"
	case "!!int", "!!float":
		return "number"
	}
	return "string"
}

// Entry is one entry of a mapping.
type Entry struct{ Key, Value *yaml.Node }

// Entries returns what the mapping holds, what it merges by << included, in
// the file's order; nil for anything but a mapping. Of a key that stands in
// several places the nearest counts, as YAML has it.
func Entries(node *yaml.Node) []Entry {
	if node = Resolve(node); node.Kind != yaml.MappingNode {
		return nil
	}
	var entries, merged []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := Resolve(node.Content[i]), node.Content[i+1]
		if !IsMerge(key) {
			seen[key.Value] = true
			entries = append(entries, Entry{node.Content[i], value})
			continue
		}
		value = Resolve(value)
		sources := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			sources = value.Content
		}
		for _, source := range sources {
			merged = append(merged, Entries(source)...)
		}
	}
	for _, e := range merged {
		if name := Resolve(e.Key).Value; !seen[name] {
			seen[name] = true
			entries = append(entries, e)
		}
	}
	return entries
}

// Get returns the entry of a mapping, or nils: the one that Entries has.
func Get(node *yaml.Node, key string) (keyNode, value *yaml.Node) {
	if node = Resolve(node); node.Kind != yaml.MappingNode {
		return nil, nil
	}
	merges := false
	for i := 0; i+1 < len(node.Content); i += 2 {
		k := Resolve(node.Content[i])
		if IsMerge(k) {
			merges = true
		} else if k.Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	if !merges {
		return nil, nil
	}
	for _, e := range Entries(node) {
		if Resolve(e.Key).Value == key {
			return e.Key, e.Value
		}
	}
	return nil, nil
}

// Find walks along the path: keys of mappings and, counting from 0, indexes
// of lists. A list of KEY=VALUE or KEY:VALUE texts is walked as the mapping that it stands for.
// It returns the entry it ended at (key is nil in lists) and how many steps of
// the path it could go.
func Find(node *yaml.Node, path ...string) (key, value *yaml.Node, depth int) {
	value = node
	for _, step := range path {
		here := Resolve(value)
		var k, v *yaml.Node
		switch here.Kind {
		case yaml.MappingNode:
			k, v = Get(here, step)
		case yaml.SequenceNode:
			v = item(here, step)
		}
		if v == nil {
			return key, value, depth
		}
		key, value, depth = k, v, depth+1
	}
	return key, value, depth
}

func item(list *yaml.Node, step string) *yaml.Node {
	if i, err := strconv.Atoi(step); err == nil {
		if i < 0 || i >= len(list.Content) {
			return nil
		}
		return list.Content[i]
	}
	for _, n := range list.Content {
		v := Resolve(n)
		if v.Kind != yaml.ScalarNode {
			continue
		}
		if v.Value == step || strings.HasPrefix(v.Value, step+"=") || strings.HasPrefix(v.Value, step+":") {
			return n
		}
	}
	return nil
}
