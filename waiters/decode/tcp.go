package decode

import (
	"net"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var tcpForm = form{
	"tcp", "A connection to HOST:PORT opens; HOST is a name on the stack's network", true, shapes.Fields{
		shapes.Key("address", "HOST:PORT, such as db:5432", shapes.Scalar()),
	}, []string{"address"},
}

func (d *decoder) tcp(node *yaml.Node, p *pacing) waiters.Condition {
	address, short := d.short(node)
	at := node
	if !short {
		if !d.mapping(node, "tcp", "HOST:PORT, or {address: HOST:PORT}") {
			return nil
		}
		f := d.long(node, p, tcpForm)
		if address = f.text("address", true); !f.ok {
			return nil
		}
		at = f.values["address"]
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		d.problem(at, "expected HOST:PORT, such as haf:5432", "tcp cannot be %q", address)
		return nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		d.problem(at, "expected a port from 1 to 65535", "the port cannot be %q", port)
		return nil
	}
	return conditions.TCP{Address: net.JoinHostPort(d.host(at, host), port)}
}
