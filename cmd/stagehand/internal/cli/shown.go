package cli

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views"
)

// shown does what speaks in events, keeps these and shows them: as JSON where
// that was asked for, else as lines with a heartbeat.
func (in *invocation) shown(ctx context.Context, engine containers.Info, lines *views.Lines, keep events.Sink, do func(events.Sink) (runner.Result, error)) (runner.Result, error) {
	lines.Host = engines.Host(engine)
	fan := &views.Fan{Keep: keep, Show: []events.Sink{lines}}
	beating, stopBeating := context.WithCancel(ctx)
	var group errgroup.Group
	if in.flags.JSON {
		fan.Show = []events.Sink{views.JSON{W: in.Stdout}}
	} else {
		group.Go(func() error {
			lines.Beat(beating, views.Heartbeat)
			return nil
		})
	}
	result, err := do(fan)
	stopBeating()
	_ = group.Wait() // gives no error
	if broken := fan.Err(); broken != nil {
		in.say("%v", broken)
	}
	return result, err
}

// onInterrupt answers the user's wish to stop what stops containers: the first
// cancels with exit.ErrInterrupted, the second closes kill.
func (in *invocation) onInterrupt(cancel context.CancelCauseFunc) (kill <-chan struct{}) {
	killing := make(chan struct{})
	in.signals.On(func(count int) {
		switch count {
		case 1:
			in.say("stopping; once more kills what is being stopped")
			cancel(exit.ErrInterrupted)
		case 2:
			in.say("killing")
			close(killing)
		}
	})
	return killing
}
