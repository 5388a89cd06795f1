package runner_test

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
)

func (b *book) Stops(context.Context, string, string) (map[string]events.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events {
		if e.Kind == events.StepStopping || e.Kind == events.ServiceStopped {
			out[e.Step] = e
		}
	}
	return out, nil
}
