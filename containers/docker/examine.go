package docker

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/traps"
)

var _ containers.Examiner = (*Engine)(nil)

// Examine implements containers.Examiner.
func (e *Engine) Examine(ctx context.Context) (containers.Vitals, error) {
	kind, err := e.engineKind(ctx)
	if err != nil {
		return containers.Vitals{}, failure.Of(ctx, err, "engine at %s", e.endpoint.Display())
	}
	networks, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return containers.Vitals{}, failure.Of(ctx, err, "list networks")
	}
	info, err := e.api.Info(ctx) // last: it has the time
	if err != nil {
		return containers.Vitals{}, failure.Of(ctx, err, "engine at %s", e.endpoint.Display())
	}
	v := containers.Vitals{Root: info.DockerRootDir}
	if at, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		v.Time = at
	}
	if host, err := os.Hostname(); err == nil && e.endpoint.SocketPath() != "" && host == info.Name {
		_, err := os.Stat(info.DockerRootDir)
		v.Here = err == nil
	}
	v.Traps = traps.Of(traps.Engine{
		Podman: kind == kindPodman, Info: info, Scheme: e.endpoint.Scheme(), Socket: e.endpoint.SocketPath(),
		Lingers: lingers(), Networks: len(networks), Pinned: os.Getenv(client.EnvOverrideAPIVersion),
	})
	return v, nil
}

// lingers tells whether systemd keeps the user's processes when the user has logged out.
func lingers() bool {
	u, err := user.Current()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join("/var/lib/systemd/linger", u.Username))
	return err == nil
}
