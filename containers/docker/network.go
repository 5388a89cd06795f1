package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// EnsureNetwork implements containers.Engine.
func (e *Engine) EnsureNetwork(ctx context.Context, n containers.Network) error {
	// Docker 20.10 checks the name before it makes the network, not while: two
	// calls at once from here would make two networks of one name.
	e.creating.Lock()
	defer e.creating.Unlock()
	_, err := look.Network(ctx, e.api, n.Name)
	if err == nil || n.External || !errors.Is(err, containers.ErrNotFound) {
		return err
	}
	_, err = e.api.NetworkCreate(ctx, n.Name, translate.Network(n))
	if err == nil {
		return nil
	}
	// Somebody else was quicker: what counts is that it stands there.
	if _, again := look.Network(ctx, e.api, n.Name); again == nil {
		return nil
	}
	return failure.Of(ctx, err, "create network %s", n.Name)
}

// RemoveNetwork implements containers.Engine. Probes of ours on that network
// go first.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	for pause := (backoff.Backoff{}); ; {
		found, err := look.Network(ctx, e.api, name)
		if errors.Is(err, containers.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.dialer.RemoveProbes(ctx, found); err != nil {
			return err
		}
		if err := e.refuseInUse(ctx, found); err != nil {
			return err
		}
		err = e.api.NetworkRemove(ctx, found.ID)
		if err != nil && !cerrdefs.IsNotFound(err) {
			err = failure.Of(ctx, err, "remove network %s", name)
			switch {
			case !errors.Is(err, containers.ErrConflict):
				return err
			case e.dropStale(ctx, found):
			case len(found.Containers) > 0:
				return err
			case pause.Wait(limited) != nil:
				return fmt.Errorf("%w: no container is on it: the engine has lost count, and counts anew when it is restarted", err)
			}
		}
	}
}

// countLimit is how long an engine may go on to count containers that have
// just left a network. Docker 20.10 was seen to do so until it was restarted: its log
// then says "Fixing inconsistent endpoint_cnt".
const countLimit = 5 * time.Second

// refuseInUse is ErrConflict while a container is on the network: Podman
// would remove the network all the same.
func (e *Engine) refuseInUse(ctx context.Context, n network.Inspect) error {
	kind, err := e.engineKind(ctx)
	if err != nil || kind != kindPodman {
		return failure.Of(ctx, err, "remove network %s", n.Name)
	}
	users, err := e.api.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("network", n.Name)),
	})
	if err != nil {
		return failure.Of(ctx, err, "containers of network %s", n.Name)
	}
	if len(users) > 0 {
		return fmt.Errorf("remove network %s: %w: %d containers are on it", n.Name, containers.ErrConflict, len(users))
	}
	return nil
}

// dropStale disconnects endpoints whose container is gone: an engine that was
// killed hard keeps them, and the network with them. It tells whether there were any.
func (e *Engine) dropStale(ctx context.Context, n network.Inspect) bool {
	dropped := false
	for id := range n.Containers {
		if _, err := look.Container(ctx, e.api, id); !errors.Is(err, containers.ErrNotFound) {
			continue
		}
		if e.api.NetworkDisconnect(ctx, n.ID, id, true) == nil {
			dropped = true
		}
	}
	return dropped
}

// ListNetworks implements containers.Engine.
func (e *Engine) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure.Of(ctx, err, "list networks")
	}
	names := make([]string, 0, len(found))
	for _, n := range found {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// EnsureVolume implements containers.Engine.
func (e *Engine) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	if v.Name == "" {
		return containers.VolumeStatus{}, failure.Invalid("a volume's name is empty")
	}
	if v.External {
		found, err := e.api.VolumeInspect(ctx, v.Name)
		if err != nil {
			return containers.VolumeStatus{}, failure.Of(ctx, err, "volume %s", v.Name)
		}
		return volumeStatus(&found), nil
	}
	labels := maps.Clone(v.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[containers.LabelCreated] = time.Now().UTC().Format(time.RFC3339Nano)
	// Creating is idempotent: what stands there is returned as it is, with
	// the labels that it was made with.
	made, err := e.api.VolumeCreate(ctx, volume.CreateOptions{
		Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: labels,
	})
	if err != nil {
		return containers.VolumeStatus{}, failure.Of(ctx, err, "create volume %s", v.Name)
	}
	if made.Labels[containers.LabelCreated] != labels[containers.LabelCreated] {
		// It stood there. A dockerd that was restarted answers the first time
		// without its labels (seen with 20.10.24): they have to be looked for.
		if made, err = e.api.VolumeInspect(ctx, v.Name); err != nil {
			return containers.VolumeStatus{}, failure.Of(ctx, err, "volume %s", v.Name)
		}
	}
	return volumeStatus(&made), nil
}

// volumeStatus tells the time that EnsureVolume noted, and none where it did
// not: Docker 20.10's own is when the volume's folder last changed, so that
// every writer into it would seem to have made another volume.
func volumeStatus(v *volume.Volume) containers.VolumeStatus {
	status := containers.VolumeStatus{Name: v.Name, Created: translate.Time(v.Labels[containers.LabelCreated]), Labels: maps.Clone(v.Labels)}
	delete(status.Labels, containers.LabelCreated)
	return status
}

// RemoveVolume implements containers.Engine.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if name == "" {
		return failure.Invalid("a volume's name is empty")
	}
	err := e.api.VolumeRemove(ctx, name, false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return failure.Of(ctx, err, "remove volume %s", name)
}

// ListVolumes implements containers.Engine.
func (e *Engine) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	found, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure.Of(ctx, err, "list volumes")
	}
	statuses := make([]containers.VolumeStatus, 0, len(found.Volumes))
	for _, v := range found.Volumes {
		if v != nil {
			statuses = append(statuses, volumeStatus(v))
		}
	}
	slices.SortFunc(statuses, func(a, b containers.VolumeStatus) int { return strings.Compare(a.Name, b.Name) })
	return statuses, nil
}
