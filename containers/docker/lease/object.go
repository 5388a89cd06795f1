package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
)

// The labels that say who holds the lease. None is containers.LabelRun or
// LabelStack: who removes what a run or a stack has made must not find it.
const (
	labelRun   = containers.LabelLease + ".run"
	labelHost  = containers.LabelLease + ".host"
	labelUser  = containers.LabelLease + ".user"
	labelPID   = containers.LabelLease + ".pid"
	labelAfter = containers.LabelLease + ".after"
)

// logLimit bounds what the engine keeps of a lease's lines, for who attaches later.
const logLimit = "16m"

// config is the container that stands for the lease: no rights, no network, no
// writable files. The engine removes it when it ends: its exit code tells nothing.
func (o Options) config(name string, h containers.Holder) (*container.Config, *container.HostConfig) {
	return &container.Config{
			Image:      o.Image,
			Entrypoint: []string{o.Program, Command, strconv.FormatInt(o.TTL.Milliseconds(), 10)},
			User:       "65534:65534",
			Labels: map[string]string{
				containers.LabelRole: containers.RoleLease, containers.LabelLease: name,
				labelRun: h.Run, labelHost: h.Host, labelUser: h.User, labelPID: strconv.Itoa(h.PID),
				labelAfter: strconv.FormatInt(h.Token, 10),
			},
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true,
		}, &container.HostConfig{
			NetworkMode:    "none",
			AutoRemove:     true,
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logLimit}},
		}
}

// look inspects the lease's container by name or ID. A container of that name that
// is no lease is a conflict.
func look(ctx context.Context, api *client.Client, name, id string) (container.InspectResponse, containers.Holder, error) {
	found, err := api.ContainerInspect(ctx, id)
	if err != nil {
		return found, containers.Holder{}, err
	}
	if found.ContainerJSONBase == nil || found.State == nil || found.Config == nil {
		return found, containers.Holder{}, fmt.Errorf("container %s: the engine's answer has no state", id)
	}
	if found.Config.Labels[containers.LabelLease] != name {
		return found, containers.Holder{}, fmt.Errorf("%w: a container that is not a lease has the name %s", containers.ErrConflict, strings.TrimPrefix(found.Name, "/"))
	}
	return found, holderOf(found), nil
}

// holderOf reads the holder from the container. Its token is the time of the
// container's creation, in nanoseconds of the engine's clock, since two containers of one
// name are made one after the other; where that clock was set back, it is one more
// than the token that the holder saw before.
func holderOf(found container.InspectResponse) containers.Holder {
	labels := found.Config.Labels
	h := containers.Holder{Run: labels[labelRun], Host: labels[labelHost], User: labels[labelUser]}
	h.PID, _ = strconv.Atoi(labels[labelPID])
	after, _ := strconv.ParseInt(labels[labelAfter], 10, 64)
	if created, err := time.Parse(time.RFC3339Nano, found.Created); err == nil {
		h.Since, h.Token = created.UTC(), created.UnixNano()
	}
	h.Token = max(h.Token, after+1)
	return h
}

// held tells whether a container in this state is, or may be, kept by somebody.
// created is no such state: see reclaim.
func held(state *container.State) bool {
	switch state.Status {
	case container.StateRunning, container.StatePaused, container.StateRestarting, "stopping": // the last is Podman's
		return true
	}
	return false
}

func unstarted(state *container.State) bool {
	switch state.Status {
	case container.StateCreated, "configured", "initialized": // the latter two are Podman's
		return true
	}
	return false
}

// taken tells a name's conflict from other errors.
func taken(err error) bool {
	return strings.Contains(err.Error(), "already in use") && (cerrdefs.IsConflict(err) || cerrdefs.IsInternal(err))
}

// longestPause is that between two looks at a container that comes or goes.
const longestPause = 100 * time.Millisecond

// startLimit is how long a container may stand created: its maker starts it at
// once, or has died.
const startLimit = 2 * time.Second

// reclaim removes a container that nobody keeps: one that ended and that the
// engine did not remove, or one that was never started. It returns true once it
// is gone, false when it runs. Whoever made it may be about to start it: the
// removal is not forced, so that the engine lets only one of the two happen, and it
// goes by the ID, so that what others make meanwhile under that name stays.
func reclaim(ctx context.Context, api *client.Client, id string) (bool, error) {
	seen := time.Now()
	for wait := (backoff.Backoff{Most: longestPause}); ; {
		found, err := api.ContainerInspect(ctx, id)
		switch {
		case cerrdefs.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, err
		case found.State == nil || held(found.State):
			return false, nil
		}
		if !unstarted(found.State) || time.Since(seen) > startLimit {
			err := api.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true})
			if err == nil || cerrdefs.IsNotFound(err) {
				return true, nil
			}
			if !cerrdefs.IsConflict(err) && !cerrdefs.IsInternal(err) {
				return false, err
			}
			// It runs by now, or others are removing it: the next look tells.
		}
		if err := wait.Wait(ctx); err != nil {
			return false, err
		}
	}
}

// remove kills and removes a container of our own and returns once its name is free.
func remove(ctx context.Context, api *client.Client, id string) error {
	for wait := (backoff.Backoff{Most: longestPause}); ; {
		err := api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, cerrdefs.IsNotFound(err):
			return nil
		case ctx.Err() != nil, !cerrdefs.IsConflict(err) && !cerrdefs.IsInternal(err):
			return err
		}
		// The engine is at it already, since the container has ended.
		if wait.Wait(ctx) != nil {
			return err
		}
	}
}

// removed blocks until the engine has removed the container.
func removed(ctx context.Context, api *client.Client, id string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The client's goroutine ends with one message on one of the two, always.
	gone, broken := api.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case answer := <-gone:
		if answer.Error != nil && answer.Error.Message != "" {
			return errors.New(answer.Error.Message)
		}
		return nil
	case err := <-broken:
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}
