package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/building"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/pull"
)

var _ containers.Builder = (*Engine)(nil)

// Build implements containers.Builder: by BuildKit where the engine says that
// it prefers it, by the classic builder otherwise.
func (e *Engine) Build(ctx context.Context, ref, platform string, b containers.Build, progress func(string)) (containers.Image, error) {
	if b.Refused != "" {
		return containers.Image{}, noImage(ref, errors.New(b.Refused))
	}
	ping, err := e.api.Ping(ctx)
	if err != nil {
		return containers.Image{}, failure.Of(ctx, err, "build image %s", ref)
	}
	options := build.ImageBuildOptions{
		Tags: append([]string{ref}, b.Tags...), Platform: platform, Version: ping.BuilderVersion, Dockerfile: b.Dockerfile,
		BuildArgs: map[string]*string{}, Target: b.Target, Labels: b.Labels, CacheFrom: b.CacheFrom, NoCache: b.NoCache, PullParent: b.Pull,
		NetworkMode: b.Network, ExtraHosts: b.ExtraHosts, ShmSize: b.ShmSize, Isolation: container.Isolation(b.Isolation),
		Remove: true, ForceRemove: true, AuthConfigs: pull.AllCredentials(),
	}
	for _, arg := range b.Args {
		name, value, _ := strings.Cut(arg, "=")
		options.BuildArgs[name] = &value
	}
	for _, limit := range b.Ulimits {
		options.Ulimits = append(options.Ulimits, &container.Ulimit{Name: limit.Name, Soft: limit.Soft, Hard: limit.Hard})
	}
	var body io.ReadCloser
	if building.Remote(b.Context) {
		options.RemoteContext = b.Context
	} else if body, options.Dockerfile, err = building.Context(b); err != nil {
		return containers.Image{}, noImage(ref, err)
	}
	if body != nil {
		defer body.Close()
	}
	answer, err := e.api.ImageBuild(ctx, body, options)
	if err == nil {
		err = building.Read(answer.Body, progress)
		err = errors.Join(err, answer.Body.Close())
	}
	switch {
	case err == nil:
	case ctx.Err() != nil, failure.Lost(err):
		return containers.Image{}, failure.Of(ctx, err, "build image %s", ref)
	default:
		return containers.Image{}, noImage(ref, fmt.Errorf("it cannot be built: %w", err))
	}
	found, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return containers.Image{}, failure.Of(ctx, err, "image %s", ref)
	}
	return containers.Image{Ref: ref, ID: found.ID}, nil
}
