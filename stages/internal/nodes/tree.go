// Package nodes reads the parts of a stack file that are ours from their YAML
// trees: fields with their places, scalars of the few kinds there are, and the
// variables that stand in them. Nothing in it knows what a stage is.
package nodes

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// Tree is a YAML tree of one file, and where problems with it go.
type Tree struct {
	File string
	List *problems.List
	// Lines of the file, to put a caret on a variable inside a text; may be nil.
	Lines []string
}

// New returns the Tree of a file with this text.
func New(file string, text []byte, list *problems.List) Tree {
	return Tree{File: file, List: list, Lines: strings.Split(string(text), "\n")}
}

// Pos is where n stands; the whole file for a nil or made-up node.
func (t Tree) Pos(n *yaml.Node) problems.Pos {
	if n == nil {
		return problems.Pos{File: t.File}
	}
	return problems.Pos{File: t.File, Line: n.Line, Col: n.Column}
}

// PosOf is where the text stands inside n, as far as the file's lines show
// it; otherwise where n begins.
func (t Tree) PosOf(n *yaml.Node, text string) problems.Pos {
	pos := t.Pos(n)
	if pos.Line < 1 || pos.Col < 1 {
		return pos
	}
	first := min(pos.Line, len(t.Lines))
	for i := first; i <= len(t.Lines) && i < first+200; i++ {
		line := t.Lines[i-1]
		from := 0
		if i == pos.Line {
			for range pos.Col - 1 {
				_, size := utf8.DecodeRuneInString(line[from:])
				from += size
			}
		}
		if at := strings.Index(line[from:], text); at >= 0 {
			return problems.Pos{File: t.File, Line: i, Col: utf8.RuneCountInString(line[:from+at]) + 1}
		}
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 && i > pos.Line {
			break // a plain text over several lines: look at its second line, no further
		}
	}
	return pos
}

func resolve(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	return trees.Resolve(n)
}

// IsNull tells whether nothing stands there.
func IsNull(n *yaml.Node) bool {
	n = resolve(n)
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// Entries is trees.Entries, which has none for nil too.
func Entries(n *yaml.Node) []trees.Entry {
	if n == nil {
		return nil
	}
	return trees.Entries(n)
}

// Items are a sequence's items, aliases followed.
func Items(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = trees.Resolve(item)
	}
	return items
}

// Walk shows every scalar below n to see, keys too. What several aliases
// stand for is seen once.
func Walk(n *yaml.Node, see func(n *yaml.Node)) {
	seen := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		switch {
		case n == nil || seen[n]:
		case n.Kind == yaml.AliasNode:
			walk(n.Alias)
		default:
			seen[n] = true
			if n.Kind == yaml.ScalarNode {
				see(n)
			}
			for _, c := range n.Content {
				walk(c)
			}
		}
	}
	walk(n)
}

// WalkKeys shows every scalar that is a value below n to see, with the keys
// that lead to it. It follows aliases as often as they stand there.
func WalkKeys(n *yaml.Node, see func(path []string, n *yaml.Node)) {
	var walk func(path []string, n *yaml.Node)
	walk = func(path []string, n *yaml.Node) {
		n = resolve(n)
		switch {
		case n == nil:
		case n.Kind == yaml.ScalarNode:
			see(path, n)
		case n.Kind == yaml.MappingNode:
			for _, e := range trees.Entries(n) {
				walk(append(path[:len(path):len(path)], trees.Resolve(e.Key).Value), e.Value)
			}
		default:
			for _, c := range n.Content {
				walk(path, c)
			}
		}
	}
	walk(nil, n)
}
