package cli

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/traces"
)

// observers are views of a run for machines elsewhere, which the environment asks for. What is amiss with them is
// said, and is nobody's failure. Call the function when the run has ended.
func (in *invocation) observers(ctx context.Context) ([]events.Sink, func()) {
	none := func() {}
	wanted, err := traces.Wanted(in.Getenv)
	if err != nil {
		in.say("no traces: %v", err)
	}
	if !wanted {
		return nil, none
	}
	view, err := traces.New(context.WithoutCancel(ctx), buildVersion().Version, in.Getenv)
	if err != nil {
		in.say("no traces: %v", err)
		return nil, none
	}
	return []events.Sink{view}, func() {
		if err := view.Close(); err != nil {
			in.say("%v", err)
		}
	}
}
