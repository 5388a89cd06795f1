package declared

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
)

// Order finds what each stage needs, reports cycles, and brings the stages
// into an order in which each stands behind what it needs: the file's,
// wherever that is one.
func (f *File) Order() {
	for _, d := range f.Stages {
		if d.Name != "" {
			f.ByName[d.Name] = d
		}
	}
	for i, d := range f.Stages {
		if d.Needs == nil {
			f.defaultNeeds(i, d)
		} else {
			f.namedNeeds(d)
		}
	}
	if f.reportCycles() {
		return
	}
	f.sort()
	for i, d := range f.Stages {
		d.index, d.before = i, new(big.Int)
		for _, name := range d.After {
			need := f.ByName[name]
			d.before.SetBit(d.before.Or(d.before, need.before), need.index, 1)
		}
		for _, other := range f.Stages[:i] {
			if d.Finally && !other.Finally {
				d.before.SetBit(d.before, other.index, 1)
			}
		}
	}
	f.Ordered = true
}

// defaultNeeds is the stage above, of those that come finally the one above
// that does so too.
func (f *File) defaultNeeds(i int, d *Stage) {
	for _, above := range slices.Backward(f.Stages[:i]) {
		if above.Finally == d.Finally && above.Name != "" {
			d.After = []string{above.Name}
			return
		}
	}
}

func (f *File) namedNeeds(d *Stage) {
	for _, n := range d.Needs {
		need := f.ByName[n.Value]
		switch {
		case need == nil:
			names := slices.DeleteFunc(slices.Collect(maps.Keys(f.ByName)), func(name string) bool { return name == d.Name })
			f.list.Add(d.Tree.Pos(n), problems.OneOf(n.Value, names), "stage %s needs %q, but there is no such stage", d.Name, n.Value)
		case need == d:
			f.list.Add(d.Tree.Pos(n), "", "stage %s needs itself and can never start", d.Name)
		case need.Finally && !d.Finally:
			f.list.Add(d.Tree.Pos(n), "finally stages come after all others: give stage "+d.Name+" finally: true too", "stage %s can never start: it needs %s, a finally stage", d.Name, n.Value)
		case d.Finally && !need.Finally:
			f.list.Add(d.Tree.Pos(n), "leave it out: finally stages come after all others, and need only each other", "the finally stage %s comes after %s anyway", d.Name, n.Value)
		case !slices.Contains(d.After, n.Value):
			d.After = append(d.After, n.Value)
		}
	}
}

// reportCycles follows the needs from each stage and reports every way back
// that it meets.
func (f *File) reportCycles() bool {
	var path []*Stage
	done := map[*Stage]bool{}
	found := false
	var visit func(d *Stage)
	visit = func(d *Stage) {
		if at := slices.Index(path, d); at >= 0 {
			found = true
			f.reportCycle(path[at:])
			return
		}
		if done[d] {
			return
		}
		path = append(path, d)
		for _, name := range d.After {
			visit(f.ByName[name])
		}
		path = path[:len(path)-1]
		done[d] = true
	}
	for _, d := range f.Stages {
		visit(d)
	}
	return found
}

func (f *File) reportCycle(cycle []*Stage) {
	var names, silent []string
	last := cycle[len(cycle)-1]
	for _, d := range cycle {
		names = append(names, d.Name)
		if d.Needs == nil {
			silent = append(silent, d.Name)
		}
	}
	expected := ""
	if len(silent) > 0 {
		expected = "a stage without needs: needs the one above it, as " + strings.Join(silent, " and ") + " here; needs: [] is none"
	}
	pos := last.Pos
	if i := slices.IndexFunc(last.Needs, func(n *yaml.Node) bool { return n.Value == cycle[0].Name }); i >= 0 {
		pos = last.Tree.Pos(last.Needs[i])
	}
	f.list.Add(pos, expected, "the stages need each other and can never start: %s", strings.Join(append(names, names[0]), " → "))
}

// sort moves a stage only as far behind as its needs ask for; finally stages come last.
func (f *File) sort() {
	sorted := make([]*Stage, 0, len(f.Stages))
	placed := map[string]bool{}
	left := slices.Clone(f.Stages)
	slices.SortStableFunc(left, func(a, b *Stage) int {
		switch {
		case a.Finally == b.Finally:
			return 0
		case b.Finally:
			return -1
		}
		return 1
	})
	for len(left) > 0 {
		next := slices.IndexFunc(left, func(d *Stage) bool {
			return !slices.ContainsFunc(d.After, func(name string) bool { return !placed[name] })
		})
		if next < 0 {
			break // only after a problem: a stage without a name, or two with one
		}
		placed[left[next].Name] = true
		sorted = append(sorted, left[next])
		left = slices.Delete(left, next, next+1)
	}
	f.Stages = append(sorted, left...)
}

// Precedes tells whether a is over before b begins. It is false for all while the order is unknown.
func (f *File) Precedes(a, b *Stage) bool { return f.Ordered && b.before.Bit(a.index) == 1 }
