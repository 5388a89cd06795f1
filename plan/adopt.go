package plan

import (
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// done is a recorded success and where it stands among the others.
type done struct {
	step, run string
	seq       int64
	time      time.Time
}

// before tells whether d was recorded before o. Within a run its own count
// says so, whatever happens to the clock.
func (d done) before(o done) bool {
	if d.run == o.run {
		return d.seq < o.seq
	}
	return d.time.Before(o.time)
}

func (d done) last(o done) done {
	if d.before(o) {
		return o
	}
	return d
}

// after tells whether d was recorded after the fact.
func (d done) after(fact Fact) bool {
	return d.step != "" && (done{run: fact.Run, seq: fact.Seq, time: fact.Time}).before(d)
}

// workOf is what a helper or call means for the steps after it: the work that
// it will do, or when it was recorded as done.
func (m *maker) workOf(step *Step) (work string, ran done) {
	if step.Action != Skip {
		return step.ID, done{}
	}
	if step.Fact == nil { // done by docker compose
		status := m.facts.Containers[step.Container]
		return "", done{step: step.ID, run: status.ID, time: status.Finished}
	}
	return "", done{step: step.ID, run: step.Fact.Run, seq: step.Fact.Seq, time: step.Fact.Time}
}

// decideHelper says what is to be done about a helper that has to run: take
// over the container that a dead run left, or make it.
func (m *maker) decideHelper(step *Step, why string, before effect) (Action, string) {
	status, there := m.facts.Containers[step.Container]
	mine := there && same(step, status)
	wanted := mine && m.unrecorded(step, status) && current(step, status, before)
	stop, stopped := m.stopOf(step, status)
	switch {
	case !there:
		return Create, why
	case wanted && stopped && stop.Served:
		step.Served = true
		return Adopt, "had done its work when run " + stop.Run + " ended"
	case wanted && stopped:
		return Recreate, "was being stopped when run " + stop.Run + " ended"
	case status.HalfStarted():
		return Recreate, halfStarted
	case wanted && status.Running():
		return Adopt, "runs already"
	case wanted && status.Ended() && status.ExitCode == 0 && !status.OOMKilled && !containers.MadeByCompose(status.Labels):
		return Adopt, "ended while nobody watched"
	case status.State == containers.StateCreated && status.Error != "":
		// An engine that was killed while it started the container may never be
		// able to start this one; it can make another.
		return Recreate, "could not be started: " + status.Error
	case mine && status.State == containers.StateCreated && !containers.MadeByCompose(status.Labels):
		return Create, why + ", was made but not started"
	case status.Ended() && status.ExitCode != 0:
		return Recreate, "last attempt: " + status.Verdict()
	}
	return Recreate, why
}

// unrecorded tells whether the container's end is not what the step's record
// is about: it was made after it.
func (m *maker) unrecorded(step *Step, status containers.Status) bool {
	fact, recorded := m.facts.Steps[step.ID]
	return !recorded || made(status).After(fact.Time)
}

// begunAgain says that a run has begun a recorded helper once more, as it was
// asked to or because of what the helper stands on, and died: what it
// began is not left alone. "" when nobody has.
func (m *maker) begunAgain(step *Step) string {
	status, there := m.facts.Containers[step.Container]
	begun := there && step.Helper() && status.State != containers.StateCreated &&
		status.Labels[containers.LabelSpec] == step.Hash && m.unrecorded(step, status)
	if !begun {
		return ""
	}
	return "was begun again by run " + status.Labels[containers.LabelRun]
}

// pending tells whether nobody has seen the end of what the intent began.
func (s Stop) pending() bool { return s.Run != "" && !s.Over }

// stopOf finds the recorded intent to stop this very container.
func (m *maker) stopOf(step *Step, status containers.Status) (Stop, bool) {
	stop, known := m.facts.Stops[step.ID]
	if !known || status.State == containers.StateCreated || made(status).After(stop.Time) {
		return Stop{}, false
	}
	return stop, true
}

// current tells whether nothing that stands before the container's step has
// happened since it was made, or is about to: what it does is what a new one
// would do.
func current(step *Step, status containers.Status, before effect) bool {
	if before.work != "" || before.fresh != "" {
		return false
	}
	if step.Verb == stages.Await && (before.restarted != "" || before.start.time.After(status.Created)) {
		return false
	}
	at, created := made(status), status.Created
	if containers.MadeByCompose(status.Labels) { // it makes all containers first
		at, created = status.Started, status.Started
	}
	ran := before.ran.step == "" || before.ran.run == status.Labels[containers.LabelRun] || !before.ran.time.After(at)
	return ran && !before.service.time.After(created)
}

// made is when a runner had the container made, by the same clock as its
// records; by the engine's where the container does not tell.
func made(status containers.Status) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, status.Labels[containers.LabelCreated]); err == nil {
		return at
	}
	return status.Created
}
