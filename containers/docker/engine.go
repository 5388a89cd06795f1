// Package docker is the engine for Docker, from 20.10 (API 1.41) on, and for
// Podman's Docker API. No type of Docker's appears in what it exports.
package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/dial"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/endpoint"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/ends"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/logs"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/wait"
)

// Options say which engine and how to reach what runs on it. The zero value
// is the engine that Docker's own command line would talk to.
type Options struct {
	// Endpoint is the name of a docker context or an address: unix:///PATH,
	// tcp://HOST:PORT, ssh://USER@HOST. Empty: DOCKER_HOST, then
	// DOCKER_CONTEXT, then the current context of Docker's configuration, then
	// the usual sockets, Podman's last.
	Endpoint string
	// ConnectTimeout is how long Open waits for an answer; 0 means 5 s, over ssh 30 s.
	ConnectTimeout time.Duration
	// ProbeBinary is the program that a probe container runs: a static Linux
	// executable for the engine's architecture that passes the arguments after
	// "probe-dial" to probe.Main. Empty: STAGEHAND_PROBE_BINARY, then the running program.
	ProbeBinary string
	// ForceProbe makes Dial go through a probe container even where the
	// engine's addresses can be reached from here.
	ForceProbe bool
}

// Engine is a connection to Docker or Podman. It implements
// containers.Engine, containers.Execer and containers.Copier.
type Engine struct {
	api      *client.Client
	options  Options
	endpoint endpoint.Candidate

	creating sync.Mutex // held while a network is made
	dialer   *dial.Dialer
	ends     *ends.Listener

	mu   sync.Mutex
	kind string           // kindDocker or kindPodman; empty while unknown
	info *containers.Info // nil while unknown
}

var (
	_ containers.Engine = (*Engine)(nil)
	_ containers.Execer = (*Engine)(nil)
	_ containers.Copier = (*Engine)(nil)
	_ containers.Walker = (*Engine)(nil)
)

// Open connects to the engine that options name. ErrUnavailable, saying what
// was tried and what to do, when none answers.
func Open(ctx context.Context, options Options) (*Engine, error) {
	candidates, err := endpoint.Resolve(options.Endpoint, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", containers.ErrUnavailable, err)
	}
	var tried []error
	for _, candidate := range candidates {
		api, err := connect(ctx, candidate, options.ConnectTimeout)
		if err == nil {
			return newEngine(api, options, candidate), nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", candidate.Display(), ctx.Err())
		}
		tried = append(tried, err)
	}
	return nil, fmt.Errorf("%w: %w", containers.ErrUnavailable, errors.Join(tried...))
}

func newEngine(api *client.Client, options Options, at endpoint.Candidate) *Engine {
	e := &Engine{api: api, options: options, endpoint: at, ends: ends.New(api)}
	e.dialer = dial.New(dial.Options{
		API: api, Local: at.SocketPath() != "", Force: options.ForceProbe, ProbeBinary: options.ProbeBinary,
		Arch: e.arch, Destroy: e.Destroy,
	})
	return e
}

func connect(ctx context.Context, candidate endpoint.Candidate, limit time.Duration) (*client.Client, error) {
	if limit == 0 {
		limit = 5 * time.Second
		if candidate.Scheme() == "ssh" {
			limit = 30 * time.Second
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return candidate.Connect(ctx)
}

// infoLimit bounds the question whether the engine is there: an engine that
// takes longer for it than this does not answer.
const infoLimit = 10 * time.Second

// Info implements containers.Engine. What it tells does not change while a
// connection lasts: it is asked for once.
func (e *Engine) Info(ctx context.Context) (containers.Info, error) {
	e.mu.Lock()
	known := e.info
	e.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	limited, cancel := context.WithTimeout(ctx, infoLimit)
	defer cancel()
	kind, err := e.engineKind(limited)
	if err != nil {
		return containers.Info{}, failure.Of(ctx, err, "engine at %s", e.endpoint.Display())
	}
	info, err := e.api.Info(limited)
	if err != nil {
		return containers.Info{}, failure.Of(ctx, err, "engine at %s", e.endpoint.Display())
	}
	id := info.ID
	if kind == kindPodman || id == "" {
		// Podman makes up a new ID for every answer: where it keeps its
		// containers, and on which host, is what stays.
		sum := sha256.Sum256([]byte(info.Name + "\x00" + info.DockerRootDir))
		id = "podman-" + hex.EncodeToString(sum[:8])
	}
	known = &containers.Info{
		Kind:     kind,
		Version:  info.ServerVersion,
		API:      e.api.ClientVersion(),
		ID:       id,
		Endpoint: e.endpoint.Display(),
		OS:       info.OSType,
		Arch:     architecture(info.Architecture),
	}
	e.mu.Lock()
	e.info = known
	e.mu.Unlock()
	return *known, nil
}

// arch is the engine's processor, as Go names it.
func (e *Engine) arch(ctx context.Context) (string, error) {
	info, err := e.Info(ctx)
	return info.Arch, err
}

const (
	kindDocker = "docker"
	kindPodman = "podman"
)

// engineKind asks once which program answers.
func (e *Engine) engineKind(ctx context.Context) (string, error) {
	e.mu.Lock()
	known := e.kind
	e.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var version types.Version
	err := look.Persist(ctx, func() (err error) {
		version, err = e.api.ServerVersion(ctx)
		return err
	})
	if err != nil {
		return "", err
	}
	kind := kindDocker
	for _, component := range version.Components {
		if strings.HasPrefix(component.Name, "Podman") {
			kind = kindPodman
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kind = kind
	return kind, nil
}

// Dial implements containers.Engine: see package dial.
func (e *Engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return e.dialer.Dial(ctx, network, address)
}

// Logs implements containers.Engine: see package logs.
func (e *Engine) Logs(ctx context.Context, name string, opts containers.LogOptions) (io.ReadCloser, error) {
	return logs.Open(ctx, e.api, e.ends, name, opts)
}

// Wait implements containers.Engine: see package wait.
func (e *Engine) Wait(ctx context.Context, name string) (containers.Status, error) {
	kind, err := e.engineKind(ctx)
	if err != nil {
		return containers.Status{}, failure.Of(ctx, err, "wait for container %s", name)
	}
	if kind == kindPodman {
		return wait.Poll(ctx, e.api, name)
	}
	return wait.End(ctx, e.api, e.ends, name)
}

// architecture turns a machine's name, as uname says it, into Go's.
func architecture(machine string) string {
	return cmp.Or(map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386",
	}[machine], machine)
}

// closeLimit bounds the removal of the probes when the engine is closed.
const closeLimit = 15 * time.Second

// Close implements containers.Engine. The probe containers of this
// connection are removed; those that cannot be end by themselves when idle.
func (e *Engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	e.ends.Close()
	return errors.Join(e.dialer.Close(ctx), e.api.Close())
}
