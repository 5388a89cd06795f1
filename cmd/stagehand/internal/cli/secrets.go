package cli

import (
	"context"
	"encoding/json"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/discreet"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
)

// discreet is the engine as it may be shown.
func (in *invocation) discreet(engine containers.Engine) containers.Engine {
	return discreet.Engine(engine, in.masker)
}

// learn has the masker know what the events of a run have sealed. What cannot be opened here stays unknown.
func (in *invocation) learn(key *secrets.Key, run []events.Event) {
	for _, e := range run {
		_, _ = runner.Values(e, key, in.masker)
		text, err := key.Open(e.Sealed)
		var known []string
		if err == nil && json.Unmarshal([]byte(text), &known) == nil {
			in.masker.Add(known...)
		}
	}
}

// learnOf has the masker know the secrets of the runs that made the containers, and of the stack's latest one:
// so the containers can be shown without the stack's file, too.
func (in *invocation) learnOf(ctx context.Context, l *ledger.Ledger, stack string, list []containers.Status) error {
	runs := map[string]bool{}
	for _, s := range list {
		runs[s.Labels[containers.LabelRun]] = true
	}
	last, ok, err := l.Last(ctx, stack)
	if err != nil {
		return err
	}
	if ok {
		runs[last.ID] = true
	}
	delete(runs, "")
	key := in.Key(l)
	for run := range runs {
		all, err := l.Events(ctx, run, 0)
		if err != nil {
			return err
		}
		in.learn(key, all)
	}
	return nil
}
