// Package events is the one stream that a run speaks: views, ledger and
// replay read nothing else. An event is plain data, one JSON object a line.
package events

import (
	"context"
	"time"
)

// Version of the event format. A minor change only adds fields or kinds.
const Version = 1

// Kind says what happened.
type Kind string

// The kinds of events.
const (
	RunStarted     Kind = "run.started"
	RunEnded       Kind = "run.ended" // with Verdict
	StageStarted   Kind = "stage.started"
	StageCompleted Kind = "stage.completed"
	StepStarted    Kind = "step.started"
	StepWaiting    Kind = "step.waiting"  // with Cause: what it waits for and what was seen last
	StepProgress   Kind = "step.progress" // with Progress
	StepEnded      Kind = "step.ended"    // with Outcome
	// StepOutput: Logs is the last line that the step's container has printed, told twice a
	// second at most, and of a service only while it is not ready. It is to be seen now: the ledger does not keep it.
	StepOutput      Kind = "step.output"
	HelperDestroyed Kind = "helper.destroyed"
	// LeaseAcquired: the run has the stack for itself; Elapsed is for how long it
	// waited for others. A run that has nothing to do takes no lease.
	LeaseAcquired Kind = "lease.acquired"
	// LeaseLost: the run must not act any more, and ends.
	LeaseLost Kind = "lease.lost"
	// StepStopping: the step's container is about to be stopped, for Cause. Of a
	// helper, Outcome is done when it has done what it was for (its until holds),
	// else skipped. Whoever finds the container ended, or still running, knows
	// then that its end is not its own.
	StepStopping Kind = "step.stopping"
	// StepRetrying: the attempt failed and another follows after Cause's delay.
	StepRetrying Kind = "step.retrying"
	// ServiceStopped: a service was stopped or removed by this run (a
	// hand-over of an exclusive volume, a recreation, down). ExitCode counts.
	ServiceStopped Kind = "service.stopped"
	// RunInterrupted: the user asked to stop; Cause says what is being stopped.
	RunInterrupted Kind = "run.interrupted"
	// AppRemoved: App is forgotten, for Cause; Descriptor is what it was deployed with.
	AppRemoved Kind = "app.removed"
)

// Verdict is how a run ended.
type Verdict string

// The verdicts.
const (
	VerdictDone        Verdict = "done"
	VerdictFailed      Verdict = "failed"
	VerdictInterrupted Verdict = "interrupted"
)

// Outcome is how a step ended.
type Outcome string

// The outcomes.
const (
	Done     Outcome = "done"
	Failed   Outcome = "failed"
	TimedOut Outcome = "timed_out"
	// Skipped: recorded already (Cause "recorded …"), or not reached, or stopped
	// before its end, because something else failed (then Error says what).
	Skipped Outcome = "skipped"
	// Adopted: what was wanted ran already and was taken over.
	Adopted Outcome = "adopted"
)

// OK tells whether steps that depend on one with this outcome may go on,
// provided that no error came with it.
func (o Outcome) OK() bool { return o == Done || o == Skipped || o == Adopted }

