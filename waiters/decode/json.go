package decode

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/jsonpath"
)

var jsonFields = shapes.Fields{
	shapes.Key("path", "Where the value stands in the answer: .state.phase, $.a[0].b", shapes.Scalar()),
	shapes.Key("value", "What it must be; without it, it must only be there", shapes.Shape{}),
}

// json reads {path, value}.
func (f *fields) json(h *conditions.HTTP) {
	node := f.values["json"]
	if node == nil {
		return
	}
	if !f.d.mapping(node, "json", "{path, value}") {
		f.ok = false
		return
	}
	j := f.d.fields(node, "json", jsonFields.Keys())
	want := &conditions.JSON{Path: j.text("path", true), Present: j.keys["value"] == nil}
	if want.Path != "" {
		if _, err := jsonpath.Parse(want.Path); err != nil {
			j.bad(j.values["path"], "expected a path such as .state.phase or $.a[0].b", "%v", err)
		}
	}
	if value := j.values["value"]; value != nil {
		want.Value = j.plain(value, 0)
	}
	f.ok = f.ok && j.ok
	h.JSON = want
}

// plain turns a node into what encoding/json would make of it; numbers keep their text.
func (f *fields) plain(node *yaml.Node, depth int) any {
	node = resolve(node)
	if f.d.left--; node == nil || depth > maxDepth || f.d.left < 0 {
		f.bad(node, "", "the value is too deep, or contains itself")
		return nil
	}
	switch node.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			list = append(list, f.plain(item, depth+1))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			m[node.Content[i].Value] = f.plain(node.Content[i+1], depth+1)
		}
		return m
	}
	switch node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.ToLower(node.Value)
	}
	return node.Value
}
