package waiters

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
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

// The keys that every condition may have.
var paceKeys = []string{"every", "timeout", "stable_for"}

// Kinds are the keys of the conditions.
func Kinds() []string {
	return []string{"exit", "healthy", "tcp", "http", "log", "exec", "sql", "file", "all", "any"}
}

// Decode reads a condition: a mapping with one of Kinds as a key, beside which
// (or inside whose long form) every, timeout and stable_for may stand; then
// the result is a Timed. Everything wrong is reported to s.Problems; the result is nil when
// the condition cannot be used.
func Decode(s *Scope, node *yaml.Node) Condition {
	return (&decoder{Scope: s, left: maxConditions}).condition(node, 0)
}

// decoder reads one condition with its parts.
type decoder struct {
	*Scope
	// left is how many further parts are read.
	left int
}

func (d *decoder) condition(node *yaml.Node, depth int) Condition {
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
	f := d.fields(node, "a condition", append(Kinds(), paceKeys...))
	p := &pacing{}
	p.take(f)
	var kind string
	for _, key := range f.order {
		if !slices.Contains(Kinds(), key) {
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
	if p.Pace != (Pace{}) {
		return Timed{Condition: c, Pace: p.Pace}
	}
	return c
}

func (d *decoder) kind(kind string, node *yaml.Node, p *pacing, depth int) Condition {
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

// pacing collects the times of one condition from beside its kind and from inside.
type pacing struct {
	Pace
	bad  bool
	seen map[string]bool
}

// take reads the times among f's keys.
func (p *pacing) take(f *fields) {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	for _, key := range paceKeys {
		node := f.values[key]
		if node == nil {
			continue
		}
		if p.seen[key] {
			p.bad = true
			f.bad(f.keys[key], "keep one of them", "%s stands twice for one condition", key)
			continue
		}
		p.seen[key] = true
		value, ok := f.d.duration(node, key)
		switch {
		case !ok:
			p.bad = true
		case value == 0 && key == "every":
			p.bad = true
			f.bad(node, "leave it out: looks then follow each other from 10ms, backing off to 250ms", "every must be longer than 0")
		case key == "every":
			p.Every = value
		case key == "timeout":
			p.Timeout = value
		default:
			p.StableFor = value
		}
	}
}

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
func (d *decoder) long(node *yaml.Node, p *pacing, what string, known ...string) *fields {
	f := d.fields(node, what, append(known, paceKeys...))
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
