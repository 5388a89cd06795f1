// Package retry is a decorator that repeats calls to an engine that does not
// answer. Every call of the contract may be repeated, so a response that was
// lost is asked for again; errors that are answers are handed on as they are.
package retry

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

// Wrap returns e with calls that fail with containers.ErrUnavailable repeated,
// 50 ms apart at first and at most 2 s, until patience is over; then the last
// error is returned. The result is a containers.Execer and a
// containers.Copier exactly when e is.
func Wrap(e containers.Engine, patience time.Duration) containers.Engine {
	base := &engine{Engine: e, patience: patience}
	execer, canExec := e.(containers.Execer)
	copier, canCopy := e.(containers.Copier)
	switch {
	case canExec && canCopy:
		return struct {
			*engine
			execs
			copies
		}{base, execs{base, execer}, copies{base, copier}}
	case canExec:
		return struct {
			*engine
			execs
		}{base, execs{base, execer}}
	case canCopy:
		return struct {
			*engine
			copies
		}{base, copies{base, copier}}
	}
	return base
}

type engine struct {
	containers.Engine
	patience time.Duration
	// started holds, by container name, when it had been started the last
	// time Create returned it: what Start compares with.
	started sync.Map
}

type execs struct {
	r *engine
	e containers.Execer
}

type copies struct {
	r *engine
	c containers.Copier
}

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
)

// again calls fn until it gives anything but ErrUnavailable. fn may be called
// many times.
func again[T any](ctx context.Context, r *engine, fn func() (T, error)) (T, error) {
	deadline := time.Now().Add(r.patience)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		out, err := fn()
		if !errors.Is(err, containers.ErrUnavailable) || time.Now().Add(pause).After(deadline) {
			return out, err
		}
		if cut := sleep.For(ctx, pause); cut != nil {
			return out, errors.Join(cut, err)
		}
	}
}

func againErr(ctx context.Context, r *engine, fn func() error) error {
	_, err := again(ctx, r, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

// Builder is that of the engine; a build is not repeated, it takes too long.
func (r *engine) Builder() (containers.Builder, bool) { return containers.AsBuilder(r.Engine) }

// Idler is that of the engine, its calls repeated too.
func (r *engine) Idler() (containers.Idler, bool) {
	inner, ok := containers.AsIdler(r.Engine)
	return idler{r, inner}, ok
}

type idler struct {
	r *engine
	i containers.Idler
}

func (i idler) Idle(ctx context.Context) (containers.Spec, error) {
	return again(ctx, i.r, func() (containers.Spec, error) { return i.i.Idle(ctx) })
}

// Leaser is that of the engine, its calls repeated too.
func (r *engine) Leaser() (containers.Leaser, bool) {
	inner, ok := containers.AsLeaser(r.Engine)
	return leaser{r, inner}, ok
}

// leaser repeats what is only looking, and Lease: one that was taken and whose answer got lost
// ends by itself, and until then it is somebody else's.
type leaser struct {
	r *engine
	l containers.Leaser
}

func (l leaser) Lease(ctx context.Context, name string, holder containers.Holder) (containers.Lease, error) {
	return again(ctx, l.r, func() (containers.Lease, error) { return l.l.Lease(ctx, name, holder) })
}

func (l leaser) LeaseHolder(ctx context.Context, name string) (containers.Holder, error) {
	return again(ctx, l.r, func() (containers.Holder, error) { return l.l.LeaseHolder(ctx, name) })
}

func (l leaser) AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error) {
	return again(ctx, l.r, func() ([][]byte, error) { return l.l.AwaitRelease(ctx, name, token) })
}

func (r *engine) Info(ctx context.Context) (containers.Info, error) {
	return again(ctx, r, func() (containers.Info, error) { return r.Engine.Info(ctx) })
}

func (r *engine) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	return again(ctx, r, func() (containers.Image, error) { return r.Engine.EnsureImage(ctx, ref, platform, policy, progress) })
}

