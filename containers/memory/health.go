package memory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/health"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/processes"
)

// checkHealth runs the healthcheck until the main process ends.
func (e *Engine) checkHealth(c *container, main *process) {
	test := func(argv []string, timeout time.Duration) (bool, string) { return e.testHealth(c, main, argv, timeout) }
	health.Run(main.Context(), c.spec.Health, test, func(verdict containers.Health, log string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if main.Context().Err() != nil {
			return
		}
		c.healthLog = log
		if verdict != c.health {
			c.health = verdict
			e.emit(c, containers.EventHealth)
			c.touch()
		}
	})
}

// testHealth runs the test once. One that takes too long is killed and has failed.
func (e *Engine) testHealth(c *container, main *process, argv []string, timeout time.Duration) (bool, string) {
	ctx, cancel := context.WithTimeout(main.Context(), timeout)
	defer cancel()
	test := e.newProcess(c, containers.Hook{})
	release := context.AfterFunc(ctx, func() { test.End(processes.ExitKilled) })
	defer release()
	var output bytes.Buffer
	sink := &gate{writer: &output}
	code := test.Run(argv, sink, sink)
	sink.close()
	e.mu.Lock()
	c.held -= test.held
	e.mu.Unlock()
	if ctx.Err() != nil {
		return false, fmt.Sprintf("Health check exceeded timeout (%v)", timeout)
	}
	return code == 0, output.String()
}
