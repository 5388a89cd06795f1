package memory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// signals that end a program which does not ask for them, with their numbers.
// Source: signal(7), Linux on x86 and ARM.
var signals = map[string]int{
	"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGABRT": 6, "SIGUSR1": 10, "SIGUSR2": 12, "SIGALRM": 14, "SIGTERM": 15,
}

const (
	exitKilled = 128 + 9
	exitPanic  = 2 // Go's own
)

// process is a run of a program: a container's main one, or of Exec. Its
// fields that change are guarded by Engine.mu.
type process struct {
	engine    *Engine
	container *container
	ctx       context.Context // of this run: done when it is killed
	kill      context.CancelFunc
	open      closers

	forced   int // the exit code when killed; 0 when not
	trapped  map[string]chan string
	held     int64
	ending   bool           // the main program has returned: no more children
	children sync.WaitGroup // what Exec and the healthcheck run
}

func (e *Engine) newProcess(c *container) *process {
	ctx, cancel := context.WithCancel(context.Background())
	return &process{engine: e, container: c, ctx: ctx, kill: cancel, trapped: map[string]chan string{}}
}

// end kills the process; the engine is locked. The first code counts.
func (p *process) end(code int) {
	if p.forced == 0 {
		p.forced = code
	}
	p.kill()
}

// run runs argv to its end and returns the exit code.
func (p *process) run(argv []string, stdout, stderr io.Writer) int {
	c := p.container
	host := c.spec.Hostname
	if host == "" {
		host = c.id[:12]
	}
	process := &program.Process{
		Name: argv[0], Args: slices.Clone(argv[1:]), Env: slices.Clone(c.spec.Env), Dir: path.Clean("/" + c.spec.WorkingDir),
		Hostname: host, Stdout: stdout, Stderr: stderr, System: p,
	}
	done := make(chan int, 1)
	// A goroutine of its own, since Hold ends it from within.
	go func() {
		code := exitPanic
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(stderr, "panic: %v\n", r)
			}
			done <- code
		}()
		code = c.image.program(p.ctx, process) & 0xff
	}()
	code := <-done
	p.kill()
	p.open.closeAll()
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	if p.forced != 0 {
		return p.forced
	}
	return code
}

// alive returns the error of every system call of a program that was killed.
func (p *process) alive(op, name string) error {
	if p.ctx.Err() != nil {
		return problem(op, name, fs.ErrClosed)
	}
	return nil
}

// Notify implements program.System.
func (p *process) Notify(names ...string) <-chan string {
	target := make(chan string, 8)
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	for _, name := range names {
		p.trapped[name] = target
	}
	return target
}

// deliver sends a signal to the process. The engine is locked.
func (p *process) deliver(name string) {
	if target := p.trapped[name]; target != nil && name != "SIGKILL" {
		select {
		case target <- name:
		default: // like signal.Notify: a full channel loses signals
		}
		return
	}
	if number, ends := signals[name]; ends {
		p.end(128 + number)
	} else if name == "SIGKILL" {
		p.end(exitKilled)
	}
}

