package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
)

// errKilled is what a dead process gets from everything. It never sees that:
// the goroutines that do are the machinery's, and their result is thrown away.
var errKilled = errors.New("the process is dead")

// process is what a runner's process has of the world: an engine and a
// ledger, each call of which has points where the process may die, or be
// interrupted. From the instant of its death no call goes through, those
// under way are cut off, and what it printed is lost.
type process struct {
	engine interface {
		containers.Engine
		containers.Execer
		containers.Copier
	}
	leases containers.Engine
	book   *book
	plan   life

	// alive ends with the process.
	alive           context.Context
	kill            context.CancelFunc
	interrupt, hard chan struct{}

	mu     sync.Mutex
	passed int    // points so far
	died   string // the point of its death, "" while it lives
	// link ends when the engine stops to answer; cut ends it.
	link context.Context
	cut  context.CancelFunc
}

// life is what happens to a process, by the number of the point, from 1; 0 is never.
type life struct {
	Dies int
	// DiesAt is the same by the point's name, the first time.
	DiesAt    string
	Interrupt int // Ctrl-C
	Hard      int // Ctrl-C once more
	// Severed is where the engine stops to answer, for Outage.
	Severed int
	Outage  time.Duration
	// Lease has the process take the stack's lease on the engine.
	Lease bool
	// Late registers an app when its step is done, not before it begins. See apps_test.go.
	Late bool
	// Careless destroys a helper before its outcome is recorded: rule 3
	// switched off. See mutation_test.go.
	Careless bool
}

func newProcess(e containers.Engine, b *book, plan life) *process {
	p := &process{
		book: b, plan: plan, interrupt: make(chan struct{}), hard: make(chan struct{}),
		engine: e.(interface {
			containers.Engine
			containers.Execer
			containers.Copier
		}),
	}
	p.alive, p.kill = context.WithCancel(context.Background())
	p.join()
	return p
}

// join makes the engine answer.
func (p *process) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.cut = context.WithCancel(p.alive)
}

// line is the connection to the engine as it is now.
func (p *process) line() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}

// point is a place where the process may die; false when it is dead.
func (p *process) point(format string, args ...any) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive.Err() != nil {
		return false
	}
	p.passed++
	if p.passed == p.plan.Severed {
		p.cut()
		time.AfterFunc(p.plan.Outage, p.join)
	}
	if here := fmt.Sprintf(format, args...); p.passed == p.plan.Dies || here == p.plan.DiesAt {
		p.died = here
		p.kill()
		return false
	}
	if p.plan.Interrupt == p.passed {
		close(p.interrupt)
	}
	if p.plan.Hard == p.passed {
		close(p.hard)
	}
	return true
}

// points is how many the process has passed.
func (p *process) points() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

func (p *process) death() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.died
}

// Emit implements events.Sink: a write of the ledger has a point before it is
// durable and one after.
func (p *process) Emit(ctx context.Context, e events.Event) error {
	if p.plan.Careless && e.Kind == events.StepEnded && e.Container != "" && e.ExitCode != nil {
		if err := p.Destroy(ctx, e.Container); err != nil {
			return err
		}
	}
	if p.plan.Late && e.Kind == events.StepStarted {
		e.Descriptor = nil
	}
	if !p.point("before the record of %s %s", e.Kind, e.Step) {
		return errKilled
	}
	p.book.add(e)
	if !p.point("after the record of %s %s", e.Kind, e.Step) {
		return errKilled
	}
	return nil
}

var (
	_ runner.Ledger     = (*process)(nil)
	_ events.Sink       = (*process)(nil)
	_ containers.Engine = (*process)(nil)
	_ containers.Execer = (*process)(nil)
	_ containers.Copier = (*process)(nil)
)

// Recorded implements runner.Ledger.
func (p *process) Recorded(context.Context, string, string) (map[string]events.Event, error) {
	if !p.point("reading the records") {
		return nil, errKilled
	}
	return p.book.recorded(), nil
}

// Holders implements runner.Ledger.
func (p *process) Holders(context.Context, string, string) (map[string]events.Event, error) {
	if !p.point("reading the holders") {
		return nil, errKilled
	}
	return p.book.holders(), nil
}