func (r *engine) EnsureNetwork(ctx context.Context, n containers.Network) error {
	return againErr(ctx, r, func() error { return r.Engine.EnsureNetwork(ctx, n) })
}

func (r *engine) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	return again(ctx, r, func() (containers.VolumeStatus, error) { return r.Engine.EnsureVolume(ctx, v) })
}

func (r *engine) RemoveNetwork(ctx context.Context, name string) error {
	return againErr(ctx, r, func() error { return r.Engine.RemoveNetwork(ctx, name) })
}

func (r *engine) RemoveVolume(ctx context.Context, name string) error {
	return againErr(ctx, r, func() error { return r.Engine.RemoveVolume(ctx, name) })
}

func (r *engine) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	return again(ctx, r, func() ([]string, error) { return r.Engine.ListNetworks(ctx, labels) })
}

func (r *engine) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	return again(ctx, r, func() ([]containers.VolumeStatus, error) { return r.Engine.ListVolumes(ctx, labels) })
}

func (r *engine) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	status, err := again(ctx, r, func() (containers.Status, error) { return r.Engine.Create(ctx, spec) })
	if err == nil {
		r.started.Store(spec.Name, status.Started)
	}
	return status, err
}

// Start is repeated only after a look that was answered: a helper whose start
// was carried out and whose response got lost may have ended meanwhile, and
// starting it again would do its work twice. A container that has never run is started again.
// One that was started before by somebody else and stands ended now is started again
// too: its last end is older than this call.
func (r *engine) Start(ctx context.Context, name string) error {
	seen, known := r.started.Load(name)
	if !known {
		before, err := r.Status(ctx, name)
		if err != nil {
			return err
		}
		seen = before.Started
	}
	defer r.started.Delete(name)
	tried := false
	return againErr(ctx, r, func() error {
		if tried {
			now, err := r.Engine.Status(ctx, name)
			if err != nil {
				return err
			}
			if now.Running() || now.Ended() && !now.Started.Equal(seen.(time.Time)) {
				return nil
			}
		}
		tried = true
		return r.Engine.Start(ctx, name)
	})
}

func (r *engine) Status(ctx context.Context, name string) (containers.Status, error) {
	return again(ctx, r, func() (containers.Status, error) { return r.Engine.Status(ctx, name) })
}

func (r *engine) Wait(ctx context.Context, name string) (containers.Status, error) {
	return again(ctx, r, func() (containers.Status, error) { return r.Engine.Wait(ctx, name) })
}

func (r *engine) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	return again(ctx, r, func() (io.ReadCloser, error) { return r.Engine.Logs(ctx, name, opts) })
}

func (r *engine) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	return again(ctx, r, func() (containers.Status, error) { return r.Engine.Stop(ctx, name, grace) })
}

func (r *engine) Destroy(ctx context.Context, name string) error {
	return againErr(ctx, r, func() error { return r.Engine.Destroy(ctx, name) })
}

func (r *engine) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	return again(ctx, r, func() ([]containers.Status, error) { return r.Engine.List(ctx, labels) })
}

func (r *engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return again(ctx, r, func() (net.Conn, error) { return r.Engine.Dial(ctx, network, address) })
}

// Exec is not repeated once the command may have begun: only the caller knows
// whether it may run twice.
func (x execs) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return x.e.Exec(ctx, name, command, output)
}

// Hook is not repeated either.
func (x execs) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	return x.e.Hook(ctx, name, hook, output)
}

func (c copies) CopyIn(ctx context.Context, name string, files []containers.File) error {
	return againErr(ctx, c.r, func() error { return c.c.CopyIn(ctx, name, files) })
}

func (c copies) CopyOut(ctx context.Context, name, path string) ([]byte, error) {
	return again(ctx, c.r, func() ([]byte, error) { return c.c.CopyOut(ctx, name, path) })
}
