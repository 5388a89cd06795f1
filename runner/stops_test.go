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

// Apps registers as the ledger does.
func (b *book) Apps(_ context.Context, stack, engineID string) (map[string]events.App, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.App{}
	for _, e := range b.events {
		switch state := e.Registers(); {
		case state == events.Removed:
			delete(out, e.App)
		case state == events.Deployed, state == events.Deploying && out[e.App].State == "":
			out[e.App] = events.App{Name: e.App, Stack: stack, Engine: engineID, State: state, Descriptor: e.Descriptor, Run: e.Run, Time: e.Time}
		}
	}
	return out, nil
}
