package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// Events implements containers.Engine.
func (e *Engine) Events(ctx context.Context, labels map[string]string, ready func(), handle func(containers.Event)) error {
	kind, err := e.engineKind(ctx)
	if err != nil {
		return failure.Of(ctx, err, "events")
	}
	since, err := e.clock(ctx)
	if err != nil {
		return failure.Of(ctx, err, "events")
	}
	filter := labelFilter(labels)
	filter.Add("type", string(events.ContainerEventType))
	if kind == kindDocker { // Podman has other names for some
		for _, action := range []events.Action{
			events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionOOM, events.ActionHealthStatus,
		} {
			filter.Add("event", string(action))
		}
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	// Docker answers before it has subscribed: what happens in between is
	// told all the same, since it is newer than the clock that was read first.
	stream, broken := e.api.Events(inner, events.ListOptions{
		Since: since.Format(time.RFC3339Nano), Filters: filter,
	})
	select {
	case err := <-broken:
		return failure.Of(ctx, err, "events")
	default:
	}
	if ready != nil {
		ready()
	}
	for {
		select {
		case message := <-stream:
			if event, ours := translate.Event(message); ours {
				handle(event)
			}
		case err := <-broken:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return failure.Of(ctx, err, "events")
		}
	}
}

// clock reads the engine's clock: its events carry its times, not ours, and
// even behind a socket of this host there may be a virtual machine.
func (e *Engine) clock(ctx context.Context) (time.Time, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := translate.Time(info.SystemTime)
	if now.IsZero() { // Podman may leave it out
		return time.Now(), nil
	}
	return now, nil
}
