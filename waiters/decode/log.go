package decode

import (
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var logForm = form{
	"log", "The service has printed a line that matches", false, shapes.Fields{
		shapes.Key("service", "The service that prints", shapes.Scalar()),
		shapes.Key("match", "A regular expression (Go's, RE2) that a line must match", shapes.Scalar()),
		shapes.Key("count", "How many lines must match (default 1)", shapes.Whole(1, 1<<31-1)),
		shapes.Key("since", "Which lines count: start (default) those since the container's start, all, or those of a time such as 5m", shapes.Either(shapes.Words("start", "all"), shapes.Duration())),
	}, []string{"service", "match"},
}

func (d *decoder) log(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "log", "{service, match}") {
		return nil
	}
	f := d.long(node, p, logForm)
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
