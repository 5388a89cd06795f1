package decode

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

func (d *decoder) text(node *yaml.Node, what string) (string, bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" {
		d.problem(node, "expected text", "%s cannot be %s", what, describe(node))
		return "", false
	}
	return node.Value, true
}

// duration reads 500ms, 5s, 1m30s; 0 is allowed.
func (d *decoder) duration(node *yaml.Node, what string) (time.Duration, bool) {
	text, ok := d.text(node, what)
	if !ok {
		return 0, false
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		hint := "expected a duration such as 500ms, 5s, 2m or 1h30m"
		if _, err := strconv.ParseFloat(text, 64); err == nil && !strings.HasPrefix(text, "-") {
			hint += fmt.Sprintf("; for seconds write %ss", text)
		}
		d.problem(node, hint, "%s cannot be %q", what, text)
		return 0, false
	}
	return value, true
}

// number reads a finite decimal number.
func (d *decoder) number(node *yaml.Node, what string) (float64, bool) {
	text, ok := d.text(node, what)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		d.problem(node, "expected a number", "%s cannot be %q", what, text)
		return 0, false
	}
	return n, true
}

// service tells the reader of a reference and returns the name that it stands for.
func (d *decoder) service(node *yaml.Node, name string) string {
	if d.Service != nil {
		d.Service(node, name)
	}
	return d.named(name)
}

// host is the same for a host that is dialled.
func (d *decoder) host(node *yaml.Node, name string) string {
	switch name {
	case "localhost", "127.0.0.1", "::1":
		d.Problems.Warn(d.pos(node), "name the service", "%s is dialled from inside the stack's network, where it is nobody", name)
	}
	if d.Host != nil {
		d.Host(node, name)
	}
	return d.named(name)
}

func (d *decoder) named(name string) string {
	if d.Resolve == nil {
		return name
	}
	return d.Resolve(name)
}

func (d *decoder) problem(node *yaml.Node, expected, format string, args ...any) {
	d.Problems.Add(d.pos(node), expected, format, args...)
}

func (d *decoder) pos(node *yaml.Node) problems.Pos {
	if node == nil {
		return problems.Pos{File: d.File}
	}
	return problems.Pos{File: d.File, Line: node.Line, Col: node.Column}
}

// resolve follows aliases and opens a document.
func resolve(node *yaml.Node) *yaml.Node {
	for range maxDepth {
		switch {
		case node == nil:
			return nil
		case node.Kind == yaml.AliasNode:
			node = node.Alias
		case node.Kind == yaml.DocumentNode && len(node.Content) > 0:
			node = node.Content[0]
		default:
			return node
		}
	}
	return nil
}

// describe names a node's kind, for problems.
func describe(node *yaml.Node) string {
	switch {
	case node == nil || node.Kind == 0 || node.Kind == yaml.DocumentNode:
		return "empty"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "empty"
	}
	return strconv.Quote(node.Value)
}

// short reads the short form: a scalar that is not empty.
func (d *decoder) short(node *yaml.Node) (string, bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" || node.Value == "" {
		return "", false
	}
	return node.Value, true
}
