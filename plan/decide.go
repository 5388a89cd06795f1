package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// effect is what a set of steps means for the steps that come after them.
type effect struct {
	// work is a helper or call that will run: what depends on it runs again.
	work string
	// fresh is a service without volumes that is made or missing: what helpers
	// did to it is gone.
	fresh string
	// restarted is any service that is made or started: what was seen of it is old.
	restarted string
	// volume is the youngest volume that they mount, service the youngest
	// service without volumes, start the service that was started last.
	volume, service, start stamp
}

// stamp is a thing and when it was made.
type stamp struct {
	name string
	time time.Time
}

func later(a, b stamp) stamp {
	if b.time.After(a.time) {
		return b
	}
	return a
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (e effect) merge(o effect) effect {
	return effect{
		work:      first(e.work, o.work),
		fresh:     first(e.fresh, o.fresh),
		restarted: first(e.restarted, o.restarted),
		volume:    later(e.volume, o.volume),
		service:   later(e.service, o.service),
		start:     later(e.start, o.start),
	}
}

// upstreamOf merges what stands before a stage, as far as it concerns one
// app: another app's helpers are that app's business. A step without an app
// is concerned with all.
func (m *maker) upstreamOf(s *stages.Stage, app string) effect {
	work := m.stages[s.Name]
	if known, ok := work.upstream[app]; ok {
		return known
	}
	var before effect
	for _, name := range s.Needs {
		need := m.stages[name]
		if need == nil {
			continue
		}
		before = before.merge(m.upstreamOf(need.source, app))
		if app == "" {
			before = before.merge(need.all)
		} else {
			before = before.merge(need.own[""]).merge(need.own[app])
		}
	}
	work.upstream[app] = before
	return before
}

func (m *maker) effectOf(step *Step) effect {
	var e effect
	if step.Spec == nil {
		if step.Verb == stages.Call && step.Action != Skip {
			e.work = step.ID
		}
		return e
	}
	volumes := 0
	for _, mount := range step.Spec.Mounts {
		if mount.Kind == containers.MountVolume && mount.Source != "" {
			volumes++
			if v, ok := m.facts.Volumes[mount.Source]; ok {
				e.volume = later(e.volume, stamp{v.Name, v.Created})
			}
		}
	}
	switch step.Verb {
	case stages.Run:
		if step.Action != Skip {
			e.work = step.ID
		}
	case stages.Start:
		status, there := m.facts.Containers[step.Container]
		if step.Action.Changes() {
			e.restarted = step.ID
		} else if there {
			e.start = stamp{step.ID, status.Started}
		}
		if volumes > 0 {
			break
		}
		if step.Action == Create || step.Action == Recreate {
			e.fresh = step.ID
		} else if there {
			e.service = stamp{step.ID, status.Created}
		}
	}
	return e
}

// decide sets a step's action and cause.
func (m *maker) decide(step *Step, s *stages.Stage, before effect) {
	if s.Verb == stages.Start {
		step.Action, step.Cause = m.decideService(step)
		return
	}
	why := m.whyAgain(step, s, before)
	if why == "" {
		fact := m.facts.Steps[step.ID]
		step.Action, step.Fact = Skip, &fact
		step.Cause = "recorded by run " + fact.Run
		return
	}
	step.Cause = why
	switch {
	case step.Spec != nil:
		step.Action, step.Cause = m.decideHelper(step, why)
	case s.Verb == stages.Call:
		step.Action = Request
	default:
		step.Action = Wait
	}
}

// whyAgain says why a recorded success of the step does not count; "" when it does.
func (m *maker) whyAgain(step *Step, s *stages.Stage, before effect) string {
	fact, recorded := m.facts.Steps[step.ID]
	switch {
	case !recorded:
		return "never ran"
	case step.Hash == "":
		return "uses a value that is handed on in this run"
	case fact.Spec != step.Hash:
		return "changed since run " + fact.Run
	case step.Image != "" && m.facts.Images[step.Image] != "" && fact.Image != m.facts.Images[step.Image]:
		return "image moved: " + step.Image
	case s.Finally:
		return "runs at the end of every run"
	case m.facts.Disproved[step.ID] != "":
		return "proof failed: " + m.facts.Disproved[step.ID]
	}
	if step.Spec != nil {
		for _, mount := range step.Spec.Mounts {
			if mount.Kind != containers.MountVolume || mount.Source == "" {
				continue
			}
			v, there := m.facts.Volumes[mount.Source]
			if !there {
				return "volume gone: " + mount.Source
			}
			if v.Created.After(fact.Time) {
				return "volume is new: " + mount.Source
			}
		}
	}
	if s.Verb == stages.Await {
		return whyLookAgain(fact, before)
	}
	switch {
	case before.work != "":
		return before.work + " runs before it"
	case before.fresh != "":
		return before.fresh + " begins anew"
	case before.volume.time.After(fact.Time):
		return "volume is new: " + before.volume.name
	case before.service.time.After(fact.Time):
		return before.service.name + " has been made anew since"
	}
	return ""
}

// whyLookAgain: what was seen of a service holds until it is started again.
func whyLookAgain(fact Fact, before effect) string {
	switch {
	case before.restarted != "":
		return before.restarted + " is started"
	case before.work != "":
		return before.work + " runs before it"
	case before.start.time.After(fact.Time):
		return before.start.name + " has been started since"
	}
	return ""
}

func (m *maker) decideHelper(step *Step, why string) (Action, string) {
	status, there := m.facts.Containers[step.Container]
	same := there && step.Hash != "" && status.Labels[containers.LabelSpec] == step.Hash
	_, recorded := m.facts.Steps[step.ID]
	switch {
	case !there:
		return Create, why
	case same && status.Running():
		return Adopt, "runs already"
	case same && status.Ended() && status.ExitCode == 0 && !status.OOMKilled && !recorded:
		return Adopt, "ended while nobody watched"
	case same && status.State == containers.StateCreated:
		return Create, why + ", was made but not started"
	case status.Ended() && status.ExitCode != 0:
		return Recreate, "last attempt: " + status.Verdict()
	}
	return Recreate, why
}

func (m *maker) decideService(step *Step) (Action, string) {
	status, there := m.facts.Containers[step.Container]
	image := m.facts.Images[step.Image]
	switch {
	case !there:
		return Create, "not there"
	case step.Hash == "":
		return Recreate, "uses a value that is handed on in this run"
	case status.Labels[containers.LabelSpec] != step.Hash:
		return Recreate, "changed since it was made"
	case image != "" && status.ImageID != "" && status.ImageID != image:
		return Recreate, "image moved: " + step.Image
	case status.State == containers.StateCreated:
		return Create, "was made but not started"
	case !status.Running():
		return Restart, "had ended: " + status.Verdict()
	case step.Exclusive != "" && m.holds[step.Exclusive] != "":
		return Restart, fmt.Sprintf("is stopped for %s, which needs %s to itself", m.holds[step.Exclusive], step.Exclusive)
	}
	return Adopt, "runs already"
}

// hashJSON identifies plain data by its JSON form.
func hashJSON(x any) string {
	text, err := json.Marshal(x)
	if err != nil {
		panic(fmt.Sprintf("plan: plain data does not marshal: %v", err))
	}
	return hashText(string(text))
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
