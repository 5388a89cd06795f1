package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// Status implements containers.Engine.
func (e *Engine) Status(ctx context.Context, name string) (containers.Status, error) {
	found, err := look.Container(ctx, e.api, name)
	if err != nil {
		return containers.Status{}, err
	}
	return translate.Status(found), nil
}

// Start implements containers.Engine.
func (e *Engine) Start(ctx context.Context, name string) error {
	err := e.api.ContainerStart(ctx, name, container.StartOptions{})
	if err != nil && strings.Contains(err.Error(), "cannot start a paused container") {
		return nil // it runs
	}
	return failure.Of(ctx, err, "start container %s", name)
}

// Stop implements containers.Engine. To stop what does not run is no error, so
// it is looked at only afterwards.
func (e *Engine) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	if err := e.stop(ctx, name, grace); err != nil && !cerrdefs.IsNotFound(err) {
		return containers.Status{}, failure.Of(ctx, err, "stop container %s", name)
	}
	for pause := (backoff.Backoff{}); ; {
		found, err := look.Container(ctx, e.api, name)
		if err != nil {
			return containers.Status{}, err
		}
		if status := translate.Status(found); !status.Running() {
			return status, nil
		}
		name = found.ID // from here on: the name may get another holder
		if err := pause.Wait(ctx); err != nil {
			return containers.Status{}, failure.Of(ctx, err, "stop container %s", name)
		}
	}
}

// stop sends the stop signal through the engine's own stop, since only that
// keeps the restart policy from starting the container again. The engine
// counts whole seconds; the rest is cut off here.
func (e *Engine) stop(ctx context.Context, id string, grace time.Duration) error {
	if grace <= 0 {
		err := e.api.ContainerKill(ctx, id, "SIGKILL")
		if err == nil || !cerrdefs.IsConflict(err) {
			return err
		}
		// Not running at this moment: it is between two runs, or has ended.
	}
	seconds := int((max(grace, 0) + time.Second - 1) / time.Second)
	var group errgroup.Group
	killing, done := context.WithCancel(ctx)
	defer done()
	if grace > 0 && time.Duration(seconds)*time.Second != grace {
		group.Go(func() error {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-killing.Done():
				return nil
			case <-timer.C:
			}
			err := e.api.ContainerKill(killing, id, "SIGKILL")
			if killing.Err() != nil || cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) {
				return nil // it ended by itself meanwhile
			}
			return err
		})
	}
	err := e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	done()
	return errors.Join(err, group.Wait())
}

// removeLimit bounds how long Destroy fights with an engine that answers but
// fails to remove: a busy mount or a process that takes its time to die.
const removeLimit = time.Minute

// Destroy implements containers.Engine.
func (e *Engine) Destroy(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	if kind, err := e.engineKind(limited); err != nil {
		return failure.Of(ctx, err, "destroy container %s", name)
	} else if kind == kindPodman {
		// Podman's forced removal stops gently first, for up to the grace.
		// What keeps this from killing shows in the removal.
		_ = e.api.ContainerKill(limited, name, "SIGKILL")
	}
	for pause := (backoff.Backoff{}); ; {
		err := e.api.ContainerRemove(limited, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, cerrdefs.IsNotFound(err):
			return nil
		case limited.Err() != nil:
			return failure.Of(ctx, err, "destroy container %s", name)
		case strings.Contains(err.Error(), "already in progress"):
			return e.awaitRemoval(limited, ctx, name)
		case errors.Is(failure.Kind(err), containers.ErrUnavailable), cerrdefs.IsInvalidArgument(err):
			return failure.Of(ctx, err, "destroy container %s", name)
		}
		// Dead containers, busy mounts, a kill that was not confirmed in time:
		// what Docker answers 500 to after it was killed hard, and repeats well.
		if pause.Wait(limited) != nil {
			return failure.Of(ctx, err, "destroy container %s", name)
		}
	}
}

// awaitRemoval waits for somebody else's removal, and takes it over when it failed.
func (e *Engine) awaitRemoval(limited, ctx context.Context, name string) error {
	found, err := look.Container(limited, e.api, name)
	if errors.Is(err, containers.ErrNotFound) {
		return nil
	}
	if err != nil {
		return failure.Of(ctx, err, "destroy container %s", name)
	}
	for pause := (backoff.Backoff{}); ; {
		if err := pause.Wait(limited); err != nil {
			return failure.Of(ctx, err, "destroy container %s: its removal, begun by others, does not end", name)
		}
		err := e.api.ContainerRemove(limited, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || cerrdefs.IsNotFound(err) {
			return nil
		}
		if errors.Is(failure.Kind(err), containers.ErrUnavailable) {
			return failure.Of(ctx, err, "destroy container %s", name)
		}
	}
}

// List implements containers.Engine.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	summaries, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure.Of(ctx, err, "list containers")
	}
	// The list lacks exit codes, times and health: each is looked at by itself.
	statuses := make([]*containers.Status, len(summaries))
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, summary := range summaries {
		group.Go(func() error {
			found, err := look.Container(limited, e.api, summary.ID)
			if errors.Is(err, containers.ErrNotFound) {
				return nil // gone since
			}
			if err != nil {
				return err
			}
			status := translate.Status(found)
			statuses[i] = &status
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, failure.Of(ctx, err, "list containers")
	}
	list := make([]containers.Status, 0, len(statuses))
	for _, status := range statuses {
		if status != nil {
			list = append(list, *status)
		}
	}
	slices.SortFunc(list, func(a, b containers.Status) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func labelFilter(labels map[string]string) filters.Args {
	args := filters.NewArgs()
	for key, value := range labels {
		args.Add("label", key+"="+value)
	}
	return args
}
