package trees

import (
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"good":                {"a: {b: [1]}\n", ""},
		"empty":               {"# nothing\n", ""},
		"two documents":       {"a: 1\n---\nb: 2\n", ""},
		"not UTF-8":           {"a: \xff\n", "f: the file is not text in UTF-8"},
		"parser's place":      {"a: [1, 2\nb: 3\n", "f:2:2: YAML: did not find expected ',' or ']', while parsing a flow sequence that begins in line 1"},
		"scanner's place":     {"a: b: c\n", "f:1:5: YAML: mapping values are not allowed in this context"},
		"composer's place":    {"a: *x\n", "f:1:4: YAML: unknown anchor 'x' referenced"},
		"tab":                 {"a:\n\tb: c\n", "f:2:1: YAML: a tab stands where only spaces may"},
		"duplicate":           {"a: 1\nb: {c: 1, c: 2}\n", "f:2:11: key \"c\" stands twice"},
		"list":                {"- a\n", "f:1:1: the file is a list"},
		"key of another kind": {"1: a\n", "f:1:1: a key must be text, this one is a number"},
		"merge of a text":     {"a: {<<: b}\n", "f:1:9: << cannot merge a string"},
		"alias of itself":     {"a: &x [*x]\n", "f:1:8: alias *x contains itself"},
	} {
		t.Run(name, func(t *testing.T) {
			var list problems.List
			_, ok := Parse("f", []byte(c.text), &list)
			got := ""
			for _, p := range list.All() {
				got += p.Pos.String() + ": " + p.Message
			}
			if got != c.want || ok != (c.want == "") {
				t.Errorf("ok %v, %s\nwant %s", ok, got, c.want)
			}
		})
	}
}

// TestBomb: a few lines that stand for ten thousand million values.
func TestBomb(t *testing.T) {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		a, b := string(rune('0'+i)), string(rune('1'+i))
		ref := "*a" + a
		text += "a" + b + ": &a" + b + " [" + ref + "," + ref + "," + ref + "," + ref + "," + ref + "," + ref + "," + ref + "," + ref + "," + ref + "," + ref + "]\n"
	}
	var list problems.List
	if _, ok := Parse("f", []byte(text), &list); ok {
		t.Error("accepted")
	}
}

func TestFind(t *testing.T) {
	var list problems.List
	docs, ok := Parse("f", []byte(`base: &base
  image: x
  user: u
a:
  <<: *base
  user: v
  env: [K=1, L]
  on: {deep: [{x: y}]}
`), &list)
	if !ok {
		t.Fatal(list.Render())
	}
	for _, c := range []struct {
		path  []string
		line  int
		depth int
	}{
		{[]string{"a", "image"}, 2, 2}, {[]string{"a", "user"}, 6, 2}, {[]string{"a", "env", "1"}, 7, 3}, {[]string{"a", "env", "K"}, 7, 3},
		{[]string{"a", "env", "M"}, 7, 2}, {[]string{"a", "on", "deep", "0", "x"}, 8, 5}, {[]string{"a", "env", "9"}, 7, 2}, {[]string{"none"}, 1, 0},
	} {
		_, value, depth := Find(docs[0], c.path...)
		if depth != c.depth || value.Line != c.line {
			t.Errorf("%v: line %d, depth %d", c.path, value.Line, depth)
		}
	}
	if Resolve(nil).Kind != yaml.ScalarNode || Entries(nil) != nil {
		t.Error("nil is not empty")
	}
}
