// Package guard is a decorator that lets an engine be changed only while a
// lease holds. Looking and waiting go on: they do no harm.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Wrap returns e with every call that changes something refused with
// containers.ErrLeaseLost once the lease is lost, and cut short when it is
// lost under way; then, as after any error, it is unknown how much of it was
// done. life must be done when the lease is lost, at the latest: it is what ends
// calls that are under way. The result is a containers.Execer and a
// containers.Copier exactly when e is.
func Wrap(life context.Context, e containers.Engine, lease containers.Lease) containers.Engine {
	g := &engine{Engine: e, lease: lease, lifeDone: life.Done(), after: func(f func()) func() bool { return context.AfterFunc(life, f) }}
	execer, runs := e.(containers.Execer)
	copier, copies := e.(containers.Copier)
	switch {
	case runs && copies:
		return struct {
			*engine
			execs
			copying
		}{g, execs{g, execer}, copying{g, copier}}
	case runs:
		return struct {
			*engine
			execs
		}{g, execs{g, execer}}
	case copies:
		return struct {
			*engine
			copying
		}{g, copying{g, copier}}
	}
	return g
}

type engine struct {
	containers.Engine
	lease    containers.Lease
	lifeDone <-chan struct{}
	after    func(func()) (stop func() bool)
}

// Leaser is that of the engine.
func (g *engine) Leaser() (containers.Leaser, bool) { return containers.AsLeaser(g.Engine) }

// Idler is that of the engine.
func (g *engine) Idler() (containers.Idler, bool) { return containers.AsIdler(g.Engine) }

// Builder is that of the engine.
func (g *engine) Builder() (containers.Builder, bool) { return containers.AsBuilder(g.Engine) }

type execs struct {
	g *engine
	e containers.Execer
}

type copying struct {
	g *engine
	containers.Copier
}

func (g *engine) gone() bool {
	select {
	case <-g.lifeDone:
		return true
	case <-g.lease.Lost(): // looks for itself: a process that was stopped for a while finds out here
		return true
	default:
		return false
	}
}

// while does what changes something.
func while[T any](ctx context.Context, g *engine, what string, act func(context.Context) (T, error)) (T, error) {
	var none T
	if g.gone() {
		return none, g.refusal(ctx, what)
	}
	if err := g.lease.Allow(ctx); err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := g.after(cancel)
	defer stop()
	out, err := act(ctx)
	if err != nil && g.gone() {
		return out, g.refusal(ctx, what)
	}
	return out, err
}

// refusal is the error once the lease is gone.
func (g *engine) refusal(ctx context.Context, what string) error {
	if err := g.lease.Allow(context.WithoutCancel(ctx)); errors.Is(err, containers.ErrLeaseLost) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, containers.ErrLeaseLost)
}

func only(ctx context.Context, g *engine, what string, act func(context.Context) error) error {
	_, err := while(ctx, g, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, act(ctx) })
	return err
}

func (g *engine) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	if policy == containers.PullNever { // only a look
		return g.Engine.EnsureImage(ctx, ref, platform, policy, progress)
	}
	return while(ctx, g, "image "+ref, func(ctx context.Context) (containers.Image, error) {
		return g.Engine.EnsureImage(ctx, ref, platform, policy, progress)
	})
}

func (g *engine) EnsureNetwork(ctx context.Context, n containers.Network) error {
	return only(ctx, g, "network "+n.Name, func(ctx context.Context) error { return g.Engine.EnsureNetwork(ctx, n) })
}

func (g *engine) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	if v.External { // only a look
		return g.Engine.EnsureVolume(ctx, v)
	}
	return while(ctx, g, "volume "+v.Name, func(ctx context.Context) (containers.VolumeStatus, error) { return g.Engine.EnsureVolume(ctx, v) })
}

func (g *engine) RemoveNetwork(ctx context.Context, name string) error {
	return only(ctx, g, "network "+name, func(ctx context.Context) error { return g.Engine.RemoveNetwork(ctx, name) })
}

func (g *engine) RemoveVolume(ctx context.Context, name string) error {
	return only(ctx, g, "volume "+name, func(ctx context.Context) error { return g.Engine.RemoveVolume(ctx, name) })
}

func (g *engine) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	return while(ctx, g, "create "+spec.Name, func(ctx context.Context) (containers.Status, error) { return g.Engine.Create(ctx, spec) })
}

func (g *engine) Start(ctx context.Context, name string) error {
	return only(ctx, g, "start "+name, func(ctx context.Context) error { return g.Engine.Start(ctx, name) })
}

func (g *engine) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	return while(ctx, g, "stop "+name, func(ctx context.Context) (containers.Status, error) { return g.Engine.Stop(ctx, name, grace) })
}

func (g *engine) Destroy(ctx context.Context, name string) error {
	return only(ctx, g, "destroy "+name, func(ctx context.Context) error { return g.Engine.Destroy(ctx, name) })
}

func (x execs) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return while(ctx, x.g, "exec in "+name, func(ctx context.Context) (int, error) { return x.e.Exec(ctx, name, command, output) })
}

func (x execs) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	return while(ctx, x.g, "exec in "+name, func(ctx context.Context) (int, error) { return x.e.Hook(ctx, name, hook, output) })
}

func (c copying) CopyIn(ctx context.Context, name string, files []containers.File) error {
	return only(ctx, c.g, "copy into "+name, func(ctx context.Context) error { return c.Copier.CopyIn(ctx, name, files) })
}
