// Package faults is a decorator around an engine that makes it fail where a
// test wants it to: the same faults at the same calls in every run.
package faults

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Call is one call of a method of the engine.
type Call struct {
	Method string // Create, Start, ..., Exec, CopyIn, CopyOut; Info and Close too
	// Name is the container, network, volume, image or address; empty where
	// the method has none.
	Name string
	// N counts the calls of this method, Total those of all methods, both from 1.
	N, Total int
}

// String is "Create a #2".
func (c Call) String() string { return fmt.Sprintf("%s %s #%d", c.Method, c.Name, c.N) }

// Fault is what happens to a call. The zero value is nothing.
type Fault struct {
	// Delay is waited before anything else, or until the call's ctx ends.
	Delay time.Duration
	// Before is returned instead of calling the engine.
	Before error
	// Half, of a Create: the engine makes the container but not its files,
	// and the answer is ErrUnavailable. For engines that are a HalfCreator;
	// with others the call fails with ErrUnavailable before it is made.
	Half bool
	// After is returned instead of what the engine answered, once it has
	// acted: a lost response. What the engine handed out (a log reader, a
	// connection) is closed.
	After error
}

// HalfCreator is what an engine also is when it can leave a container
// half-made on purpose. It answers ErrUnavailable when it did.
type HalfCreator interface {
	CreateHalf(ctx context.Context, spec containers.Spec) (containers.Status, error)
}

// Moment is where in a call a Point lies.
type Moment string

// The moments, in their order. A call that Fault.Before stops has no AfterAct.
const (
	BeforeAct Moment = "before" // nothing was done yet
	AfterAct  Moment = "after"  // the engine has acted, the caller does not know yet
)

// Point is a place where a process can die: each call of the engine has two.
type Point struct {
	Call   Call
	Moment Moment
}

// String is "before Create a #2".
func (p Point) String() string { return string(p.Moment) + " " + p.Call.String() }

// Options say what goes wrong. Both functions may be nil, are called by the
// goroutine that makes the call, and may be called by many at once.
type Options struct {
	// Decide returns what happens to a call.
	Decide func(Call) Fault
	// Hook is called at every point: it may cancel a ctx, end the process, or
	// only take notes.
	Hook func(Point)
}

// New returns the engine with faults. It is an Execer and a Copier exactly
// where the engine under it is.
func New(e containers.Engine, opts Options) containers.Engine {
	d := &engine{next: e, opts: opts, counts: map[string]int{}}
	x, runs := e.(containers.Execer)
	c, copies := e.(containers.Copier)
	switch {
	case runs && copies:
		return struct {
			*engine
			execer
			copier
		}{d, execer{d, x}, copier{d, c}}
	case runs:
		return struct {
			*engine
			execer
		}{d, execer{d, x}}
	case copies:
		return struct {
			*engine
			copier
		}{d, copier{d, c}}
	}
	return d
}

// Nth is a Decide that meets the nth call of a method, from 1.
func Nth(method string, n int, f Fault) func(Call) Fault {
	return func(c Call) Fault {
		if c.Method == method && c.N == n {
			return f
		}
		return Fault{}
	}
}

// Every is a Decide that meets every call of a method for name; an empty
// method or name means any.
func Every(method, name string, f Fault) func(Call) Fault {
	return func(c Call) Fault {
		if (method == "" || c.Method == method) && (name == "" || c.Name == name) {
			return f
		}
		return Fault{}
	}
}

// First is a Decide of several: the first that has a fault for the call counts.
func First(all ...func(Call) Fault) func(Call) Fault {
	return func(c Call) Fault {
		for _, decide := range all {
			if f := decide(c); f != (Fault{}) {
				return f
			}
		}
		return Fault{}
	}
}

// engine is the decorator.
type engine struct {
	next containers.Engine
	opts Options

	mu     sync.Mutex
	counts map[string]int
	total  int
}

