package sources

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/secrets"
)

// confide tells the masker what the files, and the variables that they mention, say is secret.
func (s *Source) confide(m *secrets.Masker) {
	if m == nil {
		return
	}
	for _, f := range s.All() {
		for _, name := range s.variables {
			if value, ok := f.Lookup(s.Env)(name); ok {
				m.Pair(name, value)
			}
		}
		for _, doc := range f.Docs {
			confide(m, doc, map[*yaml.Node]bool{})
		}
	}
}

// confide walks a file as it is written. What has variables in it is no secret as it stands there; what
// they stand for is found otherwise.
func confide(m *secrets.Masker, node *yaml.Node, above map[*yaml.Node]bool) {
	node = trees.Resolve(node)
	if node == nil || above[node] {
		return // an alias of something that it stands in
	}
	above[node] = true
	defer delete(above, node)
	switch node.Kind {
	case yaml.ScalarNode:
		if !strings.Contains(node.Value, "$") {
			m.Learn(node.Value)
		}
	case yaml.SequenceNode:
		var words []string
		for _, item := range node.Content {
			if item := trees.Resolve(item); item.Kind == yaml.ScalarNode {
				if strings.Contains(item.Value, "$") {
					words = append(words, "")
					continue
				}
				words = append(words, item.Value)
			}
			confide(m, item, above)
		}
		m.Learn(words...)
	case yaml.MappingNode:
		for _, e := range trees.Entries(node) {
			key, value := trees.Resolve(e.Key), trees.Resolve(e.Value)
			if value.Kind == yaml.ScalarNode && !strings.Contains(value.Value, "$") {
				m.Pair(key.Value, value.Value)
				continue
			}
			confide(m, value, above)
		}
	}
}
