package timeline

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Change says what became of a step from one run to another.
type Change string

// The changes, the gravest first.
const (
	NowFails   Change = "failed"      // it had not failed before
	NotReached Change = "not reached" // or stopped, because something else failed
	Mended     Change = "mended"      // it had failed, or not been reached
	Slower     Change = "slower"
	Faster     Change = "faster"
	New        Change = "new"
	Gone       Change = "gone"
	Ran        Change = "ran"     // there had been nothing to do
	Spared     Change = "skipped" // there was nothing to do any more
)

// Difference is a step that is not what it was.
type Difference struct {
	Change Change `json:"change"`
	Step   string `json:"step"`
	// Before and After are the step in both runs; nil where it is not in one.
	Before *Row `json:"before,omitempty"`
	After  *Row `json:"after,omitempty"`
	// Effect is by how much longer the step took; less than 0 where it took less.
	Effect time.Duration `json:"effect"` // nanoseconds
}

// Comparison is what changed from one run to another.
type Comparison struct {
	Before *Run `json:"-"`
	After  *Run `json:"-"`
	// Runs are the IDs of both.
	Runs [2]string `json:"runs"`
	// Effect is by how much longer the whole run took.
	Effect time.Duration `json:"effect"` // nanoseconds
	// Changes have failures first and then the greatest effect, either way, first.
	Changes []Difference `json:"changes"`
	// Same is how many steps are as they were.
	Same int `json:"same"`
}

// A step is slower or faster where its time differs by more than a tenth and by
// more than noise, which the start of a container alone can make.
const noise = 100 * time.Millisecond

// Compare compares two runs, by the IDs of their steps.
func Compare(before, after *Run) Comparison {
	c := Comparison{Before: before, After: after, Runs: [2]string{before.ID, after.ID}, Effect: after.Took() - before.Took(), Changes: []Difference{}}
	old := map[string]*Row{}
	for _, r := range before.Rows {
		old[r.Step] = r
	}
	add := func(a, b *Row) {
		d := Difference{Step: cmp.Or(b, a).Step, Before: a, After: b}
		if a != nil {
			d.Effect -= a.Took()
		}
		if b != nil {
			d.Effect += b.Took()
		}
		if d.Change = changed(a, b, d.Effect); d.Change == "" {
			c.Same++
			return
		}
		c.Changes = append(c.Changes, d)
	}
	for _, r := range after.Rows {
		add(old[r.Step], r)
		delete(old, r.Step)
	}
	for _, r := range before.Rows {
		if old[r.Step] != nil {
			add(r, nil)
		}
	}
	slices.SortStableFunc(c.Changes, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(gravity(a.Change), gravity(b.Change)), cmp.Compare(b.Effect.Abs(), a.Effect.Abs()))
	})
	return c
}

// gravity puts what failed before what is a matter of time.
func gravity(c Change) int {
	return (slices.Index([]Change{NowFails, NotReached, Mended}, c) + 4) % 4
}

// missed: the step came to nothing, for no reason of its own.
func missed(r *Row) bool { return r.Outcome == events.Skipped && r.Error != "" }

func idle(r *Row) bool {
	return r.Outcome == events.Adopted || r.Outcome == events.Skipped && r.Error == ""
}

func changed(a, b *Row, effect time.Duration) Change {
	switch {
	case b != nil && b.Failed() && (a == nil || !a.Failed()):
		return NowFails
	case a == nil:
		return New
	case b == nil:
		return Gone
	case missed(b) && !missed(a):
		return NotReached
	case (a.Failed() || missed(a)) && b.Outcome.OK() && !missed(b):
		return Mended
	case idle(a) && !idle(b):
		return Ran
	case idle(b) && !idle(a):
		return Spared
	case idle(b) || a.Took() == 0 || b.Took() == 0:
		return ""
	case effect > max(noise, a.Took()/10):
		return Slower
	case -effect > max(noise, a.Took()/10):
		return Faster
	}
	return ""
}

// WriteTo writes the comparison as people read it.
func (c Comparison) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "before  %s\nafter   %s (%s)\n", text.Clean(c.Before.Title()), text.Clean(c.After.Title()), signed(c.Effect))
	if len(c.Changes) > 0 {
		rows := [][]string{{"CHANGE", "STEP", "BEFORE", "AFTER", "EFFECT", "WHY"}}
		for _, d := range c.Changes {
			rows = append(rows, []string{string(d.Change), text.Clean(d.Step), short(d.Before), short(d.After), effect(d), text.Clean(why(d))})
		}
		b.WriteString("\n" + text.Wrapped(rows))
	}
	fmt.Fprintf(&b, "\n%s changed, %d as before\n", text.Plural(len(c.Changes), "step"), c.Same)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func short(r *Row) string {
	switch {
	case r == nil:
		return "-"
	case r.Outcome == events.Done:
		return text.Duration(r.Took())
	}
	return r.State()
}

func signed(d time.Duration) string {
	if d < 0 {
		return "-" + text.Duration(-d)
	}
	return "+" + text.Duration(d)
}

func effect(d Difference) string {
	if d.Change != Slower && d.Change != Faster {
		return signed(d.Effect)
	}
	return fmt.Sprintf("%s, %.2gx", signed(d.Effect), float64(d.After.Took())/float64(d.Before.Took()))
}

// why says what the events know of the reason.
func why(d Difference) string {
	if d.After == nil {
		return ""
	}
	attempts := ""
	if before := d.Before; before != nil && before.Attempts > 0 && d.After.Attempts > 0 && before.Attempts != d.After.Attempts {
		attempts = fmt.Sprintf("%d attempts, had been %d", d.After.Attempts, before.Attempts)
	}
	cause := cmp.Or(strings.TrimPrefix(d.After.Error, "not reached: "), d.After.Cause)
	if d.Before != nil && d.After.Error == "" && d.Before.Cause == cause {
		cause = "" // the same as before explains nothing
	}
	return text.Joined("; ", cause, attempts)
}
