package docker

import (
	"context"
	"io"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// Attach implements containers.Attacher.
func (e *Engine) Attach(ctx context.Context, name string, t containers.Terminal) error {
	attached, err := e.api.ContainerAttach(ctx, name, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return failure.Of(ctx, err, "attach to container %s", name)
	}
	defer attached.Close()
	if err := e.Start(ctx, name); err != nil {
		return err
	}
	err = converse(ctx, attached, t, func(size container.ResizeOptions) error { return e.api.ContainerResize(ctx, name, size) })
	if err != nil && ctx.Err() == nil {
		return failure.Of(ctx, err, "attach to container %s", name)
	}
	return err
}

// AttachExec implements containers.Attacher.
func (e *Engine) AttachExec(ctx context.Context, name string, hook containers.Hook, t containers.Terminal) (int, error) {
	tty := t.Sizes != nil
	options, err := execOptions(name, hook)
	if err != nil {
		return 0, err
	}
	options.AttachStdin, options.Tty = true, tty
	made, err := e.api.ContainerExecCreate(ctx, name, options)
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	attached, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{Tty: tty})
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	defer attached.Close()
	err = converse(ctx, attached, t, func(size container.ResizeOptions) error { return e.api.ContainerExecResize(ctx, made.ID, size) })
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	return e.execEnd(ctx, name, made.ID)
}

// converse hands on what is typed and what is printed, until the latter ends or ctx does.
func converse(ctx context.Context, attached types.HijackedResponse, t containers.Terminal, resize func(container.ResizeOptions) error) error {
	defer context.AfterFunc(ctx, attached.Close)()
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
				_ = resize(container.ResizeOptions{Width: uint(size.Width), Height: uint(size.Height)})
			case <-over:
				return
			}
		}
	})
	var err error
	if t.Sizes != nil {
		_, err = io.Copy(t.Stdout, attached.Reader)
	} else {
		_, err = stdcopy.StdCopy(t.Stdout, t.Stderr, attached.Reader)
	}
	close(over)
	resizing.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