// Event is one thing that happened in a run.
type Event struct {
	V    int       `json:"v"`
	Seq  int64     `json:"seq"` // counts from 1 within a run
	Time time.Time `json:"time"`
	Run  string    `json:"run"`
	Kind Kind      `json:"kind"`

	Stack string `json:"stack,omitempty"`
	// Step is the step's ID, unique within the stack: stage, app and service.
	Step    string `json:"step,omitempty"`
	Stage   string `json:"stage,omitempty"`
	Verb    string `json:"verb,omitempty"`
	Service string `json:"service,omitempty"`
	App     string `json:"app,omitempty"`
	// Behind is, on step.started, the step whose end let this one begin: of all that
	// it waited for the last to end, or what made room in its stage. Steps that there was
	// nothing to do for are passed over. Empty where it had nothing to wait for.
	Behind string `json:"behind,omitempty"`
	// Attempt counts from 1.
	Attempt   int     `json:"attempt,omitempty"`
	Container string  `json:"container,omitempty"`
	ExitCode  *int    `json:"exit_code,omitempty"`
	OOM       bool    `json:"oom,omitempty"`
	Outcome   Outcome `json:"outcome,omitempty"`
	Verdict   Verdict `json:"verdict,omitempty"`
	// Cause says why: of a step, why it runs or is skipped.
	Cause string `json:"cause,omitempty"`
	Error string `json:"error,omitempty"`
	// Conflict: the failure is that something which is not the stack's is in the way.
	Conflict bool `json:"conflict,omitempty"`
	// Logs are the last lines that the container printed: 20, of a step that
	// failed up to 1000.
	Logs []string `json:"logs,omitempty"`
	// Inspect is, on the end of an attempt that failed or timed out, what the engine last said of its
	// container, which is removed then. Nil where that was not seen to end.
	Inspect  *Inspection `json:"inspect,omitempty"`
	Progress *Progress   `json:"progress,omitempty"`

	// Spec and Image identify what a finished step was: the spec's hash and
	// the image's ID. A later run skips the step while both are the same.
	Spec  string `json:"spec,omitempty"`
	Image string `json:"image,omitempty"`
	// Parts are what Spec is the hash of, by field, so that a later run can say
	// what changed: short texts and hashes, no secret. See plan.PartsOf.
	Parts map[string]string `json:"parts,omitempty"`
	// Volumes say which volumes a finished step could rely on: by name, which
	// making of it that was. See plan.Identity.
	Volumes map[string]string `json:"volumes,omitempty"`
	// Exclusive is the volume that the step's container held for itself.
	Exclusive string `json:"exclusive,omitempty"`
	// Values are what the step handed on with ::set; those that are secret are sealed.
	Values map[string]string `json:"values,omitempty"`
	// Sealed, on run.started, are the secrets that the run hides, sealed with its key (a JSON list): by them what
	// its containers have printed can be shown later without these. See package secrets.
	Sealed string `json:"sealed,omitempty"`
	// Token is the fencing token of the lease that the run holds, on
	// run.started, lease.acquired and lease.lost; 0 where it holds none.
	Token int64 `json:"token,omitempty"`
	// Engine is the engine's ID, on run.started.
	Engine string `json:"engine,omitempty"`
	// Files are the stack's files, on run.started.
	Files []string `json:"files,omitempty"`
	// Elapsed of a step, stage or run that ended.
	Elapsed time.Duration `json:"elapsed,omitempty"` // nanoseconds
	// Addresses are a started service's published ports, HOST:PORT->PORT/PROTOCOL.
	Addresses []string `json:"addresses,omitempty"`
	// Plan is the number of steps by action, on run.started.
	Plan map[string]int `json:"plan,omitempty"`
	// Descriptor holds, on the beginning and the end of a step that deploys its app, and on run.started of
	// a run that only registers one, the app's fields that never change once it is deployed. See Registers.
	Descriptor map[string]string `json:"descriptor,omitempty"`
	// Removed are the apps that are deployed and stand in the stack file no more, on run.started.
	Removed []string `json:"removed,omitempty"`
	// Aside are, on the end of an upgrade that failed, the tenants that were set aside: all others have arrived, and
	// what comes after goes on.
	Aside []string `json:"aside,omitempty"`
	// Settled are the steps that nothing is to be done for, on run.started, in the plan's order.
	Settled []Settled `json:"settled,omitempty"`
}

// Settled is a step that a plan expects to be as it should already.
type Settled struct {
	Step string `json:"step"`
	// Outcome is skipped (recorded as done) or adopted (a service that runs).
	Outcome Outcome `json:"outcome"`
	Cause   string  `json:"cause,omitempty"`
}

// Inspection is what an engine tells of a container that has ended, beside its exit code.
type Inspection struct {
	ID      string `json:"id"`
	Image   string `json:"image"`
	ImageID string `json:"image_id"`
	// Error is the engine's own, where it could not start the container.
	Error string `json:"error,omitempty"`
	// Health is the healthcheck's last result, HealthLog what a failed one printed.
	Health    string `json:"health,omitempty"`
	HealthLog string `json:"health_log,omitempty"`
	Restarts  int    `json:"restarts,omitempty"`
	// Created, Started and Finished are by the engine's clock; zero when it was not.
	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Volumes are the names of those that it mounted.
	Volumes []string `json:"volumes,omitempty"`
	// Networks are those that it was in, each with its address there; a container that has ended may have none.
	Networks map[string]string `json:"networks,omitempty"`
}

// Progress is what a helper or detector said of its work.
type Progress struct {
	Done  float64 `json:"done"`
	Total float64 `json:"total,omitempty"` // 0 where it is not known
	Unit  string  `json:"unit,omitempty"`
	Text  string  `json:"text,omitempty"`
}

// Sink takes the events of a run, in order. An error means that the event was
// not kept: a run must not go on past it. Calls do not overlap.
type Sink interface {
	Emit(ctx context.Context, e Event) error
}

// Batcher is what a Sink also is to which many events at once are little more
// work than one. With an error none of them counts as kept.
type Batcher interface {
	EmitAll(ctx context.Context, all []Event) error
}

// EmitAll hands events to the sink, at once where it can take them so.
func EmitAll(ctx context.Context, sink Sink, all []Event) error {
	if b, ok := sink.(Batcher); ok {
		return b.EmitAll(ctx, all)
	}
	for _, e := range all {
		if err := sink.Emit(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
