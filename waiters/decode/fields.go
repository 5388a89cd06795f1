package decode

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

// fields are the keys of one mapping, read one by one.
type fields struct {
	d      *decoder
	node   *yaml.Node
	what   string
	order  []string
	keys   map[string]*yaml.Node
	values map[string]*yaml.Node
	// ok is false once a problem was reported.
	ok bool
}

// fields opens a mapping node, merge keys (<<) included, and reports keys
// that are not known or stand twice.
func (d *decoder) fields(node *yaml.Node, what string, known []string) *fields {
	f := &fields{d: d, node: node, what: what, keys: map[string]*yaml.Node{}, values: map[string]*yaml.Node{}, ok: true}
	f.add(node, known, 0)
	return f
}

func (f *fields) add(node *yaml.Node, known []string, depth int) {
	var merged []*yaml.Node
	here := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		name := key.Value
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, name):
			f.bad(key, problems.OneOf(name, known), "%s has no key %q", f.what, name)
		case here[name]:
			f.bad(key, "", "the key %q stands twice", name)
		case f.values[name] == nil:
			f.order = append(f.order, name)
			f.keys[name], f.values[name] = key, value
		}
		here[name] = true
	}
	for _, m := range merged {
		f.merge(m, known, depth+1)
	}
}

func (f *fields) merge(node *yaml.Node, known []string, depth int) {
	f.d.left--
	switch {
	case depth > maxDepth || f.d.left < 0:
		f.bad(node, "", "the mapping has too many parts, or contains itself")
	case node != nil && node.Kind == yaml.MappingNode:
		f.add(node, known, depth)
	case node != nil && node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			f.merge(resolve(item), known, depth+1)
		}
	default:
		f.bad(node, "", "<< takes a mapping or a list of mappings")
	}
}

// long opens the long form of a condition, with the times that may stand in it.
func (d *decoder) long(node *yaml.Node, p *pacing, of form) *fields {
	f := d.fields(node, of.kind, append(of.fields.Keys(), paceFields.Keys()...))
	p.take(f)
	return f
}

// mapping checks that node is one; example shows how it is written.
func (d *decoder) mapping(node *yaml.Node, what, example string) bool {
	if node != nil && node.Kind == yaml.MappingNode {
		return true
	}
	d.problem(node, "expected "+example, "%s cannot be %s", what, describe(node))
	return false
}

func (f *fields) bad(node *yaml.Node, expected, format string, args ...any) {
	f.ok = false
	f.d.problem(node, expected, format, args...)
}

// text is a scalar's text; "" when the key is missing, which is a problem when it is required.
func (f *fields) text(key string, required bool) string {
	node := f.values[key]
	if node == nil && f.keys[key] == nil {
		if required {
			f.bad(f.node, "add "+key+":", "%s needs %s", f.what, key)
		}
		return ""
	}
	text, ok := f.d.text(node, key)
	if !ok {
		f.ok = false
		return ""
	}
	if required && text == "" {
		f.bad(node, "", "%s must not be empty", key)
	}
	return text
}

// service is the text of the key service, checked and resolved.
func (f *fields) service() string {
	name := f.text("service", true)
	if name == "" {
		return ""
	}
	return f.d.service(f.values["service"], name)
}

// integer is the value of key, at least least; missing when the key is not there.
func (f *fields) integer(key string, least, missing int) int {
	node := f.values[key]
	if f.keys[key] == nil {
		return missing
	}
	text, ok := f.d.text(node, key)
	if !ok {
		f.ok = false
		return missing
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		f.bad(node, fmt.Sprintf("expected a whole number from %d on", least), "%s cannot be %q", key, text)
		return missing
	}
	return n
}

// pattern is the regular expression of key, nil when the key is not there.
func (f *fields) pattern(key string, required bool) *regexp.Regexp {
	text := f.text(key, required)
	if text == "" {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		f.bad(f.values[key], "expected a regular expression in Go's (RE2) syntax", "%s does not compile: %s", key,
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	return re
}
