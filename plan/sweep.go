package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// Leftover is a container that outlived its reason: a helper's, or that of a service
// which is to have fewer.
type Leftover struct {
	Container string `json:"container"`
	// Step is the container's own, which may stand in no plan any more.
	Step  string `json:"step,omitempty"`
	Cause string `json:"cause"`
	// Recorded tells that the outcome is in the ledger already.
	Recorded bool `json:"recorded,omitempty"`
	// Status is what was seen of it.
	Status containers.Status `json:"-"`
}

// The values of LabelKeep that are not durations.
const (
	keepAlways    = "always"
	keepOnFailure = "on_failure"
)

// keepLabel says on a helper's container how long it stays once it has ended,
// "" for not at all: later runs must know it, when the stack file may say
// something else.
func keepLabel(keep stages.Keep) string {
	switch {
	case keep.For > 0:
		return keep.For.String()
	case keep.Policy == keepAlways, keep.Policy == keepOnFailure, keep.Policy == stages.KeepToNextUp:
		return keep.Policy
	}
	return ""
}

// sweep finds the helpers' containers that no step of this run takes over or
// replaces at its turn: those that a run recorded and died before it could
// destroy them, those of steps that stand in the file no more, those that still run
// although their step begins anew, and kept ones whose time is over. Of services' containers it finds those that are
// one too many, and those that no file names: these go where that is asked for, and else are the plan's Orphans.
func (m *maker) sweep(now time.Time) []Leftover {
	byContainer := map[string]*Step{}
	for _, step := range m.plan.Steps {
		if step.Helper() {
			byContainer[step.Container] = step
		}
	}
	var out []Leftover
	for _, name := range slices.Sorted(maps.Keys(m.facts.Containers)) {
		status, step := m.facts.Containers[name], byContainer[name]
		cause, orphan := m.surplus(status), m.orphan(status)
		switch {
		case orphan && !m.facts.RemoveOrphans:
			m.plan.Orphans = append(m.plan.Orphans, name)
			continue
		case orphan:
			cause = "the file names no such service"
		}
		if cause != "" {
			out = append(out, Leftover{Container: name, Step: status.Labels[containers.LabelStep], Cause: cause, Status: status})
			continue
		}
		if step == nil && status.Labels[containers.LabelRole] != containers.RoleHelper || containers.MadeByCompose(status.Labels) {
			continue // what docker compose made stays until its step replaces it
		}
		if status.Labels[containers.LabelStage] == string(stages.Upgrade) && m.plan.Version.Recovering() {
			continue // it may be another runner's, and else is taken over by its turn
		}
		cause, recorded := m.leftover(status, step, now)
		if cause != "" {
			out = append(out, Leftover{
				Container: name, Step: status.Labels[containers.LabelStep], Cause: cause, Recorded: recorded, Status: status,
			})
		}
	}
	if !m.helps() { // else the run removes them at its end
		for _, status := range m.facts.Namespaces {
			out = append(out, Leftover{Container: status.Name, Cause: "no helper needs its network any more", Status: status})
		}
	}
	return out
}

// helps tells whether any helper runs, or is to.
func (m *maker) helps() bool {
	return slices.ContainsFunc(m.plan.Steps, func(s *Step) bool { return s.Helper() && s.Action != Skip })
}

// orphan tells whether the container is of a service that the file does not name, or of an app that it does not have.
func (m *maker) orphan(status containers.Status) bool {
	service := status.Labels[containers.LabelService]
	if containers.RoleOf(status.Labels) != containers.RoleService || service == "" {
		return false
	}
	_, known := m.stack.Services[service]
	_, counted := m.stack.Replicas[service]
	return !known && !counted && !slices.Contains(m.stack.Named, service)
}

// surplus says why a service's container is one too many; "" where it is not.
func (m *maker) surplus(status containers.Status) string {
	service := status.Labels[containers.LabelService]
	replicas, counted := m.stack.Replicas[service]
	if _, one := m.stack.Services[service]; one && !counted {
		replicas, counted = 1, true
	}
	number, err := strconv.Atoi(status.Labels[containers.LabelNumber])
	if !counted || err != nil || number <= replicas || containers.RoleOf(status.Labels) != containers.RoleService {
		return ""
	}
	return fmt.Sprintf("%s is to have %d", service, replicas)
}

// leftover says why a helper's container is to go; "" when it is not.
func (m *maker) leftover(status containers.Status, step *Step, now time.Time) (cause string, recorded bool) {
	keep := status.Labels[containers.LabelKeep]
	if step != nil {
		keep = keepLabel(m.stages[step.Stage].source.Keep)
	}
	limit, err := time.ParseDuration(keep)
	timed := err == nil
	switch {
	case timed && status.Ended() && !status.Finished.IsZero() && now.After(status.Finished.Add(limit)):
		return "kept long enough", step != nil && step.Action == Skip
	case status.Ended() && (timed || keep == keepAlways || keep == keepOnFailure && (status.ExitCode != 0 || status.OOMKilled)):
		return "", false // kept; where its step runs, that one replaces it
	case status.Ended() && step != nil && keep == stages.KeepToNextUp:
		return "", false
	case step == nil:
		return "its step is in the stack file no more", false
	case step.Action == Skip && status.Running():
		return "its step is done without it", false
	case step.Action == Skip:
		return "its outcome is recorded", !m.unrecorded(step, status)
	case step.Action == Recreate && status.Running():
		return "its step begins anew: " + step.Cause, false
	}
	return "", false
}
