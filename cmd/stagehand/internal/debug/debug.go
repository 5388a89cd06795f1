// Package debug makes what a step would make, for somebody who wants to look around in it.
package debug

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

// StepOf finds the step that has a container, by its ID.
func StepOf(stack *stages.Stack, id string) (*plan.Step, error) {
	var ids []string
	for _, s := range plan.Make(stack, plan.Facts{}, time.Now()).Steps {
		if s.ID == id && s.Spec == nil {
			return nil, exit.Misuse("%s of %s has no container: its verb, %s, has no service", id, stack.Name, s.Verb)
		}
		if s.ID == id {
			return s, nil
		}
		if s.Spec != nil {
			ids = append(ids, s.ID)
		}
	}
	return nil, exit.Misuse("%s has no step %q with a container: %s", stack.Name, id, problems.OneOf(id, ids))
}

// Said is a spec's command as people read it.
func Said(s containers.Spec) string {
	words := slices.Concat(s.Entrypoint, s.Command)
	if len(words) == 0 {
		return "what its image " + s.Image + " names"
	}
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n\"'$") {
			words[i] = fmt.Sprintf("%q", word)
		}
	}
	return strings.Join(words, " ")
}

// Options are where a step is looked at. All must be set.
type Options struct {
	workshop.Tools
	Stack  *stages.Stack
	Masker *secrets.Masker
	// Say tells people what is no error.
	Say func(format string, args ...any)
	// Command writes down the command line that runs words on the stack.
	Command func(words ...string) string
}

// Spec is the step's container as it would be made now, but under a name of its own that ends as id
// does, and with nothing that others would meet.
func Spec(ctx context.Context, step *plan.Step, o Options, id string) (containers.Spec, error) {
	info, err := o.Engine.Info(ctx)
	if err != nil {
		return containers.Spec{}, exit.OfEngine(err)
	}
	recorded, err := o.Ledger.Recorded(ctx, o.Stack.Name, info.ID)
	if err != nil {
		return containers.Spec{}, err
	}
	values := plan.Values{}
	for _, e := range recorded {
		plain, err := runner.Values(e, o.Key, o.Masker)
		if err != nil {
			o.Say("%v", err)
		}
		values.Set(e.Stage, e.App, plain)
	}
	spec, missing := plan.Resolve(*step.Spec, values, step.App)
	if len(missing) > 0 {
		return spec, exit.Misuse("no step has handed on %s yet, which %s needs: run %s first", strings.Join(missing, ", "), step.ID, o.Command("up"))
	}
	if err := o.refuseHeld(ctx, step); err != nil {
		return spec, err
	}
	spec.Name = containers.Name(step.Container, "debug", id[strings.LastIndexByte(id, '-')+1:])
	spec.Ports, spec.Health, spec.Restart = nil, &containers.Healthcheck{Test: []string{"NONE"}}, containers.Restart{}
	spec.Networks = slices.Clone(spec.Networks)
	for i := range spec.Networks {
		spec.Networks[i] = containers.Attachment{Network: spec.Networks[i].Network, Options: spec.Networks[i].Options}
	}
	spec.Labels = map[string]string{
		containers.LabelStack: o.Stack.Name, containers.LabelStep: step.ID, containers.LabelRole: containers.RoleDebug,
		containers.LabelCreated: time.Now().UTC().Format(time.RFC3339Nano), containers.LabelGrace: "0s",
	}
	return spec, nil
}

// refuseHeld is a conflict where somebody else holds the step's exclusive volume.
func (o Options) refuseHeld(ctx context.Context, step *plan.Step) error {
	if step.Exclusive == "" {
		return nil
	}
	list, err := o.Engine.List(ctx, containers.OfStack(o.Stack.Name))
	if err != nil {
		return exit.OfEngine(err)
	}
	for _, s := range list {
		if s.Running() && slices.Contains(s.Volumes, step.Exclusive) {
			return &exit.Error{Code: exit.Conflict, Err: fmt.Errorf(
				"%s holds the volume %s, which %s must have for itself: stop it first, with %s",
				s.Name, step.Exclusive, step.ID, o.Command("stop", containers.InstanceOf(s.Labels)))}
		}
	}
	return nil
}

// Ensure sees to the image, networks and volumes of the spec.
func Ensure(ctx context.Context, engine containers.Engine, stack *stages.Stack, spec containers.Spec) error {
	if _, err := engine.EnsureImage(ctx, spec.Image, spec.Platform, spec.Pull, nil); err != nil {
		return err
	}
	for _, n := range stack.Networks {
		if slices.ContainsFunc(spec.Networks, func(a containers.Attachment) bool { return a.Network == n.Name }) {
			if err := engine.EnsureNetwork(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, v := range stack.Volumes {
		if slices.ContainsFunc(spec.Mounts, func(m containers.Mount) bool { return m.Kind == containers.MountVolume && m.Source == v.Name }) {
			if _, err := engine.EnsureVolume(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}
