package conditions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// dialer dials from inside the stack's network through the engine and keeps
// the last failure: clients that dial by it wrap errors as they like.
type dialer struct {
	w waiters.World

	mu  sync.Mutex
	err error
}

// dial opens a connection to HOST:PORT: a name of the stack on its own
// network, any other host on the stack's default network.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := d.open(ctx, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	return conn, err
}

func (d *dialer) open(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", containers.ErrUnreachable, err)
	}
	network := d.w.Network
	if i, ok := d.w.Find(host); ok {
		if i.Network == "" {
			return nil, fmt.Errorf("%w: %s has no network", containers.ErrUnreachable, host)
		}
		network = i.Network
	}
	return d.w.Engine.Dial(ctx, network, address)
}

// verdict turns the failure of a client that used the dialer into what was
// seen, or into an error where the engine is broken. ctx is the look's.
func (d *dialer) verdict(ctx context.Context, err error) (waiters.Observation, error) {
	d.mu.Lock()
	dialled := d.err
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return waiters.Observation{}, ctx.Err()
	case dialled == nil && errors.Is(err, containers.ErrUnavailable):
		return waiters.Observation{}, err
	case dialled == nil:
		return waiters.Observation{Detail: brief(err)}, nil
	case errors.Is(dialled, containers.ErrUnreachable):
		return waiters.Observation{Detail: brief(dialled)}, nil
	case errors.Is(dialled, containers.ErrNotFound):
		return waiters.Observation{Detail: "not created yet"}, nil
	}
	return waiters.Observation{}, fmt.Errorf("dialling: %w", dialled)
}

// brief says what is wrong with a connection in the same words at every
// look: local port numbers differ each time and are left out.
func brief(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	text := err.Error()
	// Before it stands the address, which the reader of a wait knows.
	if _, after, found := strings.Cut(text, containers.ErrUnreachable.Error()+": "); found {
		text = after
	}
	if strings.Contains(text, "connection refused") {
		return "refused"
	}
	return texts.Shorten(text)
}
