package look

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Fresh remembers containers as they were seen when they had just been made, until somebody is about to
// start or remove them: to look at one again before would be to ask the engine what it has just said.
// The zero value remembers nothing yet.
type Fresh struct{ byName sync.Map } // of container.InspectResponse

// Made is called with a container that this process has made and nobody has started.
func (f *Fresh) Made(name string, c container.InspectResponse) { f.byName.Store(name, c) }

// Touch is called before the container of that name is started or removed.
func (f *Fresh) Touch(name string) { f.byName.Delete(name) }

// Container is Container, asked of the engine unless the container of that name is as it was made.
func (f *Fresh) Container(ctx context.Context, api *client.Client, name string) (container.InspectResponse, error) {
	if c, fresh := f.byName.Load(name); fresh {
		return c.(container.InspectResponse), nil
	}
	return Container(ctx, api, name)
}
