package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/pull"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// EnsureImage implements containers.Engine.
func (e *Engine) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	want, err := translate.Platform(platform)
	if err != nil {
		return containers.Image{}, err
	}
	if policy != containers.PullAlways {
		found, err := e.api.ImageInspect(ctx, ref)
		switch {
		case err == nil:
			fits := want == nil || (found.Os == want.OS &&
				(want.Architecture == "" || found.Architecture == want.Architecture) &&
				(want.Variant == "" || found.Variant == "" || found.Variant == want.Variant))
			if fits {
				return containers.Image{Ref: ref, ID: found.ID}, nil
			}
			if policy == containers.PullNever {
				return containers.Image{}, noImage(ref, fmt.Errorf("what is on the engine is for %s/%s, not %s, and its pull policy is never", found.Os, found.Architecture, platform))
			}
		case !cerrdefs.IsNotFound(err):
			return containers.Image{}, failure.Of(ctx, err, "image %s", ref)
		case policy == containers.PullNever:
			return containers.Image{}, noImage(ref, errors.New("it is not on the engine, and its pull policy is never"))
		}
	}
	if err := e.pull(ctx, ref, platform, progress); err != nil {
		return containers.Image{}, err
	}
	found, err := e.api.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) {
		return containers.Image{}, noImage(ref, err)
	}
	if err != nil {
		return containers.Image{}, failure.Of(ctx, err, "image %s", ref)
	}
	return containers.Image{Ref: ref, ID: found.ID}, nil
}

func noImage(ref string, cause error) error {
	return failure.New(containers.ErrImage, cause, "image %s", ref)
}

// pull fetches the image. The engine tells most failures inside the stream of
// its answer, without a code.
func (e *Engine) pull(ctx context.Context, ref, platform string, progress func(string)) error {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		if strings.HasPrefix(ref, "sha256:") {
			err = errors.New("it is not on the engine, and an ID cannot be pulled")
		}
		return noImage(ref, err)
	}
	auth, authErr := pull.Credentials(named)
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform})
	if err == nil {
		err = pull.Read(body, progress)
		err = errors.Join(err, body.Close())
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, failure.Lost(err):
		return failure.Of(ctx, err, "pull image %s", ref)
	case pull.RegistryDown(err):
		err = fmt.Errorf("it is not on the engine, and its registry (%s) does not answer: %w", reference.Domain(named), err)
	case authErr != nil:
		err = fmt.Errorf("%w (credentials for %s: %w)", err, reference.Domain(named), authErr)
	}
	return noImage(ref, err)
}
