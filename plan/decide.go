package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
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
	// ran is the last recorded success of a helper or call among them.
	ran done
	// volumes are those that they mount; nobody writes to the map but add.
	volumes map[string]bool
	// service is the youngest service without volumes, start the service that
	// was started last.
	service, start stamp
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

// add makes e the effect of both.
func (e *effect) add(o effect) {
	e.work = first(e.work, o.work)
	e.fresh = first(e.fresh, o.fresh)
	e.restarted = first(e.restarted, o.restarted)
	e.service = later(e.service, o.service)
	e.start = later(e.start, o.start)
	e.ran = e.ran.last(o.ran)
	if len(o.volumes) > 0 && e.volumes == nil {
		e.volumes = make(map[string]bool, len(o.volumes))
	}
	maps.Copy(e.volumes, o.volumes)
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
		before.add(m.upstreamOf(need.source, app))
		if app == "" {
			before.add(need.all)
		} else {
			before.add(need.ownOf(""))
			before.add(need.ownOf(app))
		}
	}
	work.upstream[app] = before
	return before
}

func (m *maker) effectOf(step *Step) effect {
	var e effect
	if step.Spec == nil {
		if step.Verb == stages.Call {
			e.work, e.ran = m.workOf(step)
		}
		return e
	}
	if names := mounted(step.Spec); len(names) > 0 {
		e.volumes = make(map[string]bool, len(names))
		for _, name := range names {
			e.volumes[name] = true
		}
	}
	switch step.Verb {
	case stages.Run:
		e.work, e.ran = m.workOf(step)
	case stages.Start:
		status, there := m.facts.Containers[step.Container]
		if step.Action.Changes() {
			e.restarted = step.ID
		} else if there {
			e.start = stamp{step.ID, status.Started}
		}
		if len(e.volumes) > 0 {
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
	step.Relies = relies(step, before, s.Verb == stages.Await)
	why := m.whyAgain(step, s, before)
	if why != "" && m.doneByCompose(step, s, before) {
		step.Action, step.Cause = Skip, "docker compose ran it, and it ended with 0"
		return
	}
	if why == "" {
		why = m.begunAgain(step)
	}
	if why == "" {
		fact := m.facts.Steps[step.ID]
		step.Action, step.Fact = Skip, &fact
		step.Cause = "recorded by run " + fact.Run
		return
	}
	step.Cause = why
	switch {
	case step.Spec != nil:
		step.Action, step.Cause = m.decideHelper(step, why, before)
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
		return m.whyFirst(step)
	case m.facts.Asked[step.ID] != "":
		return m.facts.Asked[step.ID]
	case fact.Lost:
		return "what it handed on cannot be read here: it is sealed with another key"
	case step.Hash == "":
		return "uses a value that is handed on in this run"
	case fact.Spec != step.Hash:
		return m.whatChanged(step, fact, "changed since run "+fact.Run)
	case m.imageMoved(step, fact.Image) != "":
		return m.imageMoved(step, fact.Image)
	case s.Finally:
		return "runs at the end of every run"
	case m.facts.Disproved[step.ID] != "":
		return "proof failed: " + m.facts.Disproved[step.ID]
	}
	if why := m.otherVolume(mounted(step.Spec), fact); why != "" {
		return why
	}
	if s.Verb == stages.Await {
		return whyLookAgain(fact, before)
	}
	switch {
	case before.work != "":
		return before.work + " runs before it"
	case before.ran.after(fact):
		return before.ran.step + " has run since"
	case before.fresh != "":
		return before.fresh + " begins anew"
	case m.otherVolume(step.Relies, fact) != "":
		return m.otherVolume(step.Relies, fact)
	case before.service.time.After(fact.Time):
		return before.service.name + " has been made anew since"
	}
	return ""
}

// whyFirst says why a step has no recorded success.
func (m *maker) whyFirst(step *Step) string {
	if attempt, tried := m.facts.Attempts[step.ID]; tried {
		return attempt.String()
	}
	return "never ran"
}

// whatChanged names what the record's spec and the step's differ in, or says
// otherwise where the record does not tell.
func (m *maker) whatChanged(step *Step, fact Fact, otherwise string) string {
	if fact.Parts == nil {
		return otherwise
	}
	parts := step.Parts
	if step.Spec != nil {
		resolved, _ := Resolve(*step.Spec, m.values, step.App)
		parts = PartsOf(resolved, m.stack.Secrets)
	}
	return first(Changes(fact.Parts, parts), otherwise)
}

// imageMoved says that the step's image is another one than the one with this
// ID; "" when it is not, or when nobody knows.
func (m *maker) imageMoved(step *Step, was string) string {
	is := m.facts.Images[step.Image]
	if step.Image == "" || is == "" || is == was {
		return ""
	}
	return fmt.Sprintf("image moved: %s %s → %s", step.Image, orNone(shortID(was)), shortID(is))
}

// shortID is an image's ID as people know it from their engine.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// whyLookAgain: what was seen of a service holds until it is started again.
func whyLookAgain(fact Fact, before effect) string {
	switch {
	case before.restarted != "":
		return before.restarted + " is started"
	case before.work != "":
		return before.work + " runs before it"
	case before.ran.after(fact):
		return before.ran.step + " has run since"
	case before.start.time.After(fact.Time):
		return before.start.name + " has been started since"
	}
	return ""
}

// halfStarted is why a container that runs is made anew all the same.
const halfStarted = "the engine was killed while it started it"

func (m *maker) decideService(step *Step) (Action, string) {
	status, there := m.facts.Containers[step.Container]
	switch {
	case !there:
		return Create, "not there"
	case m.facts.Asked[step.ID] != "":
		return Recreate, m.facts.Asked[step.ID]
	case step.Hash == "":
		return Recreate, "uses a value that is handed on in this run"
	case containers.MadeByCompose(status.Labels) && !same(step, status):
		return Recreate, "made by docker compose, and changed since"
	case !same(step, status):
		fact := m.facts.Steps[step.ID]
		if fact.Spec != status.Labels[containers.LabelSpec] {
			fact.Parts = nil // the record is of another container than the one that stands there
		}
		return Recreate, m.whatChanged(step, fact, "changed since it was made")
	case status.ImageID != "" && m.imageMoved(step, status.ImageID) != "":
		return Recreate, m.imageMoved(step, status.ImageID)
	case status.State == containers.StateCreated && status.Error != "":
		return Recreate, "could not be started: " + status.Error
	case status.HalfStarted():
		return Recreate, halfStarted
	case status.State == containers.StateCreated && containers.MadeByCompose(status.Labels):
		// Its files may not be in it: docker compose copies some when it starts it.
		return Recreate, "made by docker compose, and never started"
	case status.State == containers.StateCreated:
		return Create, "was made but not started"
	case !status.Running():
		return Restart, "had ended: " + status.Verdict()
	case m.facts.Stops[step.ID].pending():
		step.Stopping = true
		return Restart, "was being stopped when run " + m.facts.Stops[step.ID].Run + " ended"
	case step.Exclusive != "" && m.holds[step.Exclusive] != "":
		return Restart, fmt.Sprintf("is stopped for %s, which needs %s to itself", m.holds[step.Exclusive], step.Exclusive)
	}
	if containers.MadeByCompose(status.Labels) {
		return Adopt, "made by docker compose, unchanged"
	}
	return Adopt, "runs already"
}

// same tells whether the container was made for what the step wants now: by the
// hash of its spec or, where docker compose made it, v2 or v5, of its service.
func same(step *Step, status containers.Status) bool {
	if step.Hash == "" {
		return false
	}
	if containers.MadeByCompose(status.Labels) {
		made := status.Labels[containers.LabelConfigHash]
		return made == step.Spec.Labels[containers.LabelConfigHash] || made != "" && made == step.Spec.NewerHash
	}
	return status.Labels[containers.LabelSpec] == step.Hash
}

// doneByCompose tells whether docker compose has run the helper to a good end,
// after all that stands before it. There is no other record of that than the
// container itself: none of the volumes that it mounts can have been removed
// while it stands there.
func (m *maker) doneByCompose(step *Step, s *stages.Stage, before effect) bool {
	status, there := m.facts.Containers[step.Container]
	if !there || s.Verb != stages.Run || s.Finally || m.facts.Asked[step.ID] != "" || m.facts.Disproved[step.ID] != "" {
		return false
	}
	ended := containers.MadeByCompose(status.Labels) && status.Ended() && status.ExitCode == 0 && !status.OOMKilled
	return ended && same(step, status) && m.imageMoved(step, status.ImageID) == "" && current(step, status, before)
}

// hashJSON identifies plain data by its JSON form.
func hashJSON(x any) string { return hashText(jsonText(x)) }

func jsonText(x any) string {
	text, err := json.Marshal(x)
	if err != nil {
		panic(fmt.Sprintf("plan: plain data does not marshal: %v", err))
	}
	return string(text)
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
