package memory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
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
	c.namespace = newNamespace()
	switch {
	case c.sharing != "":
		other := e.containers[c.sharing]
		if other == nil || !other.alive() {
			return fmt.Errorf("container %s: the network of %s: %w", name, c.sharing, containers.ErrNotFound)
		}
		c.namespace = other.namespace
	case c.spec.NetworkMode == hostNetwork:
		c.namespace = e.host
	}
	err = e.publish(c)
	if err == nil {
		err = e.join(c)
	}
	if err != nil {
		e.unpublish(c)
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

// begin puts c into the state of running, with a new main process. The engine is locked.
func (e *Engine) begin(c *container) {
	for i, m := range c.mounts {
		if m.tmpfs {
			c.mounts[i].tree = newTree()
		}
	}
	c.main = e.newProcess(c)
	c.held, c.oom, c.exitCode, c.failure = 0, false, 0, ""
	c.state, c.started, c.finished = containers.StateRunning, time.Now(), time.Time{}
	c.health, c.healthLog = containers.HealthNone, ""
	if checked(c.spec.Health) {
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
		code := main.run(c.argv(), stream{main, 0}, stream{main, 1})
		e.mu.Lock()
		main.ending = true
		e.mu.Unlock()
		main.children.Wait()
		c.log.flush()
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
	e.unpublish(c)
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
		c.main.deliver(name)
	}
	c.giveUp()
}

// killAll ends what runs of c. The engine is locked.
func (e *Engine) killAll(c *container) {
	if c.main != nil {
		c.main.end(exitKilled)
	}
	c.giveUp()
}

// giveUp ends the pause before a restart.
func (c *container) giveUp() {
	if c.interrupt != nil && !isClosed(c.interrupt) {
		close(c.interrupt)
	}
}

// The defaults of a healthcheck. Source: the Dockerfile reference, HEALTHCHECK.
const (
	healthInterval = 30 * time.Second
	healthTimeout  = 30 * time.Second
	healthRetries  = 3
)

func checked(h *containers.Healthcheck) bool {
	return h != nil && len(h.Test) > 1 && (h.Test[0] == "CMD" || h.Test[0] == "CMD-SHELL")
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// checkHealth runs the healthcheck until the main process ends.
func (e *Engine) checkHealth(c *container, main *process) {
	h := c.spec.Health
	argv := h.Test[1:]
	if h.Test[0] == "CMD-SHELL" {
		argv = []string{"/bin/sh", "-c", h.Test[1]}
	}
	begin, failures := time.Now(), 0
	interval := or(h.Interval, healthInterval)
	for {
		wait := interval
		starting := time.Since(begin) < h.StartPeriod
		if starting && h.StartInterval > 0 {
			wait = h.StartInterval
		}
		if !pause(main.ctx, wait, nil) {
			return
		}
		ok, output := e.testHealth(c, main, argv, or(h.Timeout, healthTimeout))
		e.mu.Lock()
		health := c.health
		switch {
		case main.ctx.Err() != nil:
		case ok:
			failures, health = 0, containers.HealthHealthy
		case health == containers.HealthStarting && time.Since(begin) < h.StartPeriod:
			c.healthLog = output
		default:
			c.healthLog = output
			if failures++; failures >= or(h.Retries, healthRetries) {
				health = containers.HealthUnhealthy
			}
		}
		if health != c.health {
			c.health = health
			e.emit(c, containers.EventHealth)
			c.touch()
		}
		e.mu.Unlock()
	}
}

// testHealth runs the test once. One that takes too long is killed and has failed.
func (e *Engine) testHealth(c *container, main *process, argv []string, timeout time.Duration) (bool, string) {
	ctx, cancel := context.WithTimeout(main.ctx, timeout)
	defer cancel()
	test := e.newProcess(c)
	release := context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		test.end(exitKilled)
	})
	defer release()
	var output bytes.Buffer
	sink := &gate{writer: &output}
	code := test.run(argv, sink, sink)
	sink.close()
	e.mu.Lock()
	c.held -= test.held
	e.mu.Unlock()
	if ctx.Err() != nil {
		return false, fmt.Sprintf("Health check exceeded timeout (%v)", timeout)
	}
	return code == 0, output.String()
}
