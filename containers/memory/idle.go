package memory

import (
	"context"

	"github.com/stagehand-dev/stagehand/containers"
)

var _ containers.Idler = (*Engine)(nil)

// idle is the image of containers that do nothing.
const idle = "memory-idle"

// Idle implements containers.Idler.
func (e *Engine) Idle(ctx context.Context) (containers.Spec, error) {
	if err := e.enter(ctx, "Idle"); err != nil {
		return containers.Spec{}, err
	}
	defer e.mu.Unlock()
	e.images[idle] = image{id: digest("image", idle), program: func(ctx context.Context, _ *Process) int {
		<-ctx.Done()
		return 0
	}}
	return containers.Spec{Image: idle}, nil
}
