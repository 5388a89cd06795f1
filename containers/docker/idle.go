package docker

import (
	"context"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/probeimage"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

var _ containers.Idler = (*Engine)(nil)

// Idle implements containers.Idler: with the program of the probes, no rights, no
// writable files and no log.
func (e *Engine) Idle(ctx context.Context) (containers.Spec, error) {
	image, err := probeimage.Ensure(ctx, e.api, e.options.ProbeBinary, e.arch)
	if err != nil {
		return containers.Spec{}, failure.Of(ctx, err, "an idle container")
	}
	return containers.Spec{
		Image: image, Entrypoint: []string{probeimage.Program, probe.Command, probe.StayArg}, User: "65534:65534",
		ReadOnly: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		Log: containers.Log{Driver: "none"},
	}, nil
}