// Stops implements runner.Ledger.
func (p *process) Stops(context.Context, string, string) (map[string]events.Event, error) {
	if !p.point("reading the stops") {
		return nil, errKilled
	}
	return p.book.stops(), nil
}

// Apps implements runner.Ledger.
func (p *process) Apps(context.Context, string, string) (map[string]events.App, error) {
	if !p.point("reading the apps") {
		return nil, errKilled
	}
	return p.book.apps(), nil
}

// Forget implements runner.Ledger.
func (p *process) Forget(context.Context, string, string, ...string) error {
	if !p.point("before forgetting") {
		return errKilled
	}
	p.book.forget()
	if !p.point("after forgetting") {
		return errKilled
	}
	return nil
}

// pass carries a call to the engine: it has a point before the engine has it,
// and one after the engine has acted. drop disposes of what comes too late.
func pass[R any](ctx context.Context, p *process, method, name string, act func(context.Context) (R, error), drop func(R)) (R, error) {
	var none R
	if !p.point("before %s %s", method, name) {
		return none, errKilled
	}
	line := p.line()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(line, cancel)()
	result, err := none, containers.ErrUnavailable
	if line.Err() == nil {
		result, err = act(ctx)
	}
	alive := p.point("after %s %s", method, name)
	if alive && line.Err() == nil {
		return result, err
	}
	if err == nil && drop != nil {
		drop(result)
	}
	if !alive {
		return none, errKilled
	}
	return none, fmt.Errorf("%s %s: the line is cut: %w", method, name, containers.ErrUnavailable)
}

func passOnly(ctx context.Context, p *process, method, name string, act func(context.Context) error) error {
	_, err := pass(ctx, p, method, name, func(ctx context.Context) (struct{}, error) { return struct{}{}, act(ctx) }, nil)
	return err
}

func (p *process) Info(ctx context.Context) (containers.Info, error) {
	return pass(ctx, p, "Info", "", p.engine.Info, nil)
}

// Idler is that of the engine, with points of its own.
func (p *process) Idler() (containers.Idler, bool) {
	i, ok := containers.AsIdler(p.engine)
	return idler{p, i}, ok
}

type idler struct {
	p    *process
	next containers.Idler
}

func (i idler) Idle(ctx context.Context) (containers.Spec, error) {
	return pass(ctx, i.p, "Idle", "", i.next.Idle, nil)
}

func (p *process) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	return pass(ctx, p, "EnsureImage", ref, func(ctx context.Context) (containers.Image, error) {
		return p.engine.EnsureImage(ctx, ref, platform, policy, progress)
	}, nil)
}

func (p *process) EnsureNetwork(ctx context.Context, n containers.Network) error {
	return passOnly(ctx, p, "EnsureNetwork", n.Name, func(ctx context.Context) error { return p.engine.EnsureNetwork(ctx, n) })
}

func (p *process) EnsureVolume(ctx context.Context, v containers.Volume) (containers.VolumeStatus, error) {
	return pass(ctx, p, "EnsureVolume", v.Name, func(ctx context.Context) (containers.VolumeStatus, error) {
		return p.engine.EnsureVolume(ctx, v)
	}, nil)
}

func (p *process) RemoveNetwork(ctx context.Context, name string) error {
	return passOnly(ctx, p, "RemoveNetwork", name, func(ctx context.Context) error { return p.engine.RemoveNetwork(ctx, name) })
}

func (p *process) RemoveVolume(ctx context.Context, name string) error {
	return passOnly(ctx, p, "RemoveVolume", name, func(ctx context.Context) error { return p.engine.RemoveVolume(ctx, name) })
}

func (p *process) ListNetworks(ctx context.Context, labels map[string]string) ([]string, error) {
	return pass(ctx, p, "ListNetworks", "", func(ctx context.Context) ([]string, error) { return p.engine.ListNetworks(ctx, labels) }, nil)
}