// Listen implements program.System.
func (p *process) Listen(target string) (net.Listener, error) {
	if err := p.alive("listen", target); err != nil {
		return nil, err
	}
	l, err := p.container.namespace.listen(target, &p.open)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Dial implements program.System.
func (p *process) Dial(ctx context.Context, target string) (net.Conn, error) {
	if err := p.alive("dial", target); err != nil {
		return nil, err
	}
	e, c := p.engine, p.container
	e.mu.Lock()
	view := c
	if other := e.containers[c.sharing]; other != nil {
		view = other
	}
	var networks []string
	for _, attachment := range view.attachments() {
		networks = append(networks, attachment.Network)
	}
	l, err := e.listening(networks, c.namespace == e.host, c.namespace, target)
	e.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	conn, err := l.dial(ctx, address(c.spec.Name+":0"))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	conn.onClose = func() { p.open.remove(conn) }
	p.open.add(conn)
	return conn, nil
}

// ReadFile implements program.System.
func (p *process) ReadFile(name string) ([]byte, error) {
	t, inside, err := p.find("read", name, false)
	if err != nil {
		return nil, err
	}
	return t.read(inside)
}

// WriteFile implements program.System.
func (p *process) WriteFile(name string, content []byte) error {
	return p.writeFile(name, content, false)
}

// AppendFile implements program.System.
func (p *process) AppendFile(name string, content []byte) error {
	return p.writeFile(name, content, true)
}

func (p *process) writeFile(name string, content []byte, extend bool) error {
	t, inside, err := p.find("write", name, true)
	if err != nil {
		return err
	}
	uid, gid := owner(p.container.spec.User)
	return t.write(inside, content, extend, uid, gid)
}

// Stat implements program.System.
func (p *process) Stat(name string) (program.FileInfo, error) {
	t, inside, err := p.find("stat", name, false)
	if err != nil {
		return program.FileInfo{}, err
	}
	return t.stat(inside)
}

// ReadDir implements program.System.
func (p *process) ReadDir(name string) ([]string, error) {
	t, inside, err := p.find("open", name, false)
	if err != nil {
		return nil, err
	}
	return t.list(inside)
}

// Remove implements program.System.
func (p *process) Remove(name string) error {
	t, inside, err := p.find("remove", name, true)
	if err != nil {
		return err
	}
	return t.remove(inside)
}

func (p *process) find(op, name string, change bool) (*tree, string, error) {
	if err := p.alive(op, name); err != nil {
		return nil, "", err
	}
	if !path.IsAbs(name) {
		name = path.Join("/", p.container.spec.WorkingDir, name)
	}
	p.engine.mu.Lock() // a start replaces the trees of tmpfs mounts
	t, inside, readOnly := p.container.find(name)
	p.engine.mu.Unlock()
	if change && readOnly {
		return nil, "", problem(op, name, fs.ErrPermission)
	}
	return t, inside, nil
}

// Hold implements program.System: all processes of a container count together.
func (p *process) Hold(bytes int64) {
	e, c := p.engine, p.container
	e.mu.Lock()
	p.held += bytes
	c.held += bytes
	limit := c.spec.Resources.Memory
	if limit > 0 && c.held > limit && c.main != nil && c.main.forced == 0 {
		c.oom = true
		e.emit(c, containers.EventOOM)
		c.main.end(exitKilled)
	}
	killed := p.ctx.Err() != nil || c.main != nil && c.main.forced != 0
	e.mu.Unlock()
	if killed {
		<-p.ctx.Done()
		runtime.Goexit()
	}
}

// Exec runs the image's program with another command line. When ctx ends
// first, the command goes on without anybody who listens, as on other engines.
func (e *Engine) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	if err := e.enter(ctx, "Exec"); err != nil {
		return 0, err
	}
	c, err := e.lookup(name)
	switch {
	case err == nil && len(command) == 0:
		err = fmt.Errorf("%w: exec needs a command", containers.ErrInvalid)
	case err == nil && (c.main == nil || c.main.ending):
		err = fmt.Errorf("container %s does not run: %w", name, containers.ErrConflict)
	}
	if err != nil {
		e.mu.Unlock()
		return 0, err
	}
	sink := &gate{writer: output}
	defer sink.close()
	done := e.spawn(c, command, sink)
	cut := e.cut
	e.mu.Unlock()
	select {
	case code := <-done:
		return code, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-cut:
		return 0, fmt.Errorf("exec in %s: the answer was lost: %w", name, containers.ErrUnavailable)
	}
}

// spawn runs a command beside the main process of c, which runs. It ends, at
// the latest, with the main process. The engine is locked.
func (e *Engine) spawn(c *container, command []string, output io.Writer) <-chan int {
	child := e.newProcess(c)
	main := c.main
	release := context.AfterFunc(main.ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		child.end(exitKilled)
	})
	done := make(chan int, 1)
	main.children.Go(func() {
		defer release()
		code := child.run(command, output, output)
		e.mu.Lock()
		c.held -= child.held
		e.mu.Unlock()
		done <- code
	})
	return done
}

// gate passes writes on until it is closed, one at a time.
type gate struct {
	mu     sync.Mutex
	writer io.Writer
}

func (g *gate) Write(text []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writer == nil {
		return len(text), nil
	}
	return g.writer.Write(text)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writer = nil
}

// argv is what the container's main process runs.
func (c *container) argv() []string {
	first := c.spec.Entrypoint
	if first == nil {
		first = []string{entrypoint}
	}
	argv := slices.Concat(first, c.spec.Command)
	if len(argv) == 0 {
		argv = []string{entrypoint}
	}
	return argv
}

// published is a port of the engine's host that is taken.
type published struct {
	owner     *container
	container uint16
}

// firstPort is where ports begin that nobody named. Source: Linux, net.ipv4.ip_local_port_range.
const firstPort = 32768

// publish takes the ports that the spec asks for, all or none.
func (e *Engine) publish(c *container) error {
	for _, want := range c.spec.Ports {
		low, high, ok := portRange(want.Host)
		if !ok {
			e.unpublish(c)
			return fmt.Errorf("%w: port %q", containers.ErrInvalid, want.Host)
		}
		port := low
		for port <= high && e.published[uint16(port)] != nil {
			port++
		}
		if port > high {
			e.unpublish(c)
			return fmt.Errorf("port %s is already allocated: %w", want.Host, containers.ErrConflict)
		}
		e.published[uint16(port)] = &published{owner: c, container: want.Container}
		c.bindings = append(c.bindings, containers.Binding{HostIP: want.HostIP, Host: uint16(port), Container: want.Container, Protocol: want.Protocol})
	}
	return nil
}

func portRange(text string) (low, high int, ok bool) {
	if text == "" {
		return firstPort, 65535, true
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	return low, high, err1 == nil && err2 == nil && low > 0 && high <= 65535
}

func (e *Engine) unpublish(c *container) {
	for port, p := range e.published {
		if p.owner == c {
			delete(e.published, port)
		}
	}
	c.bindings = nil
}

// backoff is the pause before the nth restart. Source: moby, restartmanager: 100 ms, doubled each time, at most a minute.
func backoff(restarts int) time.Duration {
	return min(100*time.Millisecond<<min(restarts, 20), time.Minute)
}
