package nodes

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

// Text is the text of a scalar; what names the key in the problem that is
// reported for anything else.
func (t Tree) Text(n *yaml.Node, what, expected string) (string, bool) {
	r := resolve(n)
	switch {
	case IsNull(r):
		t.List.Add(t.Pos(n), expected, "%s has no value", what)
	case r.Kind != yaml.ScalarNode || r.Value == "":
		t.List.Add(t.Pos(n), expected, "%s cannot be %s", what, Kind(r))
	default:
		return r.Value, true
	}
	return "", false
}

// Kind says what a node is, for people.
func Kind(n *yaml.Node) string {
	n = resolve(n)
	switch {
	case IsNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "an empty list"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Value == "":
		return "an empty text"
	}
	return strconv.Quote(n.Value)
}

// Texts reads one scalar or a list of scalars and returns the scalars' nodes.
// ok is false when anything else was there, which is reported.
func (t Tree) Texts(n *yaml.Node, what, expected string) (texts []*yaml.Node, ok bool) {
	r := resolve(n)
	if r == nil || r.Kind != yaml.SequenceNode {
		_, ok := t.Text(n, what, expected)
		if !ok {
			return nil, false
		}
		return []*yaml.Node{r}, true
	}
	ok = true
	for _, item := range Items(r) {
		if _, good := t.Text(item, "an item of "+what, expected); !good {
			ok = false
			continue
		}
		texts = append(texts, item)
	}
	return texts, ok
}

// Duration reads a time such as 90s or 2m, which must be more than 0.
func (t Tree) Duration(n *yaml.Node, what string) time.Duration {
	const expected = "a time with its unit, such as 500ms, 90s, 5m or 1h30m"
	text, ok := t.Text(n, what, expected)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.List.Add(t.Pos(n), expected, "%s: %q is not a time", what, text)
		return 0
	}
	if d <= 0 {
		t.List.Add(t.Pos(n), "leave the key out where there is no limit", "%s must be more than 0", what)
		return 0
	}
	return d
}

// Count reads a whole number of at least least.
func (t Tree) Count(n *yaml.Node, what string, least int) int {
	text, ok := t.Text(n, what, "a whole number, at least "+strconv.Itoa(least))
	if !ok {
		return 0
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < least || count > 1_000_000 {
		t.List.Add(t.Pos(n), "a whole number, at least "+strconv.Itoa(least), "%s cannot be %q", what, text)
		return 0
	}
	return count
}

// Bool reads true or false.
func (t Tree) Bool(n *yaml.Node, what string) bool {
	text, ok := t.Text(n, what, "true or false")
	if !ok {
		return false
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		t.List.Add(t.Pos(n), "true or false", "%s cannot be %q", what, text)
	}
	return b
}

// Choice reads one of the words; "" when it is another.
func (t Tree) Choice(n *yaml.Node, what string, words ...string) string {
	text, ok := t.Text(n, what, "one of: "+strings.Join(words, ", "))
	if !ok {
		return ""
	}
	if !slices.Contains(words, text) {
		t.List.Add(t.Pos(n), problems.OneOf(text, words), "%s cannot be %q", what, text)
		return ""
	}
	return text
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Label reports a name that is no DNS label: container names are made of it.
func (t Tree) Label(n *yaml.Node, what string) bool {
	name := resolve(n).Value
	if label.MatchString(name) {
		return true
	}
	t.List.Add(t.Pos(n), "lower-case letters, digits and - inside, at most 63 characters: containers are named after it", "%s cannot be named %q", what, name)
	return false
}
