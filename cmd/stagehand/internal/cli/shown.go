package cli

import (
	"context"
	"os"
	"runtime"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/ci"
	"github.com/stagehand-dev/stagehand/views/live"
)

// bindQuiet declares --quiet for a command that shows a run.
func (in *invocation) bindQuiet(f *pflag.FlagSet) {
	f.BoolVarP(&in.quiet, "quiet", "q", false, "print nothing before the end, and then how it ended")
}

// bindLook declares how a run is shown.
func (in *invocation) bindLook(f *pflag.FlagSet) {
	in.bindQuiet(f)
	f.BoolVar(&in.plain, "plain", false, "print lines on a terminal too, as elsewhere, and no live view")
}

// shown does what speaks in events, keeps these and shows them: as JSON where
// that was asked for, live where there is a terminal for it and run is not nil, else as lines with a heartbeat.
func (in *invocation) shown(ctx context.Context, engine containers.Info, lines *views.Lines, run *live.Run, keep events.Sink, do func(events.Sink) (runner.Result, error)) (runner.Result, error) {
	lines.Host = engines.Host(engine)
	fan := &views.Fan{Keep: keep, Show: in.folded(lines)}
	if screen := in.screen(); run != nil && screen != nil {
		view := &live.View{Run: run, Terminal: screen, Input: terminal.Of(in.Stdin), Environ: in.Environment()}
		lines.Brief = true
		fan.Show = []events.Sink{view, lines}
		if terminal.Of(in.Stderr) != nil {
			in.live.Store(view)
		}
		defer func() {
			if err := view.Close(); err != nil {
				in.say("the live view ended early: %v", err)
			}
			in.live.Store(nil)
		}()
	}
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
	observers, over := in.observers(ctx)
	defer over()
	fan.Show = append(fan.Show, observers...)
	result, err := do(fan)
	stopBeating()
	_ = group.Wait() // gives no error
	if broken := fan.Err(); broken != nil {
		in.say("%v", broken)
	}
	return result, err
}

// folded is a view of a run for people, in sections where a CI system folds these.
func (in *invocation) folded(view events.Sink) []events.Sink {
	system := ci.Of(in.Getenv)
	if system == "" || in.flags.JSON {
		return []events.Sink{view}
	}
	return []events.Sink{ci.Sections{W: in.Stdout, System: system}, view}
}

// screen is the terminal where a live view can stand; nil where lines are wanted.
func (in *invocation) screen() *os.File {
	screen := terminal.Of(in.Stdout)
	name := in.Getenv("TERM")
	if in.flags.JSON || in.plain || in.quiet || in.Getenv("CI") != "" || ci.Of(in.Getenv) != "" ||
		name == "dumb" || name == "" && runtime.GOOS != "windows" ||
		screen == nil || !live.Foreground(screen) {
		return nil
	}
	return screen
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
