package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/health"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/networks"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/processes"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/sockets"
)

// Start returns once the program is running. A half-made container is refused
// with ErrConflict: it has no files yet, and Create finishes it.
func (e *Engine) Start(ctx context.Context, name string) error {
	if err := e.enter(ctx, "Start"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	switch {
	case err != nil:
		return err
	case c.alive():
		return nil
	case c.half:
		return fmt.Errorf("container %s is half-made: %w", name, containers.ErrConflict)
	}
	c.member.Namespace = sockets.NewNamespace()
	switch {
	case c.sharing != "":
		other := e.containers[c.sharing]
		if other == nil || !other.alive() {
			return fmt.Errorf("container %s: the network of %s: %w", name, c.sharing, containers.ErrNotFound)
		}
		c.member.Namespace = other.member.Namespace
	case c.spec.NetworkMode == networks.Host:
		c.member.Namespace = e.networks.Host()
	}
	c.bindings, err = e.networks.Publish(c.member, c.spec.Ports)
	if err == nil {
		err = e.networks.Join(c.member, c.attachments())
	}
	if err != nil {
		e.leave(c)
		c.failure = err.Error()
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.stopping, c.restarts = false, 0
	c.interrupt = make(chan struct{})
	e.begin(c)
	go e.supervise(c, c.main) // owned by c: Destroy and Halt wait for its end
	return nil
}

// leave takes c off its networks, and frees its ports. The engine is locked.
func (e *Engine) leave(c *container) {
	e.networks.Unpublish(c.member)
	e.networks.Leave(c.member)
	c.bindings = nil
}

// begin puts c into the state of running, with a new main process. The engine is locked.
func (e *Engine) begin(c *container) {
	for i, m := range c.mounts {
		if m.Tmpfs {
			c.mounts[i].Tree = files.New()
		}
	}
	c.main = e.newProcess(c, containers.Hook{})
	c.held, c.oom, c.exitCode, c.failure = 0, false, 0, ""
	c.state, c.started, c.finished = containers.StateRunning, time.Now(), time.Time{}
	c.health, c.healthLog = containers.HealthNone, ""
	if health.Wanted(c.spec.Health) {
		c.health = containers.HealthStarting
		main := c.main
		main.children.Go(func() { e.checkHealth(c, main) })
	}
	e.emit(c, containers.EventStarted)
	c.touch()
}

// supervise runs the container to its final end, restarts included.
func (e *Engine) supervise(c *container, main *process) {
	for main != nil {
		code := main.Run(c.argv(), stream{main, 0}, stream{main, 1})
		e.mu.Lock()
		main.ending = true
		e.mu.Unlock()
		main.children.Wait()
		c.log.Flush()
		main = e.ended(c, code)
	}
}

// ended records the end of a run and returns the next run, or nil.
func (e *Engine) ended(c *container, code int) *process {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.main = nil
	c.exitCode, c.finished = code, time.Now()
	e.emit(c, containers.EventEnded)
	if c.restartable() {
		c.state = containers.StateRestarting
		c.touch()
		interrupt, pauseFor := c.interrupt, backoff(c.restarts)
		e.mu.Unlock()
		goOn := pause(context.Background(), pauseFor, interrupt)
		e.mu.Lock()
		if goOn && !c.stopping {
			c.restarts++
			e.begin(c)
			return c.main
		}
	}
	e.leave(c)
	c.state = containers.StateExited
	c.ends++
	c.last = c.status()
	c.touch()
	return nil
}

func (c *container) restartable() bool {
	if c.stopping {
		return false
	}
	switch policy := c.spec.Restart; policy.Policy {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return c.exitCode != 0 && (policy.Retries == 0 || c.restarts < policy.Retries)
	default:
		return false
	}
}

// signal sends the stop signal. The engine is locked.
func (e *Engine) signal(c *container) {
	name := c.spec.StopSignal
	if name == "" {
		name = "SIGTERM"
	}
	if c.main != nil {
		c.main.Deliver(name)
	}
	c.giveUp()
}

// killAll ends what runs of c. The engine is locked.
func (e *Engine) killAll(c *container) {
	if c.main != nil {
		c.main.End(processes.ExitKilled)
	}
	c.giveUp()
}

// giveUp ends the pause before a restart.
func (c *container) giveUp() {
	if c.interrupt == nil {
		return
	}
	select {
	case <-c.interrupt:
	default:
		close(c.interrupt)
	}
}

// backoff is the pause before the nth restart. Source: moby, restartmanager: 100 ms, doubled each time, at most a minute.
func backoff(restarts int) time.Duration {
	return min(100*time.Millisecond<<min(restarts, 20), time.Minute)
}
