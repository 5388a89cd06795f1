package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/endpoint"
)

// EnsureImage implements containers.Engine.
func (e *Engine) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	want, err := convertPlatform(platform)
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
			return containers.Image{}, failed(ctx, err, "image %s", ref)
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
		return containers.Image{}, failed(ctx, err, "image %s", ref)
	}
	return containers.Image{Ref: ref, ID: found.ID}, nil
}

func noImage(ref string, cause error) error {
	return &fault{what: "image " + ref, kind: containers.ErrImage, cause: cause}
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
	auth, authErr := credentials(named)
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform})
	if err == nil {
		err = readPull(body, progress)
		err = errors.Join(err, body.Close())
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, disconnected(err):
		return failed(ctx, err, "pull image %s", ref)
	case registryDown(err):
		err = fmt.Errorf("it is not on the engine, and its registry (%s) does not answer: %w", reference.Domain(named), err)
	case authErr != nil:
		err = fmt.Errorf("%w (credentials for %s: %w)", err, reference.Domain(named), authErr)
	}
	return noImage(ref, err)
}

// registryDown tells a registry that cannot be reached from one that has no
// such image. The engine passes the texts of Go's net package on.
func registryDown(err error) bool {
	text := err.Error()
	for _, part := range []string{
		"dial tcp", "no such host", "i/o timeout", "TLS handshake timeout", "connection refused", "connection reset",
		"network is unreachable", "no route to host", "Client.Timeout exceeded", "proxyconnect", "server misbehaving",
		"context deadline exceeded", "request canceled while waiting for connection",
	} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// credentials finds what Docker's configuration, its credential helpers
// included, holds for the image's registry.
func credentials(named reference.Named) (string, error) {
	file, err := config.Load(endpoint.ConfigDir(os.Getenv))
	if err != nil {
		return "", err
	}
	key := reference.Domain(named)
	if key == "docker.io" || key == "index.docker.io" {
		key = "https://index.docker.io/v1/"
	}
	found, err := file.GetAuthConfig(key)
	if err != nil {
		return "", err
	}
	if found.Username == "" && found.Auth == "" && found.IdentityToken == "" && found.RegistryToken == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		ServerAddress: found.ServerAddress, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	})
}

// pullMessage is one line of the answer to a pull.
type pullMessage struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
}

// progressEvery keeps a pull from telling its progress more often than people read.
const progressEvery = 200 * time.Millisecond

// readPull reads the stream to its end; the error in it, if any, is returned.
func readPull(body io.Reader, progress func(string)) error {
	var p pullProgress
	var told time.Time
	decoder := json.NewDecoder(body)
	for {
		var message pullMessage
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
		p.add(message)
		if progress != nil && time.Since(told) >= progressEvery {
			progress(p.String())
			told = time.Now()
		}
	}
}

// pullProgress sums up the layers of a pull.
type pullProgress struct {
	last   string
	order  []string
	layers map[string]*pullLayer
}

type pullLayer struct {
	done           bool
	current, total int64
}

func (p *pullProgress) add(m pullMessage) {
	layer, known := p.layers[m.ID]
	switch {
	case m.ID == "" || (!known && m.Status != "Pulling fs layer" && m.Status != "Already exists"):
		p.last = m.Status
		return
	case !known:
		if p.layers == nil {
			p.layers = map[string]*pullLayer{}
		}
		layer = &pullLayer{}
		p.layers[m.ID] = layer
		p.order = append(p.order, m.ID)
	}
	switch m.Status {
	case "Downloading":
		layer.current, layer.total = m.Progress.Current, m.Progress.Total
	case "Download complete", "Extracting":
		layer.current = layer.total
	case "Pull complete", "Already exists":
		layer.done, layer.current = true, layer.total
	}
}

// String is "2/3 layers, 12.3/45.6 MB", or what the engine said last where no
// layer is known yet.
func (p *pullProgress) String() string {
	if len(p.order) == 0 {
		return cmp.Or(p.last, "pulling")
	}
	done, current, total := 0, int64(0), int64(0)
	for _, id := range p.order {
		layer := p.layers[id]
		if layer.done {
			done++
		}
		current, total = current+layer.current, total+layer.total
	}
	return fmt.Sprintf("%d/%d layers, %.1f/%.1f MB", done, len(p.order), float64(current)/1e6, float64(total)/1e6)
}
