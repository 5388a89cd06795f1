// Package endpoint finds the engine that Docker's own command line would talk
// to, and connects to it.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	clicontext "github.com/docker/cli/cli/context"
	clidocker "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/docker/cli/cli/config"
)

// Candidate is one address at which an engine may answer.
type Candidate struct {
	clidocker.Endpoint
	// From says in words why this address is tried: "DOCKER_HOST", "context x".
	From string
}

// Resolve lists the addresses to try, in order; several only where nothing was
// chosen and there is more than one usual socket. explicit is a context's name,
// a URL, or empty; getenv is os.Getenv.
func Resolve(explicit string, getenv func(string) string) ([]Candidate, error) {
	dir := ConfigDir(getenv)
	switch {
	case strings.Contains(explicit, "://"):
		return one(fromHost(explicit, "the address given", dir, getenv))
	case strings.HasPrefix(explicit, "/"):
		return one(fromHost("unix://"+explicit, "the address given", dir, getenv))
	case explicit != "" && explicit != "default":
		return one(fromContext(explicit, "context "+explicit, dir))
	}
	if host := getenv(client.EnvOverrideHost); host != "" {
		return one(fromHost(host, client.EnvOverrideHost, dir, getenv))
	}
	if explicit == "" {
		name, from := getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
		if name == "" {
			// An unreadable configuration must not lead to another engine
			// than the one that it names.
			file, err := config.Load(dir)
			if err != nil {
				return nil, fmt.Errorf("docker's configuration: %w", err)
			}
			name, from = file.CurrentContext, "the current context of "+filepath.Join(dir, "config.json")
		}
		if name != "" && name != "default" {
			return one(fromContext(name, from, dir))
		}
	}
	return usual(getenv, exists), nil
}

// ConfigDir is the folder of Docker's configuration.
func ConfigDir(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/root"
	}
	return filepath.Join(home, ".docker")
}

func one(c Candidate, err error) ([]Candidate, error) {
	if err != nil {
		return nil, err
	}
	return []Candidate{c}, nil
}

// fromHost applies the DOCKER_TLS* variables to a tcp:// address.
func fromHost(host, from, dir string, getenv func(string) string) (Candidate, error) {
	c := Candidate{From: from}
	c.Host = host
	parsed, err := client.ParseHostURL(host)
	if err != nil {
		return c, fmt.Errorf("%s: %q is not an address: want unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST", from, host)
	}
	verify, certs := getenv(client.EnvTLSVerify), getenv(client.EnvOverrideCertPath)
	if parsed.Scheme != "tcp" && parsed.Scheme != "http" && parsed.Scheme != "https" || verify == "" && certs == "" {
		return c, nil
	}
	if certs == "" {
		certs = dir
	}
	c.SkipTLSVerify = verify == ""
	file := func(name string) string {
		// Docker's own client takes any of the three to be optional.
		if path := filepath.Join(certs, name); exists(path) {
			return path
		}
		return ""
	}
	c.TLSData, err = clicontext.TLSDataFromFiles(file("ca.pem"), file("cert.pem"), file("key.pem"))
	if err != nil {
		return c, fmt.Errorf("TLS files of %s: %w", certs, err)
	}
	if c.TLSData == nil {
		c.TLSData = &clicontext.TLSData{}
	}
	return c, nil
}

// fromContext reads the endpoint, TLS files included, of a context of Docker's command line.
func fromContext(name, from, dir string) (Candidate, error) {
	c := Candidate{From: from}
	contexts := store.New(filepath.Join(dir, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(clidocker.DockerEndpoint, func() any { return &clidocker.EndpointMeta{} }),
	))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return c, fmt.Errorf("%s: there is no docker context %q (docker context ls shows what there is): %w", from, name, err)
	}
	endpoint, err := clidocker.EndpointFromContext(meta)
	if err != nil {
		return c, fmt.Errorf("docker context %q: %w", name, err)
	}
	c.Endpoint, err = clidocker.WithTLSData(contexts, name, endpoint)
	if err != nil {
		return c, fmt.Errorf("docker context %q: %w", name, err)
	}
	return c, nil
}

