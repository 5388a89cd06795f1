// Package wait waits for the end of a container.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/ends"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// End is what containers.Engine says of Wait, on Docker. The engine's wait is
// open before the state is read, so no end falls between the two; what is
// returned is read from the container itself, after a lost connection too; but for a plain success that was
// heard of first.
func End(ctx context.Context, api *client.Client, heard *ends.Listener, name string) (containers.Status, error) {
	id := name
	for pause := (backoff.Backoff{}); ; {
		next, lost, closeWait := listen(ctx, api, id)
		found, err := look.Container(ctx, api, id)
		if err != nil {
			closeWait()
			return containers.Status{}, err
		}
		id = found.ID // the name may get another holder
		switch {
		case vanishing(found.State):
			// Somebody removes it: how it ended cannot be told from the kill.
			closeWait()
			if err := pause.Wait(ctx); err != nil {
				return containers.Status{}, failure.Of(ctx, err, "wait for container %s", name)
			}
			continue
		case translate.Status(found).Ended():
			closeWait()
			return translate.Status(found), nil
		}
		end, leave := heard.Of(found)
		exit, err := awaitExit(ctx, next, lost, end)
		leave()
		closeWait()
		var success *succeeded
		switch {
		case errors.As(err, &success):
			return success.status(found), nil
		case ctx.Err() != nil:
			return containers.Status{}, failure.Of(ctx, ctx.Err(), "wait for container %s", name)
		case err != nil:
			// The connection broke. What the engine says now is what counts;
			// when it says nothing, the next look gives ErrUnavailable.
			if err := pause.Wait(ctx); err != nil {
				return containers.Status{}, failure.Of(ctx, err, "wait for container %s", name)
			}
			continue
		}
		pause = backoff.Backoff{}
		if status, done, err := afterExit(ctx, api, found, exit); done || err != nil {
			return status, err
		}
	}
}

// settle is how long an ended container with a restart policy must stay ended
// on Podman, which does not say that it is going to start it again.
const settle = time.Second

// Poll is End for Podman, whose own wait looks from time to time too, and
// waits for ever for a run that began and ended between two of its looks.
func Poll(ctx context.Context, api *client.Client, name string) (containers.Status, error) {
	id := name
	var ended time.Time // when it was first seen ended, by our clock
	var last containers.Status
	for pause := (backoff.Backoff{}); ; {
		found, err := look.Container(ctx, api, id)
		if err != nil {
			return containers.Status{}, err
		}
		id = found.ID
		status := translate.Status(found)
		switch {
		case !status.Ended() || vanishing(found.State):
			ended = time.Time{}
		case !restarts(found):
			return status, nil
		case ended.IsZero() || !status.Finished.Equal(last.Finished):
			ended = time.Now()
		case time.Since(ended) > settle:
			return status, nil
		}
		last = status
		if err := pause.Wait(ctx); err != nil {
			return containers.Status{}, failure.Of(ctx, err, "wait for container %s", name)
		}
	}
}

// listen asks the engine to tell the container's next end. It returns once
// the engine listens.
func listen(ctx context.Context, api *client.Client, id string) (<-chan container.WaitResponse, <-chan error, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	next, lost := api.ContainerWait(ctx, id, container.WaitConditionNextExit)
	finished := make(chan struct{})
	exits := make(chan container.WaitResponse, 1)
	errs := make(chan error, 1)
	go func() { // owned by the returned function
		defer close(finished)
		select {
		case exit := <-next:
			exits <- exit
		case err := <-lost:
			errs <- err
		case <-ctx.Done():
			// The client's own goroutine blocks on one of its channels until heard.
			select {
			case <-next:
			case <-lost: //nolint:errcheck // nobody waits for it any more
			}
		}
	}()
	return exits, errs, func() {
		cancel()
		<-finished
	}
}

// succeeded is an end with 0 that was heard of.
type succeeded struct{ ends.End }

func (s *succeeded) Error() string { return "ended with 0" }

// status is that of a container that was looked at before it ended.
func (s *succeeded) status(before container.InspectResponse) containers.Status {
	status := translate.Status(before)
	status.State, status.ExitCode, status.OOMKilled, status.Error = containers.StateExited, 0, false, ""
	status.Health, status.HealthLog = containers.HealthNone, ""
	status.Started, status.Finished = s.Started, s.Finished
	return status
}

func awaitExit(ctx context.Context, next <-chan container.WaitResponse, lost <-chan error, heard <-chan ends.End) (container.WaitResponse, error) {
	select {
	case end := <-heard:
		if end.ExitCode == 0 && !end.OOM {
			return container.WaitResponse{}, &succeeded{end}
		}
		// A failure is looked at in full.
		return awaitExit(ctx, next, lost, nil)
	case exit := <-next:
		if exit.Error != nil && exit.Error.Message != "" {
			return exit, errors.New(exit.Error.Message)
		}
		return exit, nil
	case err := <-lost:
		return container.WaitResponse{}, err
	case <-ctx.Done():
		return container.WaitResponse{}, ctx.Err()
	}
}

// afterExit reads the state after the engine told of an end. done is false
// where that end was not the last one.
func afterExit(ctx context.Context, api *client.Client, before container.InspectResponse, exit container.WaitResponse) (status containers.Status, done bool, err error) {
	found, err := look.Container(ctx, api, before.ID)
	if err != nil {
		return status, false, err
	}
	status = translate.Status(found)
	switch {
	case vanishing(found.State), restarts(found) && !status.Ended():
		return status, false, nil
	case status.Ended():
		return status, true, nil
	}
	// It was started again by hand, at once: the end that was waited for is
	// the one that the engine told.
	if exit.StatusCode < 0 || exit.StatusCode > 255 {
		return status, false, fmt.Errorf("container %s: the engine tells an impossible exit code %d", status.Name, exit.StatusCode)
	}
	status.State, status.ExitCode, status.OOMKilled, status.Error = containers.StateExited, int(exit.StatusCode), false, ""
	status.Health, status.HealthLog = containers.HealthNone, ""
	status.Started, status.Finished = translate.Time(before.State.StartedAt), translate.Time(found.State.FinishedAt)
	return status, true, nil
}

func restarts(c container.InspectResponse) bool {
	return c.HostConfig != nil && !c.HostConfig.RestartPolicy.IsNone()
}

func vanishing(state *container.State) bool {
	return state.Status == container.StateRemoving
}
