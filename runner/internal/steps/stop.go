package steps

import (
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Stop stops a container within its grace, and kills it as soon as killed is
// closed. It returns the status after the end. A container that has ended
// already is no error.
func Stop(ctx context.Context, engine containers.Engine, name string, grace time.Duration, killed <-chan struct{}) (containers.Status, error) {
	type answer struct {
		status containers.Status
		err    error
	}
	gentle, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan answer, 1)
	go func() { // owned by this call: cancel ends it
		status, err := engine.Stop(gentle, name, grace)
		done <- answer{status, err}
	}()
	select {
	case a := <-done:
		return a.status, a.err
	case <-killed:
		cancel()
		return engine.Stop(ctx, name, 0)
	}
}
