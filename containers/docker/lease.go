package docker

import (
	"context"
	"errors"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/probeimage"
	"github.com/stagehand-dev/stagehand/containers/docker/lease"
)

var _ containers.Leaser = (*Engine)(nil)

// Lease implements containers.Leaser: see package lease.
func (e *Engine) Lease(ctx context.Context, name string, holder containers.Holder) (containers.Lease, error) {
	for attempt := 1; ; attempt++ {
		image, err := probeimage.Ensure(ctx, e.api, e.options.ProbeBinary, e.arch)
		if err != nil {
			return nil, failure.Of(ctx, err, "lease of %s", name)
		}
		taken, err := lease.Take(ctx, lease.Options{API: e.api, Image: image, Program: probeimage.Program, TTL: containers.LeaseTTL}, name, holder)
		var held *containers.HeldError
		switch {
		case err == nil:
			return taken, nil
		case errors.As(err, &held):
			return nil, held
		case attempt == 1 && cerrdefs.IsNotFound(err):
			continue // the image was removed since it was last seen
		}
		return nil, failure.Of(ctx, err, "lease of %s", name)
	}
}

// LeaseHolder implements containers.Leaser.
func (e *Engine) LeaseHolder(ctx context.Context, name string) (containers.Holder, error) {
	holder, err := lease.Holder(ctx, e.api, name)
	return holder, failure.Of(ctx, err, "lease of %s", name)
}

// AwaitRelease implements containers.Leaser.
func (e *Engine) AwaitRelease(ctx context.Context, name string, token int64) ([][]byte, error) {
	notes, err := lease.Await(ctx, e.api, name, token)
	return notes, failure.Of(ctx, err, "lease of %s", name)
}
