package waiters

import (
	"context"
	"net"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// TCP holds when a connection to Address opens.
type TCP struct {
	// Address is HOST:PORT, HOST a name or an address on the stack's network.
	Address string
}

// Look opens a connection and closes it.
func (t TCP) Look(ctx context.Context, w World) (Observation, error) {
	d := &dialer{w: w}
	conn, err := d.dial(ctx, t.Address)
	if err != nil {
		return d.verdict(ctx, err)
	}
	// What matters is that it opened.
	_ = conn.Close()
	return Observation{Holds: true, Detail: "connected"}, nil
}

func (t TCP) limit() time.Duration { return 5 * time.Second }

// String is "tcp HOST:PORT".
func (t TCP) String() string { return "tcp " + t.Address }

// References is the host.
func (t TCP) References() []string {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil
	}
	return []string{host}
}

func (d *decoder) tcp(node *yaml.Node, p *pacing) Condition {
	address, short := d.short(node)
	at := node
	if !short {
		if !d.mapping(node, "tcp", "HOST:PORT, or {address: HOST:PORT}") {
			return nil
		}
		f := d.long(node, p, "tcp", "address")
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
	return TCP{Address: net.JoinHostPort(d.host(at, host), port)}
}
