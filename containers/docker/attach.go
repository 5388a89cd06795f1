package docker

import (
	"context"
	"io"
	"sync"

	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// Attach implements containers.Attacher.
func (e *Engine) Attach(ctx context.Context, name string, t containers.Terminal) error {
	attached, err := e.api.ContainerAttach(ctx, name, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return failure.Of(ctx, err, "attach to container %s", name)
	}
	closeOnce := sync.OnceFunc(attached.Close)
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)()
	if err := e.Start(ctx, name); err != nil {
		return err
	}
	go func() { // ends with the attachment, or at the next key: reading a terminal cannot be cut short
		_, _ = io.Copy(attached.Conn, t.Stdin)
		_ = attached.CloseWrite()
	}()
	over := make(chan struct{})
	var resizing sync.WaitGroup
	resizing.Go(func() {
		for {
			select {
			case size := <-t.Sizes:
				// One that comes too late, or is refused, harms nobody.
				_ = e.api.ContainerResize(ctx, name, container.ResizeOptions{Width: uint(size.Width), Height: uint(size.Height)})
			case <-over:
				return
			}
		}
	})
	_, err = io.Copy(t.Stdout, attached.Reader)
	close(over)
	resizing.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return failure.Of(ctx, err, "attach to container %s", name)
	}
	return nil
}
