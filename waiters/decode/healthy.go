package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var healthyForm = form{
	"healthy", "The test of the service's healthcheck, which must stand in the file, passes", true, shapes.Fields{
		shapes.Key("service", "The service with the healthcheck", shapes.Scalar()),
	}, []string{"service"},
}

func (d *decoder) healthy(node *yaml.Node, p *pacing) waiters.Condition {
	if name, short := d.short(node); short {
		return conditions.Healthy{Service: d.service(node, name)}
	}
	if !d.mapping(node, "healthy", "a service, or {service}") {
		return nil
	}
	f := d.long(node, p, healthyForm)
	h := conditions.Healthy{Service: f.service()}
	if !f.ok {
		return nil
	}
	return h
}
