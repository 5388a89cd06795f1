// Package decode reads conditions and calls as they stand in a stack file.
package decode

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/waiters"
)

// Scope is where conditions are read: it collects problems and checks names.
type Scope struct {
	// File is the path of the file, as problems show it; relative paths in
	// conditions (tls.ca) start in its folder.
	File     string
	Problems *problems.List
	// Service, if not nil, is called for each name that must be a service (exit, healthy,
	// log, exec, file), as written, so that the reader can check it.
	Service func(node *yaml.Node, name string)
	// Host, if not nil, is called likewise for each host that is dialled (tcp,
	// http, sql), which need not be the stack's.
	Host func(node *yaml.Node, name string)
	// Resolve, if not nil, gives the name that a service or host stands for:
	// for a template the instance APP-SERVICE. Conditions hold what it returns.
	Resolve func(name string) string
}

const (
	// maxConditions bounds what aliases of aliases can blow up to.
	maxConditions = 1000
	maxDepth      = 32
)

// Kinds are the keys of the conditions.
func Kinds() []string { return slices.Clone(kinds) }

var kinds = kindFields.Keys()

// Condition reads a condition: a mapping with one of Kinds as a key, beside which
// (or inside whose long form) every, timeout and stable_for may stand; then
// the result is a Timed. Everything wrong is reported to s.Problems; the result is nil when
// the condition cannot be used.
func Condition(s *Scope, node *yaml.Node) waiters.Condition {
	return (&decoder{Scope: s, left: maxConditions}).condition(node, 0)
}

// decoder reads one condition with its parts.
type decoder struct {
	*Scope
	// left is how many further parts are read.
	left int
}

func (d *decoder) condition(node *yaml.Node, depth int) waiters.Condition {
	if d.left--; d.left < 0 || depth > maxDepth {
		d.problem(node, "", "the condition has too many parts, or contains itself")
		return nil
	}
	node = resolve(node)
	if node == nil || node.Kind != yaml.MappingNode {
		hint := "expected a mapping with one of: " + strings.Join(Kinds(), ", ")
		if node != nil && node.Kind == yaml.SequenceNode {
			hint = "put the list under all: or any:"
		}
		d.problem(node, hint, "a condition cannot be %s", describe(node))
		return nil
	}
	f := d.fields(node, "a condition", append(Kinds(), paceFields.Keys()...))
	p := &pacing{}
	p.take(f)
	var kind string
	for _, key := range f.order {
		if !slices.Contains(kinds, key) {
			continue
		}
		if kind != "" {
			f.bad(f.keys[key], "put them under all: [...] or any: [...]", "a condition has one kind, this one has %s and %s", kind, key)
			continue
		}
		kind = key
	}
	if kind == "" {
		if f.ok {
			d.problem(node, "expected one of: "+strings.Join(Kinds(), ", "), "the condition has no kind")
		}
		return nil
	}
	c := d.kind(kind, f.values[kind], p, depth)
	if c == nil || !f.ok || p.bad {
		return nil
	}
	if p.Pace != (waiters.Pace{}) {
		return waiters.Timed{Condition: c, Pace: p.Pace}
	}
	return c
}

func (d *decoder) kind(kind string, node *yaml.Node, p *pacing, depth int) waiters.Condition {
	switch kind {
	case "exit":
		return d.exit(node, p)
	case "healthy":
		return d.healthy(node, p)
	case "tcp":
		return d.tcp(node, p)
	case "http":
		if h := d.http(node, p); h != nil {
			return *h
		}
		return nil
	case "log":
		return d.log(node, p)
	case "exec":
		return d.exec(node, p)
	case "sql":
		return d.sql(node, p)
	case "file":
		return d.file(node, p)
	}
	return d.several(kind, node, depth)
}
