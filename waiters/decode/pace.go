package decode

import "github.com/stagehand-dev/stagehand/waiters"

// The keys that every condition may have.
var paceKeys = []string{"every", "timeout", "stable_for"}

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
	for _, key := range paceKeys {
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
