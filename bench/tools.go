//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/api"
	"github.com/stagehand-dev/stagehand/bench/internal/figures"
)

// commandLimit ends what hangs.
const commandLimit = 5 * time.Minute

// reading is what one command took.
type reading struct {
	wall   time.Duration
	cpu    time.Duration // user and system, of the command itself
	rss    int64         // at its peak, in bytes; 0 where that cannot be told
	stdout []byte
}

// timed runs a command and reads what it took. An error holds the end of what
// the command said.
func timed(ctx context.Context, name string, args ...string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := reading{wall: time.Since(began), stdout: stdout.Bytes()}
	if err != nil {
		return r, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, lastLines(stdout.String()), lastLines(stderr.String()))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return r, errors.New("the system does not say what a process used")
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return r, err
	}
	// Linux begins a process's peak with that of the process that forked it, us,
	// so that what is not above ours says nothing.
	if usage.Maxrss > own.Maxrss {
		r.rss = usage.Maxrss << 10 // Linux counts KiB
	}
	return r, nil
}

// lastLines is the end of what a command said.
func lastLines(text string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

const (
	second = "s"
	mebi   = "MiB"
	milli  = "ms"
	micro  = "µs"
	number = ""

	mebibyte = 1 << 20 // bytes
)

// taken is the measurement of a command.
func (r reading) taken() measurement {
	m := measurement{"time": {r.wall.Seconds()}, "processor": {r.cpu.Seconds()}}
	m.peak("memory", r)
	return m
}

// peak notes a command's peak, where it can be told.
func (m measurement) peak(metric string, r reading) {
	if r.rss > 0 {
		m[metric] = []float64{float64(r.rss) / mebibyte}
	}
}

var takenUnits = map[string]string{"time": second, "processor": second, "memory": mebi}

// project is one stack under measurement, with a name of its own.
type project struct {
	*bench
	name, file string
}

// newProject writes a stack file for a project that nothing is known of.
func (b *bench) newProject(text string) (project, error) {
	b.projects++
	p := project{bench: b, name: fmt.Sprintf("%sn%d", b.prefix, b.projects)}
	p.file = filepath.Join(b.dir, p.name+".yaml")
	return p, os.WriteFile(p.file, []byte(text), 0o644)
}

// end removes what the project has on the engine, also after an interrupt.
func (p project) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	return p.remove(ctx, p.name)
}

// remove removes what a project has on the engine.
func (b *bench) remove(ctx context.Context, project string) error {
	err := b.engine.RemoveProject(ctx, project)
	var answer *api.Error
	if errors.As(err, &answer) && strings.Contains(answer.Message, "active endpoints") {
		// An engine under load loses track of an endpoint at times, and then keeps
		// the network until it is restarted, whoever asks. That is nobody's result.
		fmt.Fprintf(b.stderr, "%s: the engine keeps a network: %v\n", project, err)
		return nil
	}
	return err
}

// streamLimit is how long the engine's events may lag behind what they tell.
const streamLimit = 10 * time.Second

// follow tells what happens to the project's containers, one after another,
// from before it returns until stop is called. tell returns true when it has
// heard all that it waits for; stop(true) gives it the time for that.
func (p project) follow(ctx context.Context, tell func(api.Event) (all bool)) (stop func(patient bool) error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	listening, over, all := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() { // owned by stop, which receives
		heard := false
		over <- p.engine.Follow(ctx, p.name, func() { close(listening) }, func(e api.Event) {
			if tell(e) && !heard {
				heard = true
				close(all)
			}
		})
	}()
	select {
	case <-listening:
	case err := <-over:
		cancel()
		return nil, errors.Join(err, errors.New("the engine's events ended at once"))
	}
	return func(patient bool) error {
		defer cancel()
		if patient {
			select {
			case <-all:
			case <-time.After(streamLimit):
			}
		}
		cancel()
		return <-over
	}, nil
}

// tool is a program that brings stacks up.
type tool struct {
	name string
	// args of its commands, for a project.
	up, down func(p project) []string
	program  string
}

// tools are stagehand and each Docker Compose that there is.
func (b *bench) tools() []tool {
	stagehand := func(command string, p project) []string {
		return []string{command, "--ledger", p.ledger, "-p", p.name, "-f", p.file}
	}
	list := []tool{{
		name: ours, program: b.stagehand,
		up:   func(p project) []string { return stagehand("up", p) },
		down: func(p project) []string { return stagehand("down", p) },
	}}
	for name, program := range map[string]string{theirs: b.compose, theirs5: b.compose5} {
		if program != "" {
			list = append(list, tool{
				name: name, program: program,
				up:   func(p project) []string { return []string{"-p", p.name, "-f", p.file, "up", "-d", "--wait"} },
				down: func(p project) []string { return []string{"-p", p.name, "-f", p.file, "down"} },
			})
		}
	}
	slices.SortStableFunc(list[1:], func(a, b tool) int { return strings.Compare(a.name, b.name) })
	return list
}

// The parties.
const (
	ours    = "stagehand"
	theirs  = "docker compose"
	theirs5 = "docker compose v5"
	bare    = "bare API"
)

// warmUp has each tool bring up and take down a small stack, so that what it
// does only once (stagehand imports its own program as an image) is not measured.
func (b *bench) warmUp(ctx context.Context) error {
	for _, t := range b.tools() {
		p, err := b.newProject(plain(1))
		if err != nil {
			return err
		}
		for _, args := range [][]string{t.up(p), t.down(p)} {
			if _, err := timed(ctx, t.program, args...); err != nil {
				return errors.Join(fmt.Errorf("warming up: %w", err), p.end(ctx))
			}
		}
		if err := p.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// facts are the machine's.
func (b *bench) facts(ctx context.Context) (figures.Machine, error) {
	m := figures.Machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), Processor: field("/proc/cpuinfo", "model name"), LoadBefore: load(),
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(kernel))
	if kibibytes, _, ok := strings.Cut(field("/proc/meminfo", "MemTotal"), " "); ok {
		n, err := strconv.ParseInt(kibibytes, 10, 64)
		if err != nil {
			return m, err
		}
		m.Memory = n << 10
	}
	if m.Engine, m.Storage, err = b.engine.Version(ctx); err != nil {
		return m, err
	}
	for target, command := range map[*string][]string{
		&m.Compose: {b.compose, "version", "--short"}, &m.Compose5: {b.compose5, "version", "--short"}, &m.Stagehand: {"git", "describe", "--always", "--dirty", "--abbrev=7"},
	} {
		if command[0] == "" {
			continue
		}
		r, err := timed(ctx, command[0], command[1:]...)
		if err != nil {
			return m, err
		}
		*target = strings.TrimSpace(string(r.stdout))
	}
	return m, nil
}

// field is a line's value in a file of "KEY: VALUE" lines, "" where there is none.
func field(file, key string) string {
	text, _ := os.ReadFile(file) // without it nothing is known
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// load is the load average of the last minute.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg") // without it nothing is known
	first, _, _ := strings.Cut(string(text), " ")
	value, _ := strconv.ParseFloat(first, 64)
	return value
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
