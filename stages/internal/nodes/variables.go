package nodes

import (
	"errors"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// Use is one place of a text where a variable stands.
type Use struct {
	Name string
	// Text is how it stands there, up to the name's end: "$NAME" or "${NAME".
	Text string
	// Soft is true where the variable need not be set: it has a default, an
	// alternative or a message of its own, or stands inside another's.
	Soft bool
}

// Uses finds the variables of a text, in its order. It knows the language of
// ${} only so far as to find names; values come from compose-go.
func Uses(text string) []Use {
	var uses []Use
	depth := 0 // of ${NAME:-…} whose end has not come
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '}' && depth > 0:
			depth--
		case text[i] != '$' || i+1 == len(text):
		case text[i+1] == '$':
			i++
		default:
			start := i
			braced := text[i+1] == '{'
			if braced {
				i++
			}
			name := identifier(text[i+1:])
			if name == "" {
				continue
			}
			i += len(name)
			use := Use{Name: name, Text: text[start : i+1], Soft: depth > 0}
			if braced && i+1 < len(text) && strings.IndexByte(":-+?", text[i+1]) >= 0 {
				use.Soft = true
				depth++
			} else if braced {
				i++ // the closing brace
			}
			uses = append(uses, use)
		}
	}
	return uses
}

func identifier(s string) string {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return s[:i]
		}
	}
	return s
}

// EachUse shows every variable below n to see, with its place.
func (t Tree) EachUse(n *yaml.Node, see func(pos problems.Pos, u Use)) {
	Walk(n, func(n *yaml.Node) {
		for _, u := range Uses(n.Value) {
			see(t.PosOf(n, u.Text), u)
		}
	})
}

// Lookup gives a variable's value.
type Lookup = func(name string) (string, bool)

// Interpolate returns a copy of the tree below n in which every variable is
// replaced, aliases and merges are resolved, and places are kept. What goes wrong is
// reported where it stands, and ok is false then; a variable that is not set is worth a warning
// and counts as an empty text, as in Compose. The tree must be one that
// trees.Parse let pass: no alias in it contains itself.
func (t Tree) Interpolate(n *yaml.Node, lookup Lookup) (out *yaml.Node, ok bool) {
	ok = true
	var copied func(n *yaml.Node) *yaml.Node
	copied = func(n *yaml.Node) *yaml.Node {
		n = resolve(n)
		if n == nil {
			return nil
		}
		out := *n
		out.Anchor, out.Content = "", nil
		switch n.Kind {
		case yaml.MappingNode:
			for _, e := range trees.Entries(n) { // keys stand as they are
				out.Content = append(out.Content, resolve(e.Key), copied(e.Value))
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				out.Content = append(out.Content, copied(c))
			}
		}
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$") {
			value, good := t.substitute(n, lookup)
			out.Value, ok = value, ok && good
			if n.ShortTag() == "!!str" && n.Style == 0 {
				out.Tag = "" // ${PORT} may have become a number
			}
		}
		return &out
	}
	return copied(n), ok
}

func (t Tree) substitute(n *yaml.Node, lookup Lookup) (string, bool) {
	soft, unset := map[string]bool{}, map[string]string{}
	for _, u := range Uses(n.Value) {
		if u.Soft {
			soft[u.Name] = true
		} else if _, ok := lookup(u.Name); !ok {
			unset[u.Name] = u.Text
		}
	}
	for name, text := range unset {
		t.List.Warn(t.PosOf(n, text), "set it in the environment or in .env, or give it a default: ${"+name+":-…}", "the variable %s is not set: an empty text stands in its place", name)
	}
	// Names that may be unset are answered as they are; others as empty, so
	// that compose-go does not print a warning of its own.
	value, err := template.SubstituteWithOptions(n.Value, func(name string) (string, bool) {
		value, ok := lookup(name)
		return value, ok || !soft[name]
	}, template.WithoutLogging)
	var missing *template.MissingRequiredError
	switch {
	case errors.As(err, &missing):
		t.List.Add(t.PosOf(n, "${"+missing.Variable), "set "+missing.Variable+" in the environment or in .env", "%s", missing.Error())
	case err != nil:
		t.List.Add(t.Pos(n), "write $$ for a dollar sign that begins no variable", "%q holds a variable that cannot be read", n.Value)
	}
	return value, err == nil
}
