package docker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

var _ containers.Janitor = (*Engine)(nil)

// Networks implements containers.Janitor.
func (e *Engine) Networks(ctx context.Context, labels map[string]string) ([]containers.NetworkStatus, error) {
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure.Of(ctx, err, "list networks")
	}
	statuses := make([]containers.NetworkStatus, 0, len(found))
	for _, n := range found {
		statuses = append(statuses, containers.NetworkStatus{Name: n.Name, Created: n.Created, Labels: maps.Clone(n.Labels)})
	}
	slices.SortFunc(statuses, func(a, b containers.NetworkStatus) int { return strings.Compare(a.Name, b.Name) })
	return statuses, nil
}

// Images implements containers.Janitor.
func (e *Engine) Images(ctx context.Context, labels map[string]string) ([]containers.ImageStatus, error) {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure.Of(ctx, err, "list images")
	}
	statuses := make([]containers.ImageStatus, 0, len(found))
	for _, i := range found {
		names := slices.DeleteFunc(slices.Clone(i.RepoTags), func(tag string) bool { return tag == "<none>:<none>" })
		statuses = append(statuses, containers.ImageStatus{ID: i.ID, Names: names, Created: time.Unix(i.Created, 0).UTC(), Labels: maps.Clone(i.Labels)})
	}
	slices.SortFunc(statuses, func(a, b containers.ImageStatus) int { return strings.Compare(a.ID, b.ID) })
	return statuses, nil
}

// RemoveImage implements containers.Janitor. An image with several names is
// removed by each of them, never by force: the engine would remove one that is in use.
func (e *Engine) RemoveImage(ctx context.Context, id string) error {
	found, err := e.api.ImageInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failure.Of(ctx, err, "image %s", id)
	}
	names := found.RepoTags
	if len(names) == 0 {
		names = []string{found.ID}
	}
	for _, name := range names {
		if _, err := e.api.ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
			return failure.Of(ctx, err, "remove image %s", name)
		}
	}
	return nil
}
