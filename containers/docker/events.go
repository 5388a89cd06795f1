package docker

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/stagehand-dev/stagehand/containers"
)

// Events implements containers.Engine.
func (e *Engine) Events(ctx context.Context, labels map[string]string, ready func(), handle func(containers.Event)) error {
	kind, err := e.engineKind(ctx)
	if err != nil {
		return failed(ctx, err, "events")
	}
	since, err := e.clock(ctx)
	if err != nil {
		return failed(ctx, err, "events")
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
		return failed(ctx, err, "events")
	default:
	}
	if ready != nil {
		ready()
	}
	for {
		select {
		case message := <-stream:
			if event, ours := eventOf(message); ours {
				handle(event)
			}
		case err := <-broken:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return failed(ctx, err, "events")
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
	now := parseTime(info.SystemTime)
	if now.IsZero() { // Podman may leave it out
		return time.Now(), nil
	}
	return now, nil
}

// attributes of an event that are not labels of the container.
// Source: Docker's daemon/events.go.
var attributes = []string{"image", "name", "exitCode", "containerExitCode", "signal", "execDuration", "execID", "podId"}

// eventOf translates the engine's event; ours is false for those that the
// contract has no name for.
func eventOf(message events.Message) (event containers.Event, ours bool) {
	event = containers.Event{
		Time: time.Unix(0, message.TimeNano).UTC(),
		ID:   message.Actor.ID,
		Name: message.Actor.Attributes["name"],
	}
	action, detail, _ := strings.Cut(string(message.Action), ":")
	switch events.Action(action) {
	case events.ActionCreate:
		event.Kind = containers.EventCreated
	case events.ActionStart:
		event.Kind = containers.EventStarted
	case events.ActionDie, "died":
		event.Kind = containers.EventEnded
		text := message.Actor.Attributes["exitCode"]
		if text == "" {
			text = message.Actor.Attributes["containerExitCode"]
		}
		code, err := strconv.Atoi(text)
		if err != nil {
			code = -1 // unknown is never success
		}
		event.ExitCode = code
	case events.ActionDestroy, events.ActionRemove:
		event.Kind = containers.EventDestroyed
	case events.ActionOOM:
		event.Kind = containers.EventOOM
	case events.ActionHealthStatus:
		event.Kind = containers.EventHealth
		event.Health = containers.Health(strings.TrimSpace(detail))
	default:
		return event, false
	}
	event.Labels = maps.Clone(message.Actor.Attributes)
	for _, key := range attributes {
		delete(event.Labels, key)
	}
	return event, true
}