// begin counts a call and says what shall happen to it.
func (e *engine) begin(method, name string) (Call, Fault) {
	e.mu.Lock()
	e.counts[method]++
	e.total++
	c := Call{Method: method, Name: name, N: e.counts[method], Total: e.total}
	e.mu.Unlock()
	if e.opts.Decide == nil {
		return c, Fault{}
	}
	return c, e.opts.Decide(c)
}

func (e *engine) hook(c Call, m Moment) {
	if e.opts.Hook != nil {
		e.opts.Hook(Point{c, m})
	}
}

// through carries one call to the engine and its faults back. drop disposes
// of a result that the caller will never see; nil where there is nothing to do.
func through[R any](ctx context.Context, e *engine, method, name string, act func(Fault) (R, error), drop func(R)) (R, error) {
	var none R
	call, fault := e.begin(method, name)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	e.hook(call, BeforeAct)
	if fault.Before != nil {
		return none, fmt.Errorf("%s: %w", call, fault.Before)
	}
	result, err := act(fault)
	e.hook(call, AfterAct)
	if fault.After != nil {
		if err == nil && drop != nil {
			drop(result)
		}
		return none, fmt.Errorf("%s: the answer was lost: %w", call, fault.After)
	}
	return result, err
}

// only is through for a method that returns nothing but an error.
func only(ctx context.Context, e *engine, method, name string, act func() error) error {
	_, err := through(ctx, e, method, name, func(Fault) (struct{}, error) { return struct{}{}, act() }, nil)
	return err
}

func (e *engine) Info(ctx context.Context) (containers.Info, error) {
	return through(ctx, e, "Info", "", func(Fault) (containers.Info, error) { return e.next.Info(ctx) }, nil)
}

func (e *engine) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	return through(ctx, e, "EnsureImage", ref, func(Fault) (containers.Image, error) {
		return e.next.EnsureImage(ctx, ref, platform, policy, progress)
	}, nil)
}

func (e *engine) EnsureNetwork(ctx context.Context, n containers.Network) error {
	return only(ctx, e, "EnsureNetwork", n.Name, func() error { return e.next.EnsureNetwork(ctx, n) })
}

func (e *engine) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	return through(ctx, e, "EnsureVolume", v.Name, func(Fault) (containers.VolumeStatus, error) {
		return e.next.EnsureVolume(ctx, v)
	}, nil)
}

func (e *engine) RemoveNetwork(ctx context.Context, name string) error {
	return only(ctx, e, "RemoveNetwork", name, func() error { return e.next.RemoveNetwork(ctx, name) })
}

func (e *engine) RemoveVolume(ctx context.Context, name string) error {
	return only(ctx, e, "RemoveVolume", name, func() error { return e.next.RemoveVolume(ctx, name) })
}

func (e *engine) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	return through(ctx, e, "ListNetworks", "", func(Fault) ([]string, error) { return e.next.ListNetworks(ctx, labels) }, nil)
}

func (e *engine) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	return through(ctx, e, "ListVolumes", "", func(Fault) ([]containers.VolumeStatus, error) {
		return e.next.ListVolumes(ctx, labels)
	}, nil)
}

func (e *engine) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	return through(ctx, e, "Create", spec.Name, func(f Fault) (containers.Status, error) {
		if !f.Half {
			return e.next.Create(ctx, spec)
		}
		if h, ok := e.next.(HalfCreator); ok {
			return h.CreateHalf(ctx, spec)
		}
		return containers.Status{}, containers.ErrUnavailable
	}, nil)
}

func (e *engine) Start(ctx context.Context, name string) error {
	return only(ctx, e, "Start", name, func() error { return e.next.Start(ctx, name) })
}

func (e *engine) Status(ctx context.Context, name string) (containers.Status, error) {
	return through(ctx, e, "Status", name, func(Fault) (containers.Status, error) { return e.next.Status(ctx, name) }, nil)
}

func (e *engine) Wait(ctx context.Context, name string) (containers.Status, error) {
	return through(ctx, e, "Wait", name, func(Fault) (containers.Status, error) { return e.next.Wait(ctx, name) }, nil)
}