// usual lists the sockets at which Docker, Docker Desktop and Podman listen
// when nothing was configured; the first one always, the others if they exist.
func usual(getenv func(string) string, exists func(string) bool) []Candidate {
	candidate := func(host, from string) Candidate {
		c := Candidate{From: from}
		c.Host = host
		return c
	}
	found := []Candidate{candidate(client.DefaultDockerHost, "the default socket")}
	if runtime.GOOS == "windows" {
		return found
	}
	home, _ := os.UserHomeDir()
	run := getenv("XDG_RUNTIME_DIR")
	if run == "" {
		run = fmt.Sprintf("/run/user/%d", os.Getuid())
	}
	for _, socket := range []struct{ path, from string }{
		{filepath.Join(run, "docker.sock"), "rootless Docker's socket"},
		{filepath.Join(home, ".docker", "run", "docker.sock"), "Docker Desktop's socket"},
		{filepath.Join(home, ".docker", "desktop", "docker.sock"), "Docker Desktop's socket"},
		{filepath.Join(run, "podman", "podman.sock"), "rootless Podman's socket"},
		{"/run/podman/podman.sock", "Podman's socket"},
		{filepath.Join(home, ".local", "share", "containers", "podman", "machine", "podman.sock"), "Podman machine's socket"},
	} {
		if exists(socket.path) {
			found = append(found, candidate("unix://"+socket.path, socket.from))
		}
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// Display is the address for people, without a password.
func (c Candidate) Display() string {
	if parsed, err := url.Parse(c.Host); err == nil {
		return parsed.Redacted()
	}
	return c.Host
}

// Scheme is the part of the address before "://".
func (c Candidate) Scheme() string {
	scheme, _, _ := strings.Cut(c.Host, "://")
	return scheme
}

// SocketPath is the path of a unix:// address, otherwise empty.
func (c Candidate) SocketPath() string {
	path, found := strings.CutPrefix(c.Host, "unix://")
	if !found {
		return ""
	}
	return path
}

// tune lets many calls run side by side without a new connection for each:
// net/http keeps two idle connections per host where nothing else is said, and
// an ssh connection costs a process and a handshake.
func tune(c *client.Client) error {
	if transport, ok := c.HTTPClient().Transport.(*http.Transport); ok {
		transport.MaxIdleConns = 32
		transport.MaxIdleConnsPerHost = 32
	}
	return nil
}

// Connect makes a client for the address and asks for the engine's API
// version. It ends with ctx.
func (c Candidate) Connect(ctx context.Context) (*client.Client, error) {
	options, err := c.ClientOpts()
	if err != nil {
		return nil, err
	}
	api, err := client.NewClientWithOpts(append(options, tune)...)
	if err != nil {
		return nil, err
	}
	ping, err := api.Ping(ctx)
	if err != nil {
		err = c.explain(ctx, err)
		return nil, errors.Join(err, api.Close())
	}
	api.NegotiateAPIVersionPing(ping)
	if err := c.suits(ping.APIVersion, api.ClientVersion()); err != nil {
		return nil, errors.Join(err, api.Close())
	}
	return api, nil
}

// oldest is the API of the oldest engine that stagehand's requests suit.
const oldest = "1.41"

// suits says why the API is too old: told is what the engine said of itself
// (empty for nothing), agreed what the client is going to speak.
func (c Candidate) suits(told, agreed string) error {
	if told != "" && versions.GreaterThanOrEqualTo(agreed, oldest) {
		return nil
	}
	what := "it speaks API " + agreed + ", and"
	switch {
	case told == "":
		what = "it does not say which API it speaks (is that a container engine?), and"
	case agreed != told:
		what = client.EnvOverrideAPIVersion + " asks for API " + agreed + ", and"
	}
	return fmt.Errorf("%s (%s): %s stagehand needs %s (Docker 20.10, Podman 4) or newer", c.Display(), c.From, what, oldest)
}
