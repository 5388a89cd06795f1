package memory

import (
	"context"
	"fmt"
	"net"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/networks"
)

// EnsureNetwork ignores drivers and address pools.
func (e *Engine) EnsureNetwork(ctx context.Context, want containers.Network) error {
	if err := e.enter(ctx, "EnsureNetwork"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	return e.networks.Ensure(want)
}

// RemoveNetwork refuses while a running container is attached.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	if err := e.enter(ctx, "RemoveNetwork"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	return e.networks.Remove(name)
}

// ListNetworks returns their names, sorted.
func (e *Engine) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	if err := e.enter(ctx, "ListNetworks"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	return e.networks.List(func(own map[string]string) bool { return carries(own, labels) }), nil
}

// Dial of network "host" reaches what is published on the engine's host.
func (e *Engine) Dial(ctx context.Context, network, target string) (net.Conn, error) {
	if err := e.enter(ctx, "Dial"); err != nil {
		return nil, err
	}
	if network == "" {
		network = networks.Default
	}
	l, err := e.networks.Listener(networks.View{Networks: []string{network}, OnHost: network == networks.Host}, target)
	e.mu.Unlock()
	var c net.Conn
	if err == nil {
		c, err = l.Dial(ctx, "10.0.0.1:0", nil)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%s on network %s: %w: %w", target, network, containers.ErrUnreachable, err)
	}
	return c, nil
}

// attachments returns what c is attached to: the default where it asks for nothing.
func (c *container) attachments() []containers.Attachment {
	if len(c.spec.Networks) == 0 && (c.spec.NetworkMode == "" || c.spec.NetworkMode == "bridge") {
		return []containers.Attachment{{Network: networks.Default}}
	}
	return c.spec.Networks
}