func (e *engine) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	return through(ctx, e, "Logs", name, func(Fault) (io.ReadCloser, error) { return e.next.Logs(ctx, name, opts) },
		func(r io.ReadCloser) { _ = r.Close() })
}

func (e *engine) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	return through(ctx, e, "Stop", name, func(Fault) (containers.Status, error) { return e.next.Stop(ctx, name, grace) }, nil)
}

func (e *engine) Destroy(ctx context.Context, name string) error {
	return only(ctx, e, "Destroy", name, func() error { return e.next.Destroy(ctx, name) })
}

func (e *engine) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	return through(ctx, e, "List", "", func(Fault) ([]containers.Status, error) { return e.next.List(ctx, labels) }, nil)
}

func (e *engine) Events(ctx context.Context, labels map[string]string, ready func(), handle func(containers.Event)) error {
	return only(ctx, e, "Events", "", func() error { return e.next.Events(ctx, labels, ready, handle) })
}

func (e *engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return through(ctx, e, "Dial", address, func(Fault) (net.Conn, error) { return e.next.Dial(ctx, network, address) },
		func(c net.Conn) { _ = c.Close() })
}

func (e *engine) Close() error {
	return only(context.Background(), e, "Close", "", e.next.Close)
}

// Idler is that of the engine, without faults.
func (e *engine) Idler() (containers.Idler, bool) { return containers.AsIdler(e.next) }

// Builder is that of the engine, without faults.
func (e *engine) Builder() (containers.Builder, bool) { return containers.AsBuilder(e.next) }

// Leaser is that of the engine; its calls are met by faults too.
func (e *engine) Leaser() (containers.Leaser, bool) {
	inner, ok := containers.AsLeaser(e.next)
	return leaser{e, inner}, ok
}

type leaser struct {
	decorator *engine
	inner     containers.Leaser
}

func (l leaser) Lease(ctx context.Context, name string, holder containers.Holder) (containers.Lease, error) {
	lease, err := through(ctx, l.decorator, "Lease", name, func(Fault) (containers.Lease, error) {
		return l.inner.Lease(ctx, name, holder)
	}, func(lost containers.Lease) { _ = lost.Release(ctx) }) // it ends with the connection that its answer got lost on
	if err != nil {
		return nil, err
	}
	return leased{lease, l.decorator, name}, nil
}

func (l leaser) LeaseHolder(ctx context.Context, name string) (containers.Holder, error) {
	return through(ctx, l.decorator, "LeaseHolder", name, func(Fault) (containers.Holder, error) { return l.inner.LeaseHolder(ctx, name) }, nil)
}

func (l leaser) AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error) {
	return through(ctx, l.decorator, "AwaitRelease", name, func(Fault) ([][]byte, error) { return l.inner.AwaitRelease(ctx, name, token) }, nil)
}

// leased is a lease that was taken through the decorator.
type leased struct {
	containers.Lease
	decorator *engine
	name      string
}

func (l leased) Release(ctx context.Context) error {
	return only(ctx, l.decorator, "Release", l.name, func() error { return l.Lease.Release(ctx) })
}

// execer and copier are the decorator's abilities, where the engine has them.
type execer struct {
	decorator *engine
	inner     containers.Execer
}

func (x execer) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return through(ctx, x.decorator, "Exec", name, func(Fault) (int, error) {
		return x.inner.Exec(ctx, name, command, output)
	}, nil)
}

func (x execer) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	return through(ctx, x.decorator, "Exec", name, func(Fault) (int, error) {
		return x.inner.Hook(ctx, name, hook, output)
	}, nil)
}

type copier struct {
	decorator *engine
	inner     containers.Copier
}

func (c copier) CopyIn(ctx context.Context, name string, files []containers.File) error {
	return only(ctx, c.decorator, "CopyIn", name, func() error { return c.inner.CopyIn(ctx, name, files) })
}

func (c copier) CopyOut(ctx context.Context, name, path string) ([]byte, error) {
	return through(ctx, c.decorator, "CopyOut", name, func(Fault) ([]byte, error) { return c.inner.CopyOut(ctx, name, path) }, nil)
}
