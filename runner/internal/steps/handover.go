package steps

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
)

// holders knows, for each exclusive volume, how its last holder ended, and
// lets one step of this run at a time near it.
type holders struct {
	mu    sync.Mutex
	locks map[string]chan struct{}
	ends  map[string]lastEnd
}

// lastEnd is how the last holder of a volume ended.
type lastEnd struct {
	step, how string
	clean     bool
	// at is when it ended, or when that was recorded.
	at time.Time
}

// load takes over what earlier runs recorded.
func (h *holders) load(recorded map[string]events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for volume, e := range recorded {
		if e.ExitCode == nil {
			continue
		}
		status := containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}
		h.ends[volume] = lastEnd{step: e.Step, how: status.Verdict(), clean: *e.ExitCode != 137 && !e.OOM, at: e.Time}
	}
}

func (h *holders) ended(volume, step string, spec containers.Spec, status containers.Status) {
	if volume == "" || !status.Ended() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends[volume] = lastEnd{step: step, how: status.Verdict(), clean: clean(status, spec), at: status.Finished}
}

// knows tells whether what is known of the volume is at least as new as this end.
func (h *holders) knows(volume string, status containers.Status) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	end, known := h.ends[volume]
	return known && !status.Finished.After(end.at)
}

// unclean says how the last holder, if it was another step, ended when that
// was not clean; "" otherwise. A step may follow itself: recovering from its
// own crash is its own business.
func (h *holders) unclean(volume, step string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	end, known := h.ends[volume]
	if !known || end.clean || end.step == step {
		return ""
	}
	return fmt.Sprintf("%s held it last and did not shut down cleanly: %s", end.step, end.how)
}

// lock waits until no other step of this run is near the volume.
func (h *holders) lock(ctx context.Context, volume string) (unlock func(), err error) {
	h.mu.Lock()
	lock, ok := h.locks[volume]
	if !ok {
		lock = make(chan struct{}, 1)
		h.locks[volume] = lock
	}
	h.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// clean tells whether a container shut down in order: by itself with 0, or by
// the stop signal that it was sent. A container that had to be killed, or ran
// out of memory, has not.
func clean(status containers.Status, spec containers.Spec) bool {
	if !status.Ended() || status.OOMKilled {
		return false
	}
	return status.ExitCode == 0 || status.ExitCode == 128+stopSignal(spec.StopSignal)
}

// stopSignal is the number of a stop signal, SIGTERM's where it is not told.
func stopSignal(name string) int {
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	numbers := map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "TERM": 15, "WINCH": 28, "RTMIN+3": 37,
	}
	if len(name) > 3 && name[:3] == "SIG" {
		name = name[3:]
	}
	if n, ok := numbers[name]; ok {
		return n
	}
	return 15
}

// takeOver hands the step's exclusive volume over to it: whoever holds it is
// stopped within its own grace, and nothing starts unless the last holder has
// shut down cleanly or the stage's proof holds all the same.
func (c *Crew) takeOver(ctx context.Context, a *active) (outcome, bool) {
	if a.Exclusive == "" {
		return outcome{}, true
	}
	all, err := c.Engine.List(ctx, nil)
	if err != nil {
		return c.callFailed(ctx, err), false
	}
	for _, other := range all {
		if other.Name == a.Container || !slices.Contains(other.Volumes, a.Exclusive) {
			continue
		}
		if containers.StackOf(other.Labels) != c.Stack.Name {
			if other.Running() {
				o := failed("%s is held by the container %s, which is not of this stack: stop it first", a.Exclusive, other.Name)
				o.conflict = true
				return o, false
			}
			continue
		}
		if o, ok := c.handOver(ctx, a, other); !ok {
			return o, false
		}
	}
	why := c.holds.unclean(a.Exclusive, a.ID)
	if why == "" || c.proven(ctx, a) {
		return outcome{}, true
	}
	return failed("%s cannot be handed over: %s. Give the holder a longer stop_grace_period; if its data is known to be good, let a proof of this stage say so", a.Exclusive, why), false
}

// handOver ends one holder of the volume.
func (c *Crew) handOver(ctx context.Context, a *active, holder containers.Status) (outcome, bool) {
	step := c.Plan.Step(holder.Labels[containers.LabelStep])
	if step == nil {
		step = &plan.Step{ID: holder.Labels[containers.LabelStep], Stage: holder.Labels[containers.LabelStage], Container: holder.Name, Exclusive: a.Exclusive}
	}
	if holder.State == containers.StateCreated {
		return outcome{}, true
	}
	if holder.Ended() {
		// A helper's end was recorded when it ended, but for one that ended
		// while nobody watched.
		if step.Helper() && c.holds.knows(a.Exclusive, holder) {
			return outcome{}, true
		}
		c.holds.ended(a.Exclusive, step.ID, specOf(step), holder)
		return outcome{}, true
	}
	if step.Helper() && step.Action == plan.Adopt {
		// A helper of a run that died: it is to be adopted at its turn, not undone.
		status, err := c.Engine.Wait(ctx, holder.Name)
		if err != nil {
			return c.callFailed(ctx, err), false
		}
		c.holds.ended(a.Exclusive, step.ID, specOf(step), status)
		return outcome{}, true
	}
	o, status, ok := c.stopService(ctx, holder.Name, step, fmt.Sprintf("to hand %s over to %s", a.Exclusive, a.ID))
	if ok {
		c.holds.ended(a.Exclusive, step.ID, specOf(step), status)
	}
	return o, ok
}

func specOf(step *plan.Step) containers.Spec {
	if step.Spec != nil {
		return *step.Spec
	}
	return containers.Spec{}
}

// proven looks once whether the stage's proof holds.
func (c *Crew) proven(ctx context.Context, a *active) bool {
	if a.Unit.Proof == nil {
		return false
	}
	condition, _, ok := c.resolved(a, a.Unit.Proof)
	if !ok {
		return false
	}
	seen, err := condition.Look(ctx, c.World)
	return err == nil && seen.Holds
}

// stopService stops a container of the stack by its own signal and grace, and
// records that and how it ended.
func (c *Crew) stopService(ctx context.Context, name string, step *plan.Step, cause string) (outcome, containers.Status, bool) {
	grace := specOf(step).Grace()
	status, err := c.Engine.Status(ctx, name)
	if err == nil && status.Labels[containers.LabelGrace] != "" {
		if own, parseErr := time.ParseDuration(status.Labels[containers.LabelGrace]); parseErr == nil {
			grace = own
		}
	}
	intent := record.About(events.StepStopping, step)
	intent.Container, intent.Outcome, intent.Cause = name, events.Skipped, cause
	if err == nil && status.Running() {
		if err := c.Record.Emit(intent); err != nil {
			return broke(err), status, false
		}
	}
	hooked := ""
	if err == nil {
		hooked = PreStop(ctx, c.Engine, status, c.Killed)
	}
	status, err = c.stop(ctx, name, grace)
	if err != nil {
		return c.callFailed(ctx, err), status, false
	}
	e := record.About(events.ServiceStopped, step)
	e.Container, e.Cause, e.Exclusive, e.Error = name, cause, step.Exclusive, hooked
	if status.Ended() {
		code := status.ExitCode
		e.ExitCode, e.OOM = &code, status.OOMKilled
	}
	if err := c.Record.Emit(e); err != nil {
		return broke(err), status, false
	}
	return outcome{}, status, true
}
