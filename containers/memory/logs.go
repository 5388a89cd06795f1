package memory

import (
	"context"
	"io"

	"github.com/stagehand-dev/stagehand/containers"
)

// stream is one of the two output streams of a process.
type stream struct {
	process *process
	index   int
}

// Write fails once the process is killed.
func (s stream) Write(text []byte) (int, error) {
	if err := s.process.Context().Err(); err != nil {
		return 0, err
	}
	s.process.container.log.Write(s.index, text)
	return len(text), nil
}

// Logs gives both streams in the order in which their lines were finished.
func (e *Engine) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	if err := e.enter(ctx, "Logs"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return nil, err
	}
	before := c.ends
	return c.log.Read(ctx, opts, e.cut, func() (bool, <-chan struct{}) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return c.removed || c.ends > before || c.state == containers.StateExited, c.changed
	}), nil
}
