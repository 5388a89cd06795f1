// Package stages reads a stack file, which is a Compose file with stages,
// into a Stack: everything expanded for each app, every name checked, nothing
// left to decide but what is done already.
package stages

import (
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

// Stack is what one stack file (or several, merged) describes.
type Stack struct {
	Name string
	// Files are the absolute paths of the files that it was read from, "-" for
	// standard input; Dir is the folder that relative paths in them start from.
	Files []string
	Dir   string
	Apps  []App
	// Immutable are the fields that never change once an app is deployed, each with what it may
	// be; Reserved are names that no app may have.
	Immutable map[string]Limits
	Reserved  []string
	// Upgrades say which version the file is for; nil where it has none.
	Upgrades *Upgrades `json:",omitempty"`
	// Stages in the file's order, as far as that is one in which a stage's needs
	// stand before it; otherwise a stage stands behind the last of its needs. Finally stages come last.
	Stages []Stage
	// OnFailure is what happens to services when the run has failed.
	OnFailure StackFailure
	// Budget is how long the whole of its start-up should take; 0 where the file
	// does not say. Nothing is stopped for it: see package budget.
	Budget time.Duration
	// Networks and Volumes that the stages' services use, by name on the engine.
	Networks []containers.Network
	Volumes  []containers.Volume
	// DefaultNetwork is the network's name on the engine that inline conditions are
	// dialled on when they name a host that is not the stack's; "" if there is none.
	DefaultNetwork string
	// Services by the name that the stack's network knows: the service's own, or
	// APP-SERVICE of an app instance; of a second and further container of one of these, with its number: NAME/2.
	Services map[string]Service
	// Named are the services of the files, by their own keys, those of inactive profiles and those that no stage
	// names among them.
	Named []string `json:"-"`
	// Inactive are the services that no active profile has, each with its profiles.
	Inactive map[string][]string `json:"-"`
	// Replicas are how many containers a service has, by its name on the network, where that is
	// not one: there are none of it in Services where it is 0, and NAME/2 and so on where it is more.
	Replicas map[string]int `json:",omitempty"`
	// Secrets hides what the files say is secret; nil hides only what is known by its place.
	Secrets *secrets.Masker `json:"-"`
	// Warnings found while reading; the stack can be used all the same.
	Warnings []problems.Problem

	source *compose.Source // where its keys stand; nil for a stack that was not read
}

// Service is one container that the stack can make.
type Service struct {
	Name string // as in Stack.Services
	// Template is the service's key in the file, App the app's name or "".
	Template string
	App      string
	// Number counts the containers of one service from 1: see Stack.Replicas.
	Number int
	Spec   containers.Spec
	// RestartWith are the services, as in Stack.Services, whose restart is one
	// of this one too: its depends_on says restart: true of them.
	RestartWith []string `json:",omitempty"`
}

// Shared is the name that all containers of the service have on the stack's network.
func (s Service) Shared() string { return sharedName(s.Name) }

func sharedName(service string) string {
	name, _, _ := strings.Cut(service, "/")
	return name
}

// Limits are what a field that never changes may be.
type Limits = declared.Limits

// App is the unit of fan-out.
type App struct {
	Name   string
	Fields map[string]string // as text, by the file's own key
	Pos    problems.Pos
	// Descriptor holds the fields that never change once the app is deployed, counts in their
	// plain form; empty where the file has no immutable.
	Descriptor map[string]string
	// Places are where the fields' values stand.
	Places map[string]problems.Pos
}

// Verb is what a stage does.
type Verb string

// The verbs.
const (
	Run   Verb = "run"
	Await Verb = "await"
	Start Verb = "start"
	Call  Verb = "call"
)

// StackFailure is what happens to what a failed run has made.
type StackFailure string

// The stack's policies; KeepUp is the default.
const (
	KeepUp   StackFailure = "keep"
	TakeDown StackFailure = "down"
)

// OnFailure is what happens to the rest when a step of a stage fails.
type OnFailure string

// The stage's policies.
const (
	// StopRun starts no further step. It is the default.
	StopRun OnFailure = "stop"
	// SkipApp skips what is left of the step's app; the others go on.
	SkipApp OnFailure = "skip_app"
	// Continue goes on as if the step had been done. The run is a failure all the same.
	Continue OnFailure = "continue"
)

// Keep is how long the container of a helper that ended stays.
type Keep struct {
	// Policy is never (default), on_failure, always or, of a stack that was asked to keep
	// its helpers, KeepToNextUp.
	Policy string
	// For, if not 0, keeps it that long, however it ended.
	For time.Duration
}

// KeepToNextUp keeps a helper until a run that does not want its helpers kept.
const KeepToNextUp = "next_up"

// KeepHelpers has the containers of all helpers stay once they have ended.
// Where the file keeps them always, it stays with that.
func (s *Stack) KeepHelpers() {
	for i := range s.Stages {
		if s.Stages[i].Keep.Policy != "always" {
			s.Stages[i].Keep = Keep{Policy: KeepToNextUp}
		}
	}
}

// StageOf is the stage that a service makes its container in; nil for none.
func (s *Stack) StageOf(service string) *Stage {
	for i := range s.Stages {
		for _, u := range s.Stages[i].Units {
			if u.Service != "" && u.Service == service {
				return &s.Stages[i]
			}
		}
	}
	return nil
}

// Stage is a named phase of the stack.
type Stage struct {
	Name string
	Verb Verb
	// Each is true where the stage has one step per app.
	Each bool
	// Sequential runs the steps in the order of Units, one at a time.
	Sequential bool
	// MaxParallel bounds the steps that run at a time; 0 for no bound.
	MaxParallel int
	// Needs are the stages that must be completed before, resolved: the
	// stage above where the file is silent (of finally stages the finally
	// stage above); empty for the first. Finally stages name only each other.
	Needs []string
	// PerApp lets an app go on as soon as its own steps of Needs are done.
	PerApp bool
	// Exclusive is a volume's name on the engine, one holder at a time; "" for none.
	Exclusive string
	// Timeout of each step's attempt; 0 for none.
	Timeout time.Duration
	// Budget is how long the stage should take, as the stack's; 0 for none.
	Budget    time.Duration `json:",omitempty"`
	Retries   Retries
	OnFailure OnFailure
	Keep      Keep
	// Finally stages run after all others, whatever happened.
	Finally bool
	// Implicit stages follow from depends_on: the file does not name them.
	Implicit bool
	// Units are empty where no app is left to the stage, or no service of an
	// active profile: then it is completed as soon as its needs are.
	Units []Unit
	Pos   problems.Pos
}

// Retries of a step that failed: Count further attempts, the first after
// Backoff, each later one after twice the time before, at most MaxBackoff.
type Retries struct {
	Count      int
	Backoff    time.Duration // default 1 s
	MaxBackoff time.Duration // default 1 min
}

// Unit is one step's worth of a stage: one service (or inline condition, or
// call) for one app.
type Unit struct {
	// Service is a key of Stack.Services; "" for inline conditions and calls.
	Service string
	App     string
	// SharedNetwork: the helper only dials out, from the one namespace that all such helpers
	// with the same networks share.
	SharedNetwork bool `json:",omitempty"`
	// Condition of an inline await.
	Condition waiters.Condition
	// Ready of a start (with every, timeout, stable_for), nil for none.
	Ready waiters.Condition
	// Until ends a run's helper when it holds: the helper is stopped within
	// its grace, and done if that was a clean shutdown. nil for none.
	Until waiters.Condition
	// Proof must hold before a recorded step is skipped; nil for none.
	Proof waiters.Condition
	// Call is the request of a call stage.
	Call *conditions.Call
}

// Handed marks, in a Spec's strings and in those texts of conditions and calls
// that are looked at only when they are needed (body, headers, command, query, equals, path), a value that a helper hands on with
// ::set and that is known only when it has run: HandedOpen STAGE_KEY HandedClose.
const (
	HandedOpen  = "\uE000"
	HandedClose = "\uE001"
)
