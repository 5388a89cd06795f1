package steps

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// preparers is how many containers are made ahead at a time.
const preparers = 4

// preparation is a container made before its step's turn. made is final once
// done is closed.
type preparation struct {
	*active
	done chan struct{}
	made bool
	// hurry ends the fetching of the image.
	hurry context.CancelFunc
}

// Prepare makes the container of a step whose turn comes when what runs now has
// ended, so that then it need only be started. It returns at once. What cannot
// be made ahead, or fails to be, is made at its turn.
func (c *Crew) Prepare(ctx context.Context, step *plan.Step, stage *stages.Stage) {
	if step.Action != plan.Create || step.Spec == nil || !preparable(step.Spec) {
		return
	}
	p := &preparation{active: &active{Step: step, stage: stage, attempt: 1}, done: make(chan struct{})}
	if _, ok := c.resolveSpec(p.active); !ok {
		return // it uses a value that is not handed on yet
	}
	fetching, hurry := context.WithCancel(ctx)
	p.hurry = hurry
	c.mu.Lock()
	c.prepared[step.ID] = p
	c.mu.Unlock()
	c.preparing.Go(func() {
		defer close(p.done)
		defer hurry()
		c.preparers <- struct{}{}
		defer func() { <-c.preparers }()
		if fetching.Err() != nil {
			return
		}
		image, err := c.Engine.EnsureImage(fetching, p.spec.Image, p.spec.Platform, p.spec.Pull, nil)
		if err != nil {
			return
		}
		p.spec.Labels[containers.LabelImage] = image.ID
		spec, err := c.lent(ctx, p.active)
		if err != nil {
			return
		}
		_, err = c.Engine.Create(ctx, spec)
		p.made, p.ours = err == nil, err == nil
	})
}

// preparable tells whether it makes no difference when the container is made. It
// does where its making touches what steps before it use: an image's files go into a
// new volume with the first container that mounts it, a bind's source may be made.
func preparable(spec *containers.Spec) bool {
	borrows := func(mode string) bool { return strings.HasPrefix(mode, "container:") }
	return spec.Pull != containers.PullAlways && spec.Build == nil && len(spec.VolumesFrom) == 0 &&
		!borrows(spec.NetworkMode) && !borrows(spec.IpcMode) && !borrows(spec.PidMode) &&
		!slices.ContainsFunc(spec.Mounts, func(m containers.Mount) bool {
			return m.Kind == containers.MountVolume && m.Source != "" || m.Kind == containers.MountBind && m.CreateHostPath
		})
}

// takePrepared waits for the container that is being made for the step, and
// says whether it is there to be started.
func (c *Crew) takePrepared(ctx context.Context, a *active) bool {
	c.mu.Lock()
	p := c.prepared[a.ID]
	c.mu.Unlock()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return false
	}
	c.mu.Lock()
	delete(c.prepared, a.ID)
	c.mu.Unlock()
	return p.made
}

// Discard removes, after Finish, the containers that were made for steps whose
// turn never came, which have never been started, and the namespaces that helpers shared.
func (c *Crew) Discard(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(c.prepared)) {
		p := c.prepared[id]
		delete(c.prepared, id)
		if err := c.destroy(ctx, p.active); err != nil {
			return fmt.Errorf("destroying %s: %w", p.Container, err)
		}
	}
	return c.dissolve(ctx)
}

// endPreparing ends what is made ahead: fetching at once, making in order.
func (c *Crew) endPreparing() {
	c.mu.Lock()
	for _, p := range c.prepared {
		p.hurry()
	}
	c.mu.Unlock()
	c.preparing.Wait()
}
