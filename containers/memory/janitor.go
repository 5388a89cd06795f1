package memory

import (
	"context"
	"fmt"
	"maps"

	"github.com/stagehand-dev/stagehand/containers"
)

var _ containers.Janitor = (*Engine)(nil)

// Networks keeps no times.
func (e *Engine) Networks(ctx context.Context, labels map[string]string) ([]containers.NetworkStatus, error) {
	if err := e.enter(ctx, "Networks"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var found []containers.NetworkStatus
	for _, name := range e.networks.List(func(own map[string]string) bool { return carries(own, labels) }) {
		found = append(found, containers.NetworkStatus{Name: name, Labels: maps.Clone(e.networks.Labels(name))})
	}
	return found, nil
}

// Images carry no labels here.
func (e *Engine) Images(ctx context.Context, labels map[string]string) ([]containers.ImageStatus, error) {
	if err := e.enter(ctx, "Images"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var found []containers.ImageStatus
	for _, ref := range sortedKeys(e.images) {
		if len(labels) == 0 {
			found = append(found, containers.ImageStatus{ID: e.images[ref].id, Names: []string{ref}})
		}
	}
	return found, nil
}

// RemoveImage leaves the image in the registry.
func (e *Engine) RemoveImage(ctx context.Context, id string) error {
	if err := e.enter(ctx, "RemoveImage"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	for _, name := range sortedKeys(e.containers) {
		if e.containers[name].image.id == id {
			return fmt.Errorf("image %s is used by %s: %w", id, name, containers.ErrConflict)
		}
	}
	maps.DeleteFunc(e.images, func(_ string, i image) bool { return i.id == id })
	return nil
}
