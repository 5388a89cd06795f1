// Package processes runs a program as a process of a container in memory.
package processes

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"

	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/sockets"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// signals that end a program which does not ask for them, with their numbers.
// Source: signal(7), Linux on x86 and ARM.
var signals = map[string]int{
	"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGABRT": 6, "SIGUSR1": 10, "SIGUSR2": 12, "SIGALRM": 14, "SIGTERM": 15,
}

const (
	// ExitKilled is the exit code of a process that SIGKILL has ended.
	ExitKilled = 128 + 9
	exitPanic  = 2 // Go's own
)

// Host is what a process runs in: its container. The methods may be called
// from any goroutine, and by a process that was killed.
type Host interface {
	// Find returns where in which file system an absolute path lies.
	Find(name string) (tree *files.Tree, inside string, readOnly bool)
	// Listener finds who listens at HOST:PORT.
	Listener(target string) (*sockets.Listener, error)
	// Hold adds to the memory that the process holds, and tells whether it,
	// or the container, has been killed for it or otherwise.
	Hold(bytes int64) (killed bool)
}

// Config says what to run.
type Config struct {
	Host      Host
	Program   program.Func
	Container string // its name
	Hostname  string
	Env       []string
	Dir       string // the working directory, from the root
	UID, GID  int    // of files that it makes
	Namespace *sockets.Namespace
}

// Process is one run of a program. It is safe for concurrent use.
type Process struct {
	Config
	ctx  context.Context //nolint:containedctx // it is the life of the process, which no call's ctx bounds
	kill context.CancelFunc
	open sockets.Closers

	mu      sync.Mutex
	forced  int // the exit code when killed; 0 when not
	trapped map[string]chan string
}

// New returns a process that Run runs. It takes signals already.
func New(c Config) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	return &Process{Config: c, ctx: ctx, kill: cancel, trapped: map[string]chan string{}}
}

// Context is done when the process is killed or has ended.
func (p *Process) Context() context.Context { return p.ctx }

// End kills the process. The first code counts.
func (p *Process) End(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(code)
}

func (p *Process) end(code int) {
	if p.forced == 0 {
		p.forced = code
	}
	p.kill()
}

// Killed tells whether End, or a signal, has killed the process.
func (p *Process) Killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forced != 0
}

// Run runs argv to its end and returns the exit code.
func (p *Process) Run(argv []string, stdout, stderr io.Writer) int {
	process := &program.Process{
		Name: argv[0], Args: slices.Clone(argv[1:]), Env: slices.Clone(p.Env), Dir: path.Clean("/" + p.Dir),
		Hostname: p.Hostname, Stdout: stdout, Stderr: stderr, System: system{p},
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
		code = p.Program(p.ctx, process) & 0xff
	}()
	code := <-done
	p.kill()
	p.open.CloseAll()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forced != 0 {
		return p.forced
	}
	return code
}

// Deliver sends a signal to the process.
func (p *Process) Deliver(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
		p.end(ExitKilled)
	}
}
