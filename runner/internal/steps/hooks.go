package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
)

// preStart runs the containers that come before a service's own, which stands and is not started yet: each a
// step of its own in what is recorded, done anew at each start of the service. One that fails is the step's failure.
func (c *Crew) preStart(ctx context.Context, a *active) (outcome, bool) {
	for i, spec := range a.spec.PreStart {
		step := &plan.Step{
			ID: fmt.Sprintf("%s/pre_start/%d", a.ID, i+1), Stage: a.Stage, Verb: stages.Run, App: a.App, Service: a.Service,
			Action: plan.Create, Cause: a.ID + " is to be started", Container: spec.Name, Image: spec.Image, Spec: &spec, Unit: &stages.Unit{Service: a.Service, App: a.App},
		}
		spec.Labels = maps.Clone(spec.Labels)
		if spec.Labels == nil {
			spec.Labels = map[string]string{}
		}
		maps.Copy(spec.Labels, map[string]string{
			containers.LabelProject: c.Stack.Name, containers.LabelStack: c.Stack.Name, containers.LabelStage: a.Stage,
			containers.LabelStep: step.ID, containers.LabelGrace: spec.Grace().String(), containers.LabelRole: containers.RoleHelper,
		})
		if a.App != "" {
			spec.Labels[containers.LabelApp] = a.App
		}
		ended, err := c.Execute(ctx, step, &stages.Stage{Name: a.Stage, Verb: stages.Run, Keep: a.stage.Keep}, "", func() {})
		switch {
		case err != nil:
			return broke(err), false
		case ctx.Err() != nil:
			return interruption(ctx, "in pre_start"), false
		case ended.Error != "":
			return failed("pre_start: %s: %s", step.ID, ended.Error), false
		}
	}
	return outcome{}, true
}

// postStart runs the hooks of a service that has just been started. One that
// fails is the step's failure; the container stays.
func (c *Crew) postStart(ctx context.Context, a *active) (outcome, bool) {
	if len(a.spec.PostStart) == 0 {
		return outcome{}, true
	}
	note := record.About(events.StepProgress, a.Step)
	note.Progress = &events.Progress{Text: "post_start"}
	c.Record.Note(note)
	why, err := runHooks(ctx, c.Engine, a.Container, a.spec.PostStart)
	switch {
	case ctx.Err() != nil:
		return interruption(ctx, "in post_start"), false
	case err != nil:
		return c.callFailed(ctx, err), false
	case why != "":
		return failed("post_start: %s", why), false
	}
	return outcome{}, true
}

// PreStop runs the hooks that a container's labels name, before it is stopped, and
// says what went wrong; that keeps nobody from stopping it. It ends when killed is
// closed.
func PreStop(ctx context.Context, engine containers.Engine, status containers.Status, killed <-chan struct{}) string {
	text := status.Labels[containers.LabelPreStop]
	if text == "" || !status.Running() {
		return ""
	}
	var hooks []containers.Hook
	if err := json.Unmarshal([]byte(text), &hooks); err != nil {
		return fmt.Sprintf("pre_stop: its label cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() { // owned by this call: done ends it
		select {
		case <-killed:
			cancel()
		case <-done:
		}
	}()
	why, err := runHooks(ctx, engine, status.Name, hooks)
	switch {
	case errors.Is(err, containers.ErrNotFound), errors.Is(err, containers.ErrConflict): // it has ended meanwhile
		return ""
	case err != nil:
		return fmt.Sprintf("pre_stop: %v", err)
	case why != "":
		return "pre_stop: " + why
	}
	return ""
}

// hookOutput is how much of what a hook printed last stands in its failure, in bytes.
const hookOutput = 400

// runHooks runs them one after another until one fails, and says how that one did.
func runHooks(ctx context.Context, engine containers.Engine, container string, hooks []containers.Hook) (why string, err error) {
	execer, can := engine.(containers.Execer)
	if !can {
		return "this engine runs no commands inside containers", nil
	}
	for _, hook := range hooks {
		var output bytes.Buffer
		code, err := execer.Hook(ctx, container, hook, &output)
		if err != nil {
			return "", err
		}
		if code == 0 {
			continue
		}
		said := strings.TrimSpace(output.String())
		if len(said) > hookOutput {
			said = "…" + strings.ToValidUTF8(said[len(said)-hookOutput:], "")
		}
		why := fmt.Sprintf("%s ended with exit %d", strings.Join(hook.Command, " "), code)
		if said != "" {
			why += ": " + said
		}
		return why, nil
	}
	return "", nil
}
