package nodes_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

func parse(t *testing.T, text string) (nodes.Tree, *yaml.Node) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	list := &problems.List{}
	list.Source("f", []byte(text))
	return nodes.New("f", []byte(text), list), doc.Content[0]
}

func TestUses(t *testing.T) {
	for text, want := range map[string][]nodes.Use{
		"":                   nil,
		"plain $ $1 ${} $$A": nil,
		"$A-$B_1":            {{Name: "A", Text: "$A"}, {Name: "B_1", Text: "$B_1"}},
		"${A}${B}":           {{Name: "A", Text: "${A"}, {Name: "B", Text: "${B"}},
		"${A:-x}$B":          {{Name: "A", Text: "${A", Soft: true}, {Name: "B", Text: "$B"}},
		"${A:-${B}}$C":       {{Name: "A", Text: "${A", Soft: true}, {Name: "B", Text: "${B", Soft: true}, {Name: "C", Text: "$C"}},
		"${A?say ${B:-c}}":   {{Name: "A", Text: "${A", Soft: true}, {Name: "B", Text: "${B", Soft: true}},
		"${A+}":              {{Name: "A", Text: "${A", Soft: true}},
		"$${A} ${B":          {{Name: "B", Text: "${B"}},
	} {
		if diff := cmp.Diff(want, nodes.Uses(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestUsesFindsAll: what compose-go asks for, Uses has found.
func TestUsesFindsAll(t *testing.T) {
	parts := []string{"$", "$$", "{", "}", "A", "B", "${A}", "${B:-", "${A-", "$B", ":", "-", "x", " "}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 8).Draw(t, "parts"), "")
		var asked []string
		_, err := template.SubstituteWithOptions(text, func(name string) (string, bool) {
			asked = append(asked, name)
			return "v", true
		}, template.WithoutLogging)
		if err != nil {
			return // not a text that any file can have
		}
		for _, name := range asked {
			if !slices.ContainsFunc(nodes.Uses(text), func(u nodes.Use) bool { return u.Name == name }) {
				t.Fatalf("%q: compose-go asks for %s, Uses finds %v", text, name, nodes.Uses(text))
			}
		}
	})
}

func TestInterpolate(t *testing.T) {
	tree, node := parse(t, `
base: &base {url: "http://${HOST}:${PORT:-80}/", n: $N}
use:
  <<: *base
  list: [$HOST, "${NOT_SET}", $$literal]
`)
	env := map[string]string{"HOST": "db", "N": "7"}
	out, ok := tree.Interpolate(node, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if !ok {
		t.Error("it says that something went wrong")
	}
	var got map[string]any
	if err := out.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"base": map[string]any{"url": "http://db:80/", "n": 7},
		"use":  map[string]any{"url": "http://db:80/", "n": 7, "list": []any{"db", "", "$literal"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if all := tree.List.All(); len(all) != 1 || !all[0].Warning || all[0].Line != 5 || all[0].Col != 18 {
		t.Errorf("%+v", all)
	}
	if err := node.Decode(&got); err != nil || got["use"].(map[string]any)["n"] != "$N" {
		t.Errorf("the tree itself was changed: %v", got)
	}
}

func TestInterpolateProblems(t *testing.T) {
	tree, node := parse(t, "a: \"x ${}\"\nb: ${B:?say it}\n")
	if _, ok := tree.Interpolate(node, func(string) (string, bool) { return "", false }); ok {
		t.Error("it says that nothing went wrong")
	}
	if text := tree.List.Render(); !strings.Contains(text, "f:1:4: ") || !strings.Contains(text, "f:2:4: ") || !strings.Contains(text, "say it") {
		t.Error(text)
	}
}

func TestPosOf(t *testing.T) {
	tree, node := parse(t, "a: x ${A}\nb: \"ö $A\"\nc: |\n  one\n  two ${A}\nd: plain\n  more ${A}\n")
	for i, want := range []problems.Pos{{Line: 1, Col: 6}, {Line: 2, Col: 7}, {Line: 5, Col: 7}, {Line: 7, Col: 8}} {
		value := node.Content[2*i+1]
		want.File = "f"
		if got := tree.PosOf(value, nodes.Uses(value.Value)[0].Text); got != want {
			t.Errorf("%q: %v, not %v", value.Value, got, want)
		}
	}
	if got := tree.PosOf(node.Content[1], "nowhere"); got.Line != 1 || got.Col != 4 {
		t.Errorf("a text that is not there: %v", got)
	}
}

func TestScalars(t *testing.T) {
	tree, node := parse(t, "[1m30s, 90, 0s, -1s, 3, -3, x, true, yes, [], {}, null, stop, stopp, ab-1, A]")
	item := func(i int) *yaml.Node { return node.Content[i] }
	if d := tree.Duration(item(0), "d"); d != 90*time.Second {
		t.Error(d)
	}
	if n := tree.Count(item(4), "n", 1); n != 3 {
		t.Error(n)
	}
	if !tree.Bool(item(7), "b") || tree.Choice(item(12), "c", "stop", "go") != "stop" || !tree.Label(item(14), "l") {
		t.Error("a good value was refused")
	}
	if len(tree.List.All()) > 0 {
		t.Fatal(tree.List.Render())
	}
	for i, bad := range []func(){
		func() { tree.Duration(item(1), "d") }, func() { tree.Duration(item(2), "d") }, func() { tree.Duration(item(3), "d") },
		func() { tree.Duration(item(9), "d") }, func() { tree.Count(item(5), "n", 1) }, func() { tree.Count(item(6), "n", 1) },
		func() { tree.Bool(item(8), "b") }, func() { tree.Choice(item(13), "c", "stop", "go") }, func() { tree.Label(item(15), "l") },
		func() { tree.Texts(item(10), "t", "") }, func() { tree.Text(item(11), "t", "") },
	} {
		before := len(tree.List.All())
		if bad(); len(tree.List.All()) == before {
			t.Errorf("bad value %d was not reported", i)
		}
	}
}
