package memory

import (
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

var _ containers.Examiner = (*Engine)(nil)

// Examine tells the time: it keeps nothing on a disk, and has no traps.
func (e *Engine) Examine(ctx context.Context) (containers.Vitals, error) {
	if err := e.enter(ctx, "Examine"); err != nil {
		return containers.Vitals{}, err
	}
	defer e.mu.Unlock()
	return containers.Vitals{Time: time.Now()}, nil
}
