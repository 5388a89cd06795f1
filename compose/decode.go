package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	yaml4 "go.yaml.in/yaml/v4"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// decode makes the file's models for compose-go, by the YAML library that
// compose-go itself uses, so that every value means the same to it.
func (f *File) decode(list *problems.List) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			list.Add(problems.Pos{File: f.Name}, "", "the file cannot be read: %v", r)
			ok = false
		}
	}()
	decoder := yaml4.NewDecoder(bytes.NewReader(f.Text))
	var documents []*yaml4.Node
	for {
		var doc yaml4.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			trees.Syntax(f.Name, f.Text, err, list)
			return false
		}
		if len(doc.Content) == 1 && doc.Content[0].Kind == yaml4.MappingNode {
			documents = append(documents, &doc)
		}
	}
	for _, doc := range documents {
		f.tagged = f.tagged || hasTag(doc)
	}
	if f.tagged {
		f.documents = documents
	}
	for _, doc := range documents {
		if f.tagged {
			doc = untagged(doc)
		}
		var value any
		if err := doc.Decode(&value); err != nil {
			trees.Syntax(f.Name, f.Text, err, list)
			return false
		}
		model, isMap := textKeys(value).(map[string]any)
		if !isMap {
			continue
		}
		for key := range model {
			// Aliases are resolved by now, so that extensions mean nothing any more.
			if contains(f.ownKeys(), key) || strings.HasPrefix(key, "x-") {
				delete(model, key)
			}
		}
		f.models = append(f.models, model)
	}
	return true
}

// ownKeys are the top-level keys that compose-go does not see.
func (f *File) ownKeys() []string {
	if f.own {
		return append(OwnKeys(), extension)
	}
	return []string{extension}
}

// textKeys makes map[string]any of every mapping.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = textKeys(e)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = textKeys(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = textKeys(e)
		}
		return v
	}
	return value
}

// copied is a deep copy: compose-go changes what it is given.
func copied(value any) any {
	switch v := value.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copied(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = copied(e)
		}
		return l
	}
	return value
}

// hasTag tells whether !reset or !override stands anywhere.
func hasTag(node *yaml4.Node) bool {
	if node.Tag == "!reset" || node.Tag == "!override" {
		return true
	}
	for _, child := range node.Content {
		if hasTag(child) {
			return true
		}
	}
	return false
}

// untagged is the node without what is reset.
func untagged(node *yaml4.Node) *yaml4.Node {
	left := *node
	left.Content = nil
	for i := 0; i < len(node.Content); i++ {
		if node.Kind == yaml4.MappingNode && i+1 < len(node.Content) {
			if node.Content[i+1].Tag != "!reset" {
				left.Content = append(left.Content, node.Content[i], untagged(node.Content[i+1]))
			}
			i++
			continue
		}
		left.Content = append(left.Content, untagged(node.Content[i]))
	}
	return &left
}

// text makes the file's text without our keys and without the services that
// needed, if not nil, does not have. What those anchor stays, under an
// extension key, since the rest may refer to it.
func (f *File) text(needed map[string]bool) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml4.NewEncoder(&text)
	for _, doc := range f.documents {
		root := doc.Content[0]
		kept := *root
		kept.Content = nil
		var anchored []*yaml4.Node
		for i := 0; i+1 < len(root.Content); i += 2 {
			key, value := root.Content[i], root.Content[i+1]
			switch {
			case contains(f.ownKeys(), key.Value):
				anchored = append(anchored, anchors(value)...)
				continue
			case key.Value == "services" && value.Kind == yaml4.MappingNode && needed != nil:
				var more []*yaml4.Node
				value, more = fewer(value, needed)
				anchored = append(anchored, more...)
			}
			kept.Content = append(kept.Content, key, value)
		}
		if anchored != nil {
			head := []*yaml4.Node{
				{Kind: yaml4.ScalarNode, Value: extension + "-anchors"},
				{Kind: yaml4.SequenceNode, Content: anchored},
			}
			kept.Content = append(head, kept.Content...)
		}
		if err := encoder.Encode(&kept); err != nil {
			return nil, err
		}
	}
	err := encoder.Close()
	return text.Bytes(), err
}

// fewer leaves only names of the services that are not needed, and returns
// what these anchor.
func fewer(services *yaml4.Node, needed map[string]bool) (kept *yaml4.Node, anchored []*yaml4.Node) {
	some := *services
	some.Content = nil
	for i := 0; i+1 < len(services.Content); i += 2 {
		key, value := services.Content[i], services.Content[i+1]
		if !needed[key.Value] {
			anchored = append(anchored, anchors(value)...)
			value = &yaml4.Node{Kind: yaml4.MappingNode, Content: []*yaml4.Node{
				{Kind: yaml4.ScalarNode, Value: "image"}, {Kind: yaml4.ScalarNode, Value: "left-out"},
			}}
		}
		some.Content = append(some.Content, key, value)
	}
	return &some, anchored
}

// anchors returns the outermost anchored nodes.
func anchors(node *yaml4.Node) []*yaml4.Node {
	if node.Anchor != "" {
		return []*yaml4.Node{node}
	}
	var found []*yaml4.Node
	for _, child := range node.Content {
		found = append(found, anchors(child)...)
	}
	return found
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
