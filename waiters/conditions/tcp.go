package conditions

import (
	"context"
	"net"
	"time"

	"github.com/stagehand-dev/stagehand/waiters"
)

// TCP holds when a connection to Address opens.
type TCP struct {
	// Address is HOST:PORT, HOST a name or an address on the stack's network.
	Address string
}

// Look opens a connection and closes it.
func (t TCP) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	d := &dialer{w: w}
	conn, err := d.dial(ctx, t.Address)
	if err != nil {
		return d.verdict(ctx, err)
	}
	// What matters is that it opened.
	_ = conn.Close()
	return waiters.Observation{Holds: true, Detail: "connected"}, nil
}

// Limit is short: where packets are dropped the next look may fare better.
func (t TCP) Limit() time.Duration { return 5 * time.Second }

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
