package ledger

import (
	"context"

	"github.com/stagehand-dev/stagehand/events"
)

// News hands on to a ledger what of one run's events is news. Left out is that a step which
// run.started lists as settled was as it should be: that a recorded step was skipped, that a service
// that runs was adopted without waiting, and stages in which nothing else happened. So a run that
// finds nothing to do keeps its beginning and its end. That an app is registered is always news.
// Events keep their numbers; what is held back until it proves to be news follows in its
// order. Calls must not overlap.
type News struct {
	To events.Sink

	settled map[string]events.Outcome
	// held are beginnings, by stage and by step, of which nothing is known yet but that they are expected.
	stages, steps map[string]events.Event
}

var _ interface {
	events.Sink
	events.Batcher
} = (*News)(nil)

// Emit hands the event on, or holds it back, or leaves it out.
func (n *News) Emit(ctx context.Context, e events.Event) error {
	return n.EmitAll(ctx, []events.Event{e})
}

// EmitAll implements events.Batcher.
func (n *News) EmitAll(ctx context.Context, all []events.Event) error {
	var news []events.Event
	for _, e := range all {
		news = append(news, n.of(e)...)
	}
	if len(news) == 0 {
		return nil
	}
	return events.EmitAll(ctx, n.To, news)
}

// of is what of the event, and of those held back before it, is news now.
func (n *News) of(e events.Event) []events.Event {
	switch e.Kind {
	case events.RunStarted:
		n.settled, n.stages, n.steps = map[string]events.Outcome{}, map[string]events.Event{}, map[string]events.Event{}
		for _, s := range e.Settled {
			n.settled[s.Step] = s.Outcome
		}
	case events.StageStarted:
		if n.stages != nil {
			n.stages[e.Stage] = e
			return nil
		}
	case events.StageCompleted:
		if _, silent := n.stages[e.Stage]; silent && e.Error == "" {
			delete(n.stages, e.Stage)
			return nil
		}
	case events.StepStarted:
		if n.settled[e.Step] == events.Adopted && e.Attempt == 1 && e.Registers() == "" {
			n.steps[e.Step] = e
			return nil
		}
	case events.StepEnded:
		if n.expected(e) {
			delete(n.steps, e.Step)
			return nil
		}
	}
	var news []events.Event
	for _, held := range []struct {
		of  map[string]events.Event
		key string
	}{{n.stages, e.Stage}, {n.steps, e.Step}} {
		before, ok := held.of[held.key]
		if !ok || held.key == "" {
			continue
		}
		news = append(news, before)
		delete(held.of, held.key)
	}
	return append(news, e)
}

// expected tells whether a step ended as run.started said that it stands.
func (n *News) expected(e events.Event) bool {
	if e.Error != "" || n.settled[e.Step] != e.Outcome || e.Registers() != "" {
		return false
	}
	_, silent := n.steps[e.Step]
	return e.Outcome == events.Skipped || e.Outcome == events.Adopted && silent
}
