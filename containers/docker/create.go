package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// namePatience is how long a name may be taken by a container that cannot be
// found: another call is making it, which takes seconds on a loaded engine, or
// it is on its way out.
const namePatience = 30 * time.Second

// Create implements containers.Engine. In the common case, a free name, it
// takes one creating call and one look; only a conflict makes it search.
func (e *Engine) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	c, err := translate.Spec(spec, e.api.ClientVersion())
	if err != nil {
		return containers.Status{}, err
	}
	if spec.Command != nil && len(spec.Command) == 0 && spec.Entrypoint == nil {
		// Docker takes an empty command for none at all, except beside an entrypoint.
		if err := e.keepEntrypoint(ctx, &c, spec); err != nil {
			return containers.Status{}, err
		}
	}
	if kind, err := e.engineKind(ctx); err != nil {
		return containers.Status{}, failure.Of(ctx, err, "create container %s", spec.Name)
	} else if kind == kindPodman {
		c.Config.Labels[translate.LabelImage] = spec.Image
	} else if containers.RoleOf(spec.Labels) == containers.RoleHelper {
		e.ends.Listen(ctx) // before the container is there: of older ones it may have missed something
	}
	began := time.Now()
	for pause := (backoff.Backoff{}); ; {
		made, err := e.api.ContainerCreate(ctx, c.Config, c.Host, c.Networking, c.Platform, spec.Name)
		if err == nil {
			return e.finish(ctx, made.ID, spec, c)
		}
		if !nameTaken(err) {
			return containers.Status{}, failure.Of(ctx, err, "create container %s", spec.Name)
		}
		found, inspectErr := look.Container(ctx, e.api, spec.Name)
		switch {
		case inspectErr == nil:
			return e.adopt(ctx, found, spec, c)
		case !errors.Is(inspectErr, containers.ErrNotFound):
			return containers.Status{}, inspectErr
		case time.Since(began) > namePatience:
			return containers.Status{}, failure.Of(ctx, err, "create container %s", spec.Name)
		}
		if err := pause.Wait(ctx); err != nil {
			return containers.Status{}, failure.Of(ctx, err, "create container %s", spec.Name)
		}
	}
}

// nameTaken tells a name's conflict from any other, such as of a port. Docker's
// text speaks of the name, Podman's of a container that is "already in use".
func nameTaken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "already in use") && strings.Contains(text, "name") &&
		(cerrdefs.IsConflict(err) || cerrdefs.IsInternal(err))
}

func (e *Engine) keepEntrypoint(ctx context.Context, c *translate.Creation, spec containers.Spec) error {
	image, err := e.api.ImageInspect(ctx, spec.Image)
	if err != nil {
		if cerrdefs.IsNotFound(err) {
			return failure.New(containers.ErrImage, err, "create container %s", spec.Name)
		}
		return failure.Of(ctx, err, "image %s", spec.Image)
	}
	if image.Config != nil {
		c.Config.Entrypoint = image.Config.Entrypoint
	}
	return nil
}

// adopt returns the container that holds the name already if it is spec's,
// and finishes it if a Create before broke off.
func (e *Engine) adopt(ctx context.Context, found container.InspectResponse, spec containers.Spec, c translate.Creation) (containers.Status, error) {
	status := translate.Status(found)
	if want, has := c.Config.Labels[containers.LabelSpec], status.Labels[containers.LabelSpec]; has != want {
		what := "was not made by stagehand"
		if has != "" {
			what = "was made for another spec"
		}
		return status, fmt.Errorf("create container %s: %w: the container of that name (%s, %.12s) %s",
			spec.Name, containers.ErrConflict, status.State, status.ID, what)
	}
	if status.State != containers.StateCreated {
		return status, nil // it was started, so its files and networks are whole
	}
	var missing []containers.Attachment
	for _, attachment := range c.Later {
		if _, connected := status.Networks[attachment.Network]; !connected {
			missing = append(missing, attachment)
		}
	}
	if len(missing) == 0 && len(c.Files) == 0 {
		return status, nil
	}
	c.Later = missing
	return e.finish(ctx, found.ID, spec, c)
}

// finish does what must happen between creation and start. All of it may be
// done again: a container that was never started gets the same files anew.
func (e *Engine) finish(ctx context.Context, id string, spec containers.Spec, c translate.Creation) (containers.Status, error) {
	for _, attachment := range c.Later {
		settings := translate.Attachment(attachment, spec.Links, e.api.ClientVersion())
		if err := e.api.NetworkConnect(ctx, attachment.Network, id, settings); err != nil {
			return containers.Status{}, failure.Of(ctx, err, "connect container %s to network %s", spec.Name, attachment.Network)
		}
	}
	if len(c.Files) > 0 {
		if err := e.copyIn(ctx, id, spec.Name, c.Files); err != nil {
			return containers.Status{}, err
		}
	}
	made, err := look.Container(ctx, e.api, id)
	if err != nil {
		return containers.Status{}, err
	}
	return translate.Status(made), nil
}
