// Package engines connects to the engine that a command line names.
package engines

import (
	"context"
	"net/url"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker"
)

// Open connects to the engine that the endpoint names: a docker context or
// address; "" is the one that docker itself would find.
func Open(ctx context.Context, endpoint string) (containers.Engine, error) {
	engine, err := docker.Open(ctx, docker.Options{Endpoint: endpoint})
	if err != nil {
		return nil, err // not engine: a nil *docker.Engine is no nil Engine
	}
	return engine, nil
}

// Host is where the engine's published ports are reached from here: "" is this host.
func Host(info containers.Info) string {
	for _, scheme := range []string{"tcp://", "ssh://", "http://", "https://"} {
		if at := strings.Index(info.Endpoint, scheme); at >= 0 {
			address, err := url.Parse(strings.Fields(info.Endpoint[at:])[0])
			if err == nil && address.Hostname() != "" && address.Hostname() != "127.0.0.1" {
				return address.Hostname()
			}
		}
	}
	return ""
}
