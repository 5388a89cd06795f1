// Package plan turns a stack and what is known of it into steps: pure data,
// complete, each step with its cause and what it waits for. It asks nobody
// and does nothing; the runner carries it out and decides nothing.
package plan

import (
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

// Facts are what is known before a run: what the ledger recorded and what the
// engine shows. The zero value is a stack that nobody has run.
type Facts struct {
	// Steps holds, by step ID, the last recorded success.
	Steps map[string]Fact
	// Attempts holds, by step ID, how the last attempt at a step ended that has no
	// recorded success.
	Attempts map[string]Attempt
	// Containers of the stack that stand on the engine, by name.
	Containers map[string]containers.Status
	// Namespaces are the containers that lend helpers of the stack their network.
	Namespaces []containers.Status
	// Volumes of the stack that stand on the engine, by name.
	Volumes map[string]containers.VolumeStatus
	// Images on the engine: reference to ID. A missing one is to be pulled.
	Images map[string]string
	// Stops hold, by step ID, the last time that a run was about to stop the
	// step's container, or has.
	Stops map[string]Stop
	// Disproved says, by step ID, why the proof of a recorded step does not hold.
	Disproved map[string]string
	// Asked says, by step ID, who asked for the step to be done again: see Again.
	Asked map[string]string
	// RemoveOrphans: containers of services that the file does not name go.
	RemoveOrphans bool
	// Apps of the stack that are registered, by name; nil where no registry is kept.
	Apps map[string]events.App
	// Version is what is recorded of the stack's; nil where no record of it is kept.
	Version *VersionFact
}

// Fact is a step's recorded success.
type Fact struct {
	// Spec is the hash of what was done, Image the ID of the image that did it.
	Spec, Image string
	Run         string
	// Seq is the record's number within the run.
	Seq  int64
	Time time.Time
	// Values that it handed on with ::set.
	Values map[string]string
	// Lost: some of the values cannot be read.
	Lost bool
	// Parts are what Spec is the hash of (see PartsOf); nil in records of
	// versions that did not keep them.
	Parts map[string]string
	// Volumes are those that it could rely on: name to Identity.
	Volumes map[string]string
}

// Attempt is how an attempt at a step ended that was not a success.
type Attempt struct {
	Run string
	// Outcome is failed, timed_out or, of one that was stopped, skipped; "" where no
	// end is recorded: its run died, or goes on.
	Outcome events.Outcome
	// Error says how it ended, as step.ended tells it.
	Error string
}

// String is the attempt as a cause for another one.
func (a Attempt) String() string {
	switch a.Outcome {
	case "":
		return "last attempt: run " + a.Run + " recorded no end of it"
	case events.Skipped:
		return "last attempt was " + a.Error
	}
	return "last attempt: " + first(a.Error, string(a.Outcome))
}

// Stop is a run's intent to stop a container, recorded before it did.
type Stop struct {
	Run  string
	Time time.Time
	// Served tells that the helper had done what it was for: its until held.
	Served bool
	// Over tells that the container is known to have been stopped.
	Over bool
}

// Action is what the runner does for a step.
type Action string

// The actions.
const (
	// Create makes the container and starts it (run, start, await of a detector).
	Create Action = "create"
	// Recreate removes the container that stands there first.
	Recreate Action = "recreate"
	// Restart starts the service's container that stands there, ended.
	Restart Action = "start"
	// Adopt takes over what is alive, or what ended unwatched.
	Adopt Action = "adopt"
	// Skip does nothing: it is recorded as done.
	Skip Action = "skip"
	// Wait looks at an inline condition.
	Wait Action = "wait"
	// Request makes a call.
	Request Action = "call"
	// WalkUpgrade takes the stack from version to version, by helpers of its own.
	WalkUpgrade Action = "upgrade"
)

// Changes tells whether the action makes or starts a container.
func (a Action) Changes() bool {
	return a == Create || a == Recreate || a == Restart || a == WalkUpgrade
}

// Plan is all steps of a run. Steps stand in an order in which each one's
// needs stand before it.
type Plan struct {
	Stack string  `json:"stack"`
	Steps []*Step `json:"steps"`
	// Stages in the order of the file.
	Stages []*Stage `json:"stages"`
	// Sweep are containers to remove first, by name.
	Sweep []Leftover `json:"sweep,omitempty"`
	// Orphans are the containers of services that the file does not name any more, which stay.
	Orphans []string `json:"orphans,omitempty"`
	// Apps are those that are registered, or will be by this run, by name.
	Apps []App `json:"apps,omitempty"`
	// Version is what the run means for the stack's; nil where it has none.
	Version *Version `json:"version,omitempty"`
}

// Stage is a stage's part of the plan.
type Stage struct {
	Name  string      `json:"name"`
	Verb  stages.Verb `json:"verb"`
	Needs []string    `json:"needs,omitempty"`
	// Steps are the IDs of its steps, in order.
	Steps       []string `json:"steps"`
	Sequential  bool     `json:"sequential,omitempty"`
	MaxParallel int      `json:"max_parallel,omitempty"`
	PerApp      bool     `json:"per_app,omitempty"`
	Finally     bool     `json:"finally,omitempty"`
	// LeftOut: it has steps, but none in this part of the plan.
	LeftOut bool `json:"left_out,omitempty"`

	Source *stages.Stage `json:"-"`
}

// Step is one verb for one service (and one app).
type Step struct {
	// ID is STAGE, STAGE/APP, STAGE/SERVICE or STAGE/APP/SERVICE, whatever
	// tells it apart within the stack; of a service's second and further container with its number behind.
	ID      string      `json:"id"`
	Stage   string      `json:"stage"`
	Verb    stages.Verb `json:"verb"`
	Service string      `json:"service,omitempty"`
	App     string      `json:"app,omitempty"`

	Action Action `json:"action"`
	Cause  string `json:"cause"`

	// After are the stages that must be completed before this step.
	After []string `json:"after,omitempty"`
	// Needs are the steps that must be done before this one.
	Needs []string `json:"needs,omitempty"`
	// Follows is the step whose end, whatever it is, this one waits for.
	Follows string `json:"follows,omitempty"`

	Container string `json:"container,omitempty"`
	Image     string `json:"image,omitempty"`
	// WaitsFor is the condition that the step waits for, if it does.
	WaitsFor string `json:"waits_for,omitempty"`
	// Watches are the containers of the services that a detector's condition
	// may depend on: when one dies, the wait is over.
	Watches []string `json:"watches,omitempty"`
	// Exclusive is the volume that it must be the only one to hold.
	Exclusive string `json:"exclusive,omitempty"`
	// Hash is the spec's (or the request's); empty while values that are
	// handed on are unknown.
	Hash string `json:"hash,omitempty"`
	// Relies are the volumes whose content the step's effect stands on or in:
	// its own and, of a helper or call, those of the steps before it.
	Relies []string `json:"-"`
	// Parts of an inline step; a container's are PartsOf its spec.
	Parts map[string]string `json:"-"`

	// Served tells of a helper to adopt that its condition held in the run that
	// died: it was told to stop, and its end only has to be clean.
	Served bool `json:"served,omitempty"`
	// Stopping tells of a service to start that it still runs, but may have been
	// told to stop by a run that died meanwhile.
	Stopping bool `json:"stopping,omitempty"`

	// Spec is the container to make, labels included; nil for inline steps, and for a skipped helper's
	// that holds no volume for itself: nobody makes or stops it.
	// It still holds the marks of values that are handed on.
	Spec *containers.Spec `json:"-"`
	Unit *stages.Unit     `json:"-"`
	// Fact is the record that a skipped step was skipped for.
	Fact *Fact `json:"-"`
	// Descriptor is what its app is deployed with, of a step that registers it.
	Descriptor map[string]string `json:"-"`
}

// Helper tells whether the step's container ends by itself.
func (s *Step) Helper() bool {
	return s.Container != "" && (s.Verb == stages.Run || s.Verb == stages.Await)
}

// Removals is what Counts has the number of containers under that are to be removed first.
const Removals = "remove"

// Counts is the number of steps by action, and that of Removals.
func (p *Plan) Counts() map[string]int {
	counts := map[string]int{}
	for _, s := range p.Steps {
		counts[string(s.Action)]++
	}
	if len(p.Sweep) > 0 {
		counts[Removals] = len(p.Sweep)
	}
	return counts
}

// Step finds a step by its ID; nil when there is none.
func (p *Plan) Step(id string) *Step {
	for _, s := range p.Steps {
		if s.ID == id {
			return s
		}
	}
	return nil
}
