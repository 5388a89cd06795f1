package stages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

// graph is a random acyclic graph of stages, in any order in the file.
type graph struct {
	names   []string // in the file's order
	needs   map[string][]string
	finally map[string]bool
}

func randomGraph(t *rapid.T) graph {
	n := rapid.IntRange(1, 12).Draw(t, "stages")
	g := graph{needs: map[string][]string{}, finally: map[string]bool{}}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		g.names = append(g.names, name)
		g.finally[name] = rapid.Bool().Draw(t, "finally") && i%3 == 2
		for _, before := range g.names[:i] {
			if g.finally[before] == g.finally[name] && rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
				g.needs[name] = append(g.needs[name], before)
			}
		}
	}
	g.names = rapid.Permutation(g.names).Draw(t, "order")
	return g
}

func (g graph) file() []byte {
	var services, list strings.Builder
	for _, name := range g.names {
		fmt.Fprintf(&services, "  %s: {image: i}\n", name)
		fmt.Fprintf(&list, "  - {name: %s, start: %s, needs: [%s], finally: %t}\n", name, name, strings.Join(g.needs[name], ", "), g.finally[name])
	}
	return []byte("services:\n" + services.String() + "stages:\n" + list.String())
}

func loadText(text []byte) (*stages.Stack, error) {
	return stages.Load(context.Background(), compose.Options{Files: []string{"-"}, Stdin: text, Name: "demo", Dir: "/", Environ: []string{}})
}

// TestOrder: whatever the order in the file, each stage comes behind what it
// needs, finally stages come last, and needs are what the file says.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		stack, err := loadText(g.file())
		if err != nil {
			t.Fatalf("%v", err)
		}
		at := map[string]int{}
		for i, st := range stack.Stages {
			at[st.Name] = i
			if !slices.Equal(st.Needs, g.needs[st.Name]) {
				t.Fatalf("%s needs %v, not %v", st.Name, st.Needs, g.needs[st.Name])
			}
		}
		if len(at) != len(g.names) {
			t.Fatalf("%d stages of %d", len(at), len(g.names))
		}
		for _, a := range g.names {
			for _, b := range g.names {
				if slices.Contains(g.needs[a], b) && at[b] > at[a] || g.finally[a] && !g.finally[b] && at[a] < at[b] {
					t.Fatalf("%s stands before %s in\n%s", a, b, g.file())
				}
			}
		}
	})
}

// TestOrderKeeps: a file whose order is one already keeps it.
func TestOrderKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		slices.SortFunc(g.names, func(a, b string) int {
			if g.finally[a] != g.finally[b] {
				return map[bool]int{true: 1, false: -1}[g.finally[a]]
			}
			var x, y int
			fmt.Sscanf(a, "s%d", &x)
			fmt.Sscanf(b, "s%d", &y)
			return x - y
		})
		stack, err := loadText(g.file())
		if err != nil {
			t.Fatalf("%v", err)
		}
		for i, st := range stack.Stages {
			if st.Name != g.names[i] {
				t.Fatalf("%s stands at %d, where %s stood", st.Name, i, g.names[i])
			}
		}
	})
}

// TestCycles: an edge against the order is a problem that names the whole cycle.
func TestCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "length")
		var names []string
		g := graph{needs: map[string][]string{}}
		for i := range n {
			names = append(names, fmt.Sprintf("s%d", i))
		}
		for i, name := range names {
			g.needs[name] = []string{names[(i+1)%n]}
		}
		g.names = rapid.Permutation(names).Draw(t, "order")
		_, err := loadText(g.file())
		if err == nil || strings.Count(err.Error(), "→") != n {
			t.Fatalf("%v", err)
		}
	})
}
