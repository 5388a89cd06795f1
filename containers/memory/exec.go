package memory

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/processes"
)

// Exec runs the image's program with another command line. When ctx ends
// first, the command goes on without anybody who listens, as on other engines.
func (e *Engine) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return e.Hook(ctx, name, containers.Hook{Command: command}, output)
}

// Hook is Exec as somebody else, somewhere else or with more environment.
func (e *Engine) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	if err := e.enter(ctx, "Exec"); err != nil {
		return 0, err
	}
	c, err := e.lookup(name)
	switch {
	case err == nil && len(hook.Command) == 0:
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
	done := e.spawn(c, hook, sink)
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
func (e *Engine) spawn(c *container, hook containers.Hook, output io.Writer) <-chan int {
	child := e.newProcess(c, hook)
	main := c.main
	release := context.AfterFunc(main.Context(), func() { child.End(processes.ExitKilled) })
	done := make(chan int, 1)
	main.children.Go(func() {
		defer release()
		code := child.Run(hook.Command, output, output)
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
