package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	yaml4 "go.yaml.in/yaml/v4"

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
			list.Add(problems.Pos{File: f.Name}, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
			return false
		}
		if len(doc.Content) == 1 && doc.Content[0].Kind == yaml4.MappingNode {
			documents = append(documents, &doc)
		}
	}
	for _, doc := range documents {
		if hasTag(doc) {
			return f.rewrite(documents, list)
		}
	}
	for _, doc := range documents {
		var value any
		if err := doc.Decode(&value); err != nil {
			list.Add(problems.Pos{File: f.Name}, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
			return false
		}
		model, isMap := textKeys(value).(map[string]any)
		if !isMap {
			continue
		}
		for _, key := range f.ownKeys() {
			delete(model, key)
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

// rewrite makes the file's text without our keys. What they anchor stays,
// under an extension key, since Compose's part may refer to it.
func (f *File) rewrite(documents []*yaml4.Node, list *problems.List) bool {
	var text bytes.Buffer
	encoder := yaml4.NewEncoder(&text)
	for _, doc := range documents {
		root := doc.Content[0]
		kept := *root
		kept.Content = nil
		var anchored []*yaml4.Node
		for i := 0; i+1 < len(root.Content); i += 2 {
			if contains(f.ownKeys(), root.Content[i].Value) {
				anchored = append(anchored, anchors(root.Content[i+1])...)
				continue
			}
			kept.Content = append(kept.Content, root.Content[i], root.Content[i+1])
		}
		if anchored != nil {
			head := []*yaml4.Node{
				{Kind: yaml4.ScalarNode, Value: extension + "-anchors"},
				{Kind: yaml4.SequenceNode, Content: anchored},
			}
			kept.Content = append(head, kept.Content...)
		}
		if err := encoder.Encode(&kept); err != nil {
			list.Add(problems.Pos{File: f.Name}, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
			return false
		}
	}
	if err := encoder.Close(); err != nil {
		list.Add(problems.Pos{File: f.Name}, "", "%v", err)
		return false
	}
	f.content = text.Bytes()
	return true
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
