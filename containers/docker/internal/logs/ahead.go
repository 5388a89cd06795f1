package logs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// attach takes what the container is going to write from the engine's own pipe instead of from its log. It ends
// before the engine tells the container's end, where a followed log ends some 16 ms after: as soon as the
// kernel lets go of the watch on the log's file.
//
// The stream does not tell its end from a broken connection's. It is believed where it came from the
// engine without anything in between, and the engine has told the container's end since.
func (f *follower) attach(ctx context.Context) (copying func() error, err error) {
	if f.end == nil || f.tty || !f.made || !strings.HasPrefix(f.api.DaemonHost(), "unix:") {
		return nil, fmt.Errorf("the output of container %s ahead of its start: %w", f.name, errors.ErrUnsupported)
	}
	conn, err := f.api.ContainerAttach(ctx, f.id, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, failure.Of(ctx, err, "output of container %s", f.name)
	}
	return func() error {
		stop := context.AfterFunc(ctx, conn.Close)
		defer conn.Close()
		defer stop()
		if err := f.copy(conn.Reader); err != nil {
			return failure.Of(ctx, err, "output of container %s", f.name)
		}
		_, over, _ := f.look(ctx)
		switch {
		case over:
			return nil
		case ctx.Err() != nil:
			return failure.Of(ctx, ctx.Err(), "output of container %s", f.name)
		}
		return fmt.Errorf("output of container %s: %w: the connection ended before the container did", f.name, containers.ErrUnavailable)
	}, nil
}
