package memory

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
)

type volume struct {
	status    containers.VolumeStatus
	files     *files.Tree
	anonymous bool
}

func (e *Engine) newVolume(name string, labels map[string]string, anonymous bool) *volume {
	v := &volume{
		status: containers.VolumeStatus{Name: name, Created: time.Now(), Labels: maps.Clone(labels)},
		files:  files.New(), anonymous: anonymous,
	}
	e.volumes[name] = v
	return v
}

// EnsureVolume ignores drivers: all volumes are memory.
func (e *Engine) EnsureVolume(ctx context.Context, want containers.Volume) (containers.VolumeStatus, error) {
	if err := e.enter(ctx, "EnsureVolume"); err != nil {
		return containers.VolumeStatus{}, err
	}
	defer e.mu.Unlock()
	v := e.volumes[want.Name]
	switch {
	case want.Name == "":
		return containers.VolumeStatus{}, fmt.Errorf("%w: a volume needs a name", containers.ErrInvalid)
	case v == nil && want.External:
		return containers.VolumeStatus{}, fmt.Errorf("volume %s: %w", want.Name, containers.ErrNotFound)
	case v == nil:
		v = e.newVolume(want.Name, want.Labels, false)
	}
	return v.snapshot(), nil
}

func (v *volume) snapshot() containers.VolumeStatus {
	status := v.status
	status.Labels = maps.Clone(status.Labels)
	return status
}

// RemoveVolume refuses while any container, ended ones too, mounts it.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if err := e.enter(ctx, "RemoveVolume"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	for _, other := range sortedKeys(e.containers) {
		for _, m := range e.containers[other].mounts {
			if m.Volume == name && name != "" {
				return fmt.Errorf("volume %s is in use by %s: %w", name, other, containers.ErrConflict)
			}
		}
	}
	delete(e.volumes, name)
	return nil
}

// ListVolumes returns them by name.
func (e *Engine) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	if err := e.enter(ctx, "ListVolumes"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var found []containers.VolumeStatus
	for _, name := range sortedKeys(e.volumes) {
		if v := e.volumes[name]; carries(v.status.Labels, labels) {
			found = append(found, v.snapshot())
		}
	}
	return found, nil
}
