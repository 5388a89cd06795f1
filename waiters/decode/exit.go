package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

func (d *decoder) exit(node *yaml.Node, p *pacing) waiters.Condition {
	if name, short := d.short(node); short {
		return conditions.Exit{Service: d.service(node, name)}
	}
	if !d.mapping(node, "exit", "a service, or {service, code}") {
		return nil
	}
	f := d.long(node, p, "exit", "service", "code")
	e := conditions.Exit{Service: f.service(), Code: f.integer("code", 0, 0)}
	if e.Code > 255 {
		f.bad(f.values["code"], "expected 0 to 255", "code cannot be %d", e.Code)
	}
	if !f.ok {
		return nil
	}
	return e
}
