// Package look looks at one thing of the engine's, by exactly its name or ID.
package look

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// asks is how often a question is asked whose connection breaks before the answer.
const asks = 4

// Persist asks the engine something that changes nothing, and asks again
// where the connection broke before the answer came.
func Persist(ctx context.Context, ask func() error) error {
	err := ask()
	for pause, n := (backoff.Backoff{}), 1; n < asks && err != nil && failure.Cut(err); n++ {
		if pause.Wait(ctx) != nil {
			return err
		}
		err = ask()
	}
	return err
}

// Container looks at the container of that name or ID. What it returns has a state.
func Container(ctx context.Context, api *client.Client, name string) (container.InspectResponse, error) {
	if name == "" {
		return container.InspectResponse{}, failure.Invalid("a container's name is empty")
	}
	var found container.InspectResponse
	err := Persist(ctx, func() (err error) {
		found, err = api.ContainerInspect(ctx, name)
		return err
	})
	if err != nil {
		return found, failure.Of(ctx, err, "container %s", name)
	}
	if found.ContainerJSONBase == nil || found.State == nil {
		return found, fmt.Errorf("container %s: the engine's answer has no state", name)
	}
	// Docker takes the first digits of an ID for a name too.
	if strings.TrimPrefix(found.Name, "/") != name && found.ID != name {
		return found, fmt.Errorf("container %s: %w", name, containers.ErrNotFound)
	}
	return found, nil
}

// Network looks at the network of that name or ID.
func Network(ctx context.Context, api *client.Client, name string) (network.Inspect, error) {
	if name == "" {
		return network.Inspect{}, failure.Invalid("a network's name is empty")
	}
	found, err := api.NetworkInspect(ctx, name, network.InspectOptions{})
	if err != nil {
		return found, failure.Of(ctx, err, "network %s", name)
	}
	if found.Name != name && found.ID != name { // Docker takes the first digits of an ID for a name too
		return network.Inspect{}, fmt.Errorf("network %s: %w", name, containers.ErrNotFound)
	}
	return found, nil
}
