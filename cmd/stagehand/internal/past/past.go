// Package past reads from the ledger what became of a stack's earlier runs.
package past

import (
	"context"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
)

// Ends is how each step of the stack ended last, in the order of the ends.
func Ends(ctx context.Context, l *ledger.Ledger, stack string) ([]events.Event, error) {
	runs, err := l.Runs(ctx, stack)
	if err != nil {
		return nil, err
	}
	var ended []events.Event
	seen := map[string]bool{}
	look := func(all []events.Event) {
		for _, e := range slices.Backward(all) {
			if e.Kind != events.StepEnded || e.Outcome == events.Skipped && e.ExitCode == nil || seen[e.Step] {
				continue
			}
			seen[e.Step] = true
			ended = append(ended, e)
		}
	}
	for _, run := range runs {
		all, err := l.Events(ctx, run.ID, 0)
		if err != nil {
			return nil, err
		}
		look(all)
	}
	left, err := l.Left(ctx, stack)
	if err != nil {
		return nil, err
	}
	look(left)
	slices.Reverse(ended)
	return ended, nil
}

// LatestUp returns the events of the stack's latest run that was an up, none
// if there is none, and when a later run has taken the stack down, zero if none has.
func LatestUp(ctx context.Context, l *ledger.Ledger, stack string) (run []events.Event, down time.Time, err error) {
	runs, err := l.Runs(ctx, stack)
	if err != nil {
		return nil, down, err
	}
	for _, r := range runs {
		switch r.Verb {
		case "stop", "start", "restart", "apps register", "apps remove": // what is left of them the engine shows
		case "down":
			if r.Verdict == events.VerdictDone && down.IsZero() {
				down = r.Ended
			}
		default:
			all, err := l.Events(ctx, r.ID, 0)
			return all, down, err
		}
	}
	return nil, time.Time{}, nil
}
