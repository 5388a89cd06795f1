package decode

import (
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

func (d *decoder) log(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "log", "{service, match}") {
		return nil
	}
	f := d.long(node, p, "log", "service", "match", "count", "since")
	l := conditions.Log{Service: f.service(), Match: f.pattern("match", true), Count: f.integer("count", 1, 1)}
	switch since := f.text("since", false); since {
	case "", "start":
	case "all":
		l.Since.All = true
	default:
		ago, err := time.ParseDuration(since)
		if err != nil || ago <= 0 {
			f.bad(f.values["since"], "expected start, all, or a duration such as 5m", "since cannot be %q", since)
		}
		l.Since.Ago = ago
	}
	if !f.ok {
		return nil
	}
	return l
}