func (p *process) ListVolumes(ctx context.Context, labels map[string]string) ([]containers.VolumeStatus, error) {
	return pass(ctx, p, "ListVolumes", "", func(ctx context.Context) ([]containers.VolumeStatus, error) {
		return p.engine.ListVolumes(ctx, labels)
	}, nil)
}

func (p *process) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	return pass(ctx, p, "Create", spec.Name, func(ctx context.Context) (containers.Status, error) {
		return p.engine.Create(ctx, spec)
	}, nil)
}

func (p *process) Start(ctx context.Context, name string) error {
	return passOnly(ctx, p, "Start", name, func(ctx context.Context) error { return p.engine.Start(ctx, name) })
}

func (p *process) Status(ctx context.Context, name string) (containers.Status, error) {
	return pass(ctx, p, "Status", name, func(ctx context.Context) (containers.Status, error) { return p.engine.Status(ctx, name) }, nil)
}

func (p *process) Wait(ctx context.Context, name string) (containers.Status, error) {
	return pass(ctx, p, "Wait", name, func(ctx context.Context) (containers.Status, error) { return p.engine.Wait(ctx, name) }, nil)
}

// Logs of a dead process end.
func (p *process) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	// The engine's reader lives as long as the caller's ctx, not this call's.
	r, err := pass(ctx, p, "Logs", name, func(context.Context) (io.ReadCloser, error) { return p.engine.Logs(ctx, name, opts) },
		func(r io.ReadCloser) { _ = r.Close() })
	if err != nil {
		return nil, err
	}
	line := p.line()
	return reader{r, line, context.AfterFunc(line, func() { _ = r.Close() })}, nil
}

type reader struct {
	io.ReadCloser
	line context.Context
	stop func() bool
}

func (r reader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if r.line.Err() != nil {
		return 0, containers.ErrUnavailable
	}
	return n, err
}

func (r reader) Close() error {
	r.stop()
	return r.ReadCloser.Close()
}

func (p *process) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	return pass(ctx, p, "Stop", name, func(ctx context.Context) (containers.Status, error) { return p.engine.Stop(ctx, name, grace) }, nil)
}

func (p *process) Destroy(ctx context.Context, name string) error {
	return passOnly(ctx, p, "Destroy", name, func(ctx context.Context) error { return p.engine.Destroy(ctx, name) })
}

func (p *process) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	return pass(ctx, p, "List", "", func(ctx context.Context) ([]containers.Status, error) { return p.engine.List(ctx, labels) }, nil)
}

func (p *process) Events(ctx context.Context, labels map[string]string, ready func(), handle func(containers.Event)) error {
	return passOnly(ctx, p, "Events", "", func(ctx context.Context) error { return p.engine.Events(ctx, labels, ready, handle) })
}

// Dial gives connections that break with the process.
func (p *process) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := pass(ctx, p, "Dial", address, func(ctx context.Context) (net.Conn, error) { return p.engine.Dial(ctx, network, address) },
		func(c net.Conn) { _ = c.Close() })
	if err != nil {
		return nil, err
	}
	return conn{c, context.AfterFunc(p.line(), func() { _ = c.Close() })}, nil
}

type conn struct {
	net.Conn
	stop func() bool
}

func (c conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

func (p *process) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return pass(ctx, p, "Exec", name, func(ctx context.Context) (int, error) { return p.engine.Exec(ctx, name, command, output) }, nil)
}

func (p *process) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	return pass(ctx, p, "Exec", name, func(ctx context.Context) (int, error) { return p.engine.Hook(ctx, name, hook, output) }, nil)
}

func (p *process) CopyIn(ctx context.Context, name string, files []containers.File) error {
	return passOnly(ctx, p, "CopyIn", name, func(ctx context.Context) error { return p.engine.CopyIn(ctx, name, files) })
}

func (p *process) CopyOut(ctx context.Context, name, path string) ([]byte, error) {
	return pass(ctx, p, "CopyOut", name, func(ctx context.Context) ([]byte, error) { return p.engine.CopyOut(ctx, name, path) }, nil)
}

// Close does nothing: the engine is everybody's.
func (p *process) Close() error { return nil }
