package follow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
)

// Choose returns the containers that names stand for and, of those steps that
// have none any more, how they ended last; history is what past.Ends returns, steps are those of the stack file.
// A name that stands for nothing is a misuse.
func Choose(stack string, names []string, list []containers.Status, history []events.Event, steps []*plan.Step) ([]containers.Status, []events.Event, error) {
	var chosen []containers.Status
	var ended []events.Event
	for _, name := range names {
		before := len(chosen) + len(ended)
		for _, s := range list {
			if slices.Contains(identities(s), name) {
				chosen = append(chosen, s)
			}
		}
		for _, e := range history {
			if slices.Contains([]string{e.Step, e.Stage, e.Service, e.App, e.Container}, name) && !stands(list, e.Container) {
				ended = append(ended, e)
			}
		}
		if len(chosen)+len(ended) > before {
			continue
		}
		return nil, nil, stranger(stack, name, list, history, steps)
	}
	return once(chosen, func(s containers.Status) string { return s.Name }), once(ended, func(e events.Event) string { return e.Step }), nil
}

// stranger says that nothing is known of a name, and what may have been meant.
func stranger(stack, name string, list []containers.Status, history []events.Event, steps []*plan.Step) error {
	var known, ids []string
	for _, s := range steps {
		of := []string{s.ID, s.Stage, s.Service, s.App}
		if slices.Contains(of, name) {
			return exit.Misuse("%s of %s has not run yet", name, stack)
		}
		known, ids = append(known, of...), append(ids, s.ID)
	}
	for _, s := range list {
		known, ids = append(known, identities(s)...), append(ids, s.Labels[containers.LabelStep])
	}
	for _, e := range history {
		known, ids = append(known, e.Step, e.Stage, e.Service, e.App), append(ids, e.Step)
	}
	text := fmt.Sprintf("%s has no step, stage, service or app %q", stack, name)
	if near := problems.Nearest(name, unique(known)); near != "" {
		return exit.Misuse("%s: did you mean %q?", text, near)
	}
	if ids = unique(ids); len(ids) > 0 {
		text += "; its steps are " + strings.Join(ids, ", ")
	}
	return exit.Misuse("%s", text)
}

func stands(list []containers.Status, container string) bool {
	return slices.ContainsFunc(list, func(s containers.Status) bool { return s.Name == container })
}

// once leaves out what has the key of something before it.
func once[T any](list []T, key func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(x T) bool {
		again := seen[key(x)]
		seen[key(x)] = true
		return again
	})
}

// identities are the names that a container goes by.
func identities(s containers.Status) []string {
	return unique([]string{
		s.Labels[containers.LabelStep], s.Labels[containers.LabelStage], s.Labels[containers.LabelService], containers.InstanceOf(s.Labels), s.Labels[containers.LabelApp], s.Name,
	})
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}
