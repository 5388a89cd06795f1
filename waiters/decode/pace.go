package decode

import (
	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
)

// paceFields are those that every condition may have.
var paceFields = shapes.Fields{
	shapes.Key("every", "How long to wait from one look to the next (default from 10ms, backing off to 250ms)", shapes.Duration()),
	shapes.Key("timeout", "How long to wait at most (default for ever, within the stage's timeout)", zeroable),
	shapes.Key("stable_for", "How long it must hold without a break", zeroable),
}

// zeroable is a time that may be 0, too.
var zeroable = shapes.Either(shapes.Duration(), shapes.Shape{Enum: []any{0, "0"}})

// pacing collects the times of one condition from beside its kind and from inside.
type pacing struct {
	waiters.Pace
	bad  bool
	seen map[string]bool
}

// take reads the times among f's keys.
func (p *pacing) take(f *fields) {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	for _, key := range paceFields.Keys() {
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
