package reaper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// labelsOf are what all that an ephemeral run makes carries.
func labelsOf(run string) map[string]string {
	return map[string]string{containers.LabelRun: run, containers.LabelEphemeral: "true"}
}

// Own returns a view of e for an ephemeral run: what is made through it
// carries the run's labels, networks and volumes too; lists show nothing
// else; and what stands under a wanted name without these labels is somebody
// else's, which is ErrConflict. External networks and volumes are the user's
// and are looked up as ever. It has no leases: the run holds its stack's from
// its beginning to its end. The result is a containers.Execer and a
// containers.Copier exactly when e is.
func Own(e containers.Engine, run string) containers.Engine {
	base := &own{Engine: e, run: run}
	execer, canExec := e.(containers.Execer)
	copier, canCopy := e.(containers.Copier)
	switch {
	case canExec && canCopy:
		return struct {
			*own
			containers.Execer
			containers.Copier
		}{base, execer, copier}
	case canExec:
		return struct {
			*own
			containers.Execer
		}{base, execer}
	case canCopy:
		return struct {
			*own
			containers.Copier
		}{base, copier}
	}
	return base
}

type own struct {
	containers.Engine
	run string
}

// Idler is that of the engine.
func (o *own) Idler() (containers.Idler, bool) { return containers.AsIdler(o.Engine) }

// Builder is that of the engine: images stay, as pulled ones do.
func (o *own) Builder() (containers.Builder, bool) { return containers.AsBuilder(o.Engine) }

// labelled is labels and the run's.
func (o *own) labelled(labels map[string]string) map[string]string {
	out := labelsOf(o.run)
	for key, value := range labels {
		if _, ours := out[key]; !ours {
			out[key] = value
		}
	}
	return out
}

// refuse is ErrConflict for what does not carry the run's labels.
func (o *own) refuse(kind, name string, labels map[string]string) error {
	if labels[containers.LabelRun] == o.run {
		return nil
	}
	holder := "it is not stagehand's"
	if stack := labels[containers.LabelStack]; stack != "" {
		holder = "it belongs to stack " + stack
		if run := labels[containers.LabelRun]; run != "" {
			holder += ", run " + run
		}
	}
	return fmt.Errorf("%s %s stands already, and an ephemeral run uses only what it made (%s): %w", kind, name, holder, containers.ErrConflict)
}

func (o *own) EnsureNetwork(ctx context.Context, n containers.Network) error {
	if n.External {
		return o.Engine.EnsureNetwork(ctx, n)
	}
	n.Labels = o.labelled(n.Labels)
	if err := o.Engine.EnsureNetwork(ctx, n); err != nil {
		return err
	}
	ours, err := o.ListNetworks(ctx, nil)
	if err != nil || slices.Contains(ours, n.Name) {
		return err
	}
	return o.refuse("network", n.Name, nil)
}

func (o *own) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	if v.External {
		return o.Engine.EnsureVolume(ctx, v)
	}
	v.Labels = o.labelled(v.Labels)
	status, err := o.Engine.EnsureVolume(ctx, v)
	if err == nil {
		err = o.refuse("volume", v.Name, status.Labels)
	}
	return status, err
}

func (o *own) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	spec.Labels = o.labelled(spec.Labels)
	status, err := o.Engine.Create(ctx, spec)
	if err == nil {
		err = o.refuse("container", spec.Name, status.Labels)
	}
	return status, err
}

// Stop and Destroy leave alone what took the name of one of the run's.
func (o *own) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	if err := o.look(ctx, name); err != nil {
		return containers.Status{}, err
	}
	return o.Engine.Stop(ctx, name, grace)
}

func (o *own) Destroy(ctx context.Context, name string) error {
	err := o.look(ctx, name)
	if errors.Is(err, containers.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return o.Engine.Destroy(ctx, name)
}

func (o *own) look(ctx context.Context, name string) error {
	status, err := o.Status(ctx, name)
	if err != nil {
		return err
	}
	return o.refuse("container", name, status.Labels)
}

func (o *own) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	return o.Engine.ListNetworks(ctx, o.within(labels))
}

func (o *own) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	return o.Engine.ListVolumes(ctx, o.within(labels))
}

func (o *own) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	return o.Engine.List(ctx, o.within(labels))
}

// within narrows a search down to what is the run's. Labels that ask for
// another run find nothing, as they should.
func (o *own) within(labels map[string]string) map[string]string {
	out := labelsOf(o.run)
	maps.Copy(out, labels)
	return out
}
