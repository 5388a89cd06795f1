package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/waiters"
)

// several reads the list of all or any.
func (d *decoder) several(kind string, node *yaml.Node, depth int) waiters.Condition {
	if node == nil || node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		what := describe(node)
		if node != nil && node.Kind == yaml.SequenceNode {
			what = "an empty list"
		}
		d.problem(node, "expected a list of conditions", "%s cannot be %s", kind, what)
		return nil
	}
	var parts []waiters.Condition
	whole := true
	for _, item := range node.Content {
		c := d.condition(item, depth+1)
		whole = whole && c != nil
		parts = append(parts, c)
		if d.left < 0 {
			return nil
		}
	}
	switch {
	case !whole:
		return nil
	case kind == "all":
		return waiters.All(parts)
	}
	return waiters.Any(parts)
}
