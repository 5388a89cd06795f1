// Package pull reads what an engine says while it pulls an image.
package pull

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/api/types/registry"

	"github.com/stagehand-dev/stagehand/containers/docker/internal/endpoint"
)

// RegistryDown tells a registry that cannot be reached from one that has no
// such image. The engine passes the texts of Go's net package on.
func RegistryDown(err error) bool {
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

// Credentials finds what Docker's configuration, its credential helpers
// included, holds for the image's registry.
func Credentials(named reference.Named) (string, error) {
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

// AllCredentials are those of every registry in Docker's configuration, for a
// build, which may pull from any; nil where the configuration cannot be read.
func AllCredentials() map[string]registry.AuthConfig {
	file, err := config.Load(endpoint.ConfigDir(os.Getenv))
	if err != nil {
		return nil
	}
	found, err := file.GetAllCredentials()
	if err != nil {
		return nil
	}
	all := map[string]registry.AuthConfig{}
	for server, c := range found {
		all[server] = registry.AuthConfig{
			Username: c.Username, Password: c.Password, Auth: c.Auth,
			ServerAddress: c.ServerAddress, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}
	}
	return all
}

// message is one line of the answer to a pull.
type message struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
}

// tellEvery keeps a pull from telling its progress more often than people read.
const tellEvery = 200 * time.Millisecond

// Read reads the stream of a pull or import to its end; the error in it, if
// any, is returned. tell, unless nil, is told the progress from time to time.
func Read(body io.Reader, tell func(string)) error {
	var sum progress
	var told time.Time
	decoder := json.NewDecoder(body)
	for {
		var next message
		err := decoder.Decode(&next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if next.Error != "" {
			return errors.New(next.Error)
		}
		sum.add(next)
		if tell != nil && time.Since(told) >= tellEvery {
			tell(sum.String())
			told = time.Now()
		}
	}
}

// progress sums up the layers of a pull.
type progress struct {
	last   string
	order  []string
	layers map[string]*layer
}

type layer struct {
	done           bool
	current, total int64
}

func (p *progress) add(m message) {
	l, known := p.layers[m.ID]
	switch {
	case m.ID == "" || (!known && m.Status != "Pulling fs layer" && m.Status != "Already exists"):
		p.last = m.Status
		return
	case !known:
		if p.layers == nil {
			p.layers = map[string]*layer{}
		}
		l = &layer{}
		p.layers[m.ID] = l
		p.order = append(p.order, m.ID)
	}
	switch m.Status {
	case "Downloading":
		l.current, l.total = m.Progress.Current, m.Progress.Total
	case "Download complete", "Extracting":
		l.current = l.total
	case "Pull complete", "Already exists":
		l.done, l.current = true, l.total
	}
}

// String is "2/3 layers, 12.3/45.6 MB", or what the engine said last where no
// layer is known yet.
func (p *progress) String() string {
	if len(p.order) == 0 {
		return cmp.Or(p.last, "pulling")
	}
	done, current, total := 0, int64(0), int64(0)
	for _, id := range p.order {
		l := p.layers[id]
		if l.done {
			done++
		}
		current, total = current+l.current, total+l.total
	}
	return fmt.Sprintf("%d/%d layers, %.1f/%.1f MB", done, len(p.order), float64(current)/1e6, float64(total)/1e6)
}
