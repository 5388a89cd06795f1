package translate

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/stagehand-dev/stagehand/containers"
)

// attributes of an event that are not labels of the container.
// Source: Docker's daemon/events.go.
var attributes = []string{"image", "name", "exitCode", "containerExitCode", "signal", "execDuration", "execID", "podId"}

// Event translates the engine's event; ours is false for those that the
// contract has no name for.
func Event(message events.Message) (event containers.Event, ours bool) {
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
