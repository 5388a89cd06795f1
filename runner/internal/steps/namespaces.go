package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
)

// namespaces are the network namespaces that helpers share, by the names of the idle containers that
// hold them. They are nobody's once the last helper is gone, and of a run that died the next one's.
type namespaces struct {
	busy chan struct{} // holds one while a namespace is looked for or made
	// held tells of each whether it is known to run.
	held map[string]bool
}

// lent is the step's spec as the engine is to have it: where it shares a network, it joins
// the namespace for its networks, which is made for the first helper in it. An engine that has no idle
// containers gives each helper a network of its own.
func (c *Crew) lent(ctx context.Context, a *active) (containers.Spec, error) {
	spec := a.spec
	idler, can := containers.AsIdler(c.Engine)
	if !a.Unit.SharedNetwork || len(spec.Networks) == 0 || !can {
		return spec, nil
	}
	name, err := c.namespace(ctx, idler, spec, a.attempt > 1)
	if err != nil {
		return spec, fmt.Errorf("the network that helpers share: %w", err)
	}
	spec.Networks, spec.NetworkMode = nil, "container:"+name
	return spec, nil
}

// namespace is the container that holds the namespace for the spec's networks, and runs: looked at again where it is in doubt.
func (c *Crew) namespace(ctx context.Context, idler containers.Idler, spec containers.Spec, doubted bool) (string, error) {
	select {
	case c.namespaces.busy <- struct{}{}:
		defer func() { <-c.namespaces.busy }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	var networks []string
	for _, attachment := range spec.Networks {
		networks = append(networks, attachment.Network)
	}
	name := containers.Name(c.Stack.Name, "namespace", strings.Join(networks, "."))
	if c.namespaces.held[name] && !doubted {
		return name, nil
	}
	idle, err := idler.Idle(ctx)
	if err != nil {
		return "", err
	}
	idle.Name = name
	for _, network := range networks {
		idle.Networks = append(idle.Networks, containers.Attachment{Network: network})
	}
	idle.Labels = containers.Namespaces(c.Stack.Name)
	idle.Labels[containers.LabelRun], idle.Labels[containers.LabelSpec] = c.Run, idle.Hash()
	status, err := c.Engine.Create(ctx, idle)
	if errors.Is(err, containers.ErrConflict) && status.Labels[containers.LabelRole] == containers.RoleNamespace && containers.StackOf(status.Labels) == c.Stack.Name {
		err = nil // another version of stagehand made it
	}
	if err != nil {
		return "", err
	}
	c.namespaces.held[name] = false
	if !status.Running() {
		if err := c.Engine.Start(ctx, name); err != nil {
			return "", err
		}
	}
	c.namespaces.held[name] = true
	return name, nil
}

// dissolve removes the namespaces, after Finish: no helper is in them any more.
func (c *Crew) dissolve(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(c.namespaces.held)) {
		if err := c.Engine.Destroy(ctx, name); err != nil {
			return fmt.Errorf("destroying %s: %w", name, err)
		}
		delete(c.namespaces.held, name)
	}
	return nil
}
