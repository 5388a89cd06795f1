package stages

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

// resolve finds what each stage needs, reports cycles, and brings the stages
// into an order in which each stands behind what it needs: the file's,
// wherever that is one.
func (r *reader) resolve() {
	for _, d := range r.declared {
		if d.Name != "" {
			r.byName[d.Name] = d
		}
	}
	for i, d := range r.declared {
		if d.needs == nil {
			r.defaultNeeds(i, d)
		} else {
			r.namedNeeds(d)
		}
	}
	if r.reportCycles() {
		return
	}
	r.sort()
	for i, d := range r.declared {
		d.index, d.before = i, new(big.Int)
		for _, name := range d.Needs {
			need := r.byName[name]
			d.before.SetBit(d.before.Or(d.before, need.before), need.index, 1)
		}
		for _, other := range r.declared[:i] {
			if d.Finally && !other.Finally {
				d.before.SetBit(d.before, other.index, 1)
			}
		}
	}
	r.ordered = true
}

// defaultNeeds is the stage above, of those that come finally the one above
// that does so too.
func (r *reader) defaultNeeds(i int, d *declared) {
	for _, above := range slices.Backward(r.declared[:i]) {
		if above.Finally == d.Finally && above.Name != "" {
			d.Needs = []string{above.Name}
			return
		}
	}
}

func (r *reader) namedNeeds(d *declared) {
	for _, n := range d.needs {
		need := r.byName[n.Value]
		switch {
		case need == nil:
			names := slices.DeleteFunc(slices.Collect(maps.Keys(r.byName)), func(name string) bool { return name == d.Name })
			r.list.Add(d.tree.Pos(n), problems.OneOf(n.Value, names), "stage %s needs %q, but there is no such stage", d.Name, n.Value)
		case need == d:
			r.list.Add(d.tree.Pos(n), "", "stage %s needs itself and can never start", d.Name)
		case need.Finally && !d.Finally:
			r.list.Add(d.tree.Pos(n), "finally stages come after all others: give stage "+d.Name+" finally: true too", "stage %s can never start: it needs %s, a finally stage", d.Name, n.Value)
		case d.Finally && !need.Finally:
			r.list.Add(d.tree.Pos(n), "leave it out: finally stages come after all others, and need only each other", "the finally stage %s comes after %s anyway", d.Name, n.Value)
		case !slices.Contains(d.Needs, n.Value):
			d.Needs = append(d.Needs, n.Value)
		}
	}
}

// reportCycles follows the needs from each stage and reports every way back
// that it meets.
func (r *reader) reportCycles() bool {
	var path []*declared
	done := map[*declared]bool{}
	found := false
	var visit func(d *declared)
	visit = func(d *declared) {
		if at := slices.Index(path, d); at >= 0 {
			found = true
			r.reportCycle(path[at:])
			return
		}
		if done[d] {
			return
		}
		path = append(path, d)
		for _, name := range d.Needs {
			visit(r.byName[name])
		}
		path = path[:len(path)-1]
		done[d] = true
	}
	for _, d := range r.declared {
		visit(d)
	}
	return found
}

func (r *reader) reportCycle(cycle []*declared) {
	var names, silent []string
	last := cycle[len(cycle)-1]
	for _, d := range cycle {
		names = append(names, d.Name)
		if d.needs == nil {
			silent = append(silent, d.Name)
		}
	}
	expected := ""
	if len(silent) > 0 {
		expected = "a stage without needs: needs the one above it, as " + strings.Join(silent, " and ") + " here; needs: [] is none"
	}
	pos := last.Pos
	if i := slices.IndexFunc(last.needs, func(n *yaml.Node) bool { return n.Value == cycle[0].Name }); i >= 0 {
		pos = last.tree.Pos(last.needs[i])
	}
	r.list.Add(pos, expected, "the stages need each other and can never start: %s", strings.Join(append(names, names[0]), " → "))
}

// sort moves a stage only as far behind as its needs ask for; finally stages come last.
func (r *reader) sort() {
	sorted := make([]*declared, 0, len(r.declared))
	placed := map[string]bool{}
	left := slices.Clone(r.declared)
	slices.SortStableFunc(left, func(a, b *declared) int {
		switch {
		case a.Finally == b.Finally:
			return 0
		case b.Finally:
			return -1
		}
		return 1
	})
	for len(left) > 0 {
		next := slices.IndexFunc(left, func(d *declared) bool {
			return !slices.ContainsFunc(d.Needs, func(name string) bool { return !placed[name] })
		})
		if next < 0 {
			break // only after a problem: a stage without a name, or two with one
		}
		placed[left[next].Name] = true
		sorted = append(sorted, left[next])
		left = slices.Delete(left, next, next+1)
	}
	r.declared = append(sorted, left...)
}

// precedes tells whether a is over before b begins. It is false for all while the order is unknown.
func (r *reader) precedes(a, b *declared) bool { return r.ordered && b.before.Bit(a.index) == 1 }
