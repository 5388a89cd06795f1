package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var exitForm = form{
	"exit", "The service has ended with exit code 0", true, shapes.Fields{
		shapes.Key("service", "The service that ends", shapes.Scalar()),
		shapes.Key("code", "The exit code that it must have (default 0)", shapes.Whole(0, 255)),
	}, []string{"service"},
}

func (d *decoder) exit(node *yaml.Node, p *pacing) waiters.Condition {
	if name, short := d.short(node); short {
		return conditions.Exit{Service: d.service(node, name)}
	}
	if !d.mapping(node, "exit", "a service, or {service, code}") {
		return nil
	}
	f := d.long(node, p, exitForm)
	e := conditions.Exit{Service: f.service(), Code: f.integer("code", 0, 0)}
	if e.Code > 255 {
		f.bad(f.values["code"], "expected 0 to 255", "code cannot be %d", e.Code)
	}
	if !f.ok {
		return nil
	}
	return e
}
