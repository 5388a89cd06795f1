package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

// engines by the scheme of their endpoint; docker takes all others.
var engines = []struct {
	scheme string
	open   func(ctx context.Context, endpoint string) (containers.Engine, error)
}{
	{"memory:", openMemory},
	{"", openDocker},
}

// OpenEngine connects to the engine that the endpoint names: a docker context
// or address, or memory:, the reference engine, which is made empty and is
// gone with Close.
func OpenEngine(ctx context.Context, endpoint string) (containers.Engine, error) {
	for _, e := range engines {
		if strings.HasPrefix(endpoint, e.scheme) {
			return e.open(ctx, endpoint)
		}
	}
	panic("cli: no engine takes every endpoint")
}

func openDocker(ctx context.Context, endpoint string) (containers.Engine, error) {
	engine, err := docker.Open(ctx, docker.Options{Endpoint: endpoint})
	if err != nil {
		return nil, err // not engine: a nil *docker.Engine is no nil Engine
	}
	return engine, nil
}

// MemoryImage is the image that a memory engine has: the contract suite's actor.
const MemoryImage = "stagehand-actor:test"

func openMemory(context.Context, string) (containers.Engine, error) {
	return halting{NewMemory()}, nil
}

// NewMemory is the engine of memory:.
func NewMemory() *memory.Engine {
	return memory.New(memory.Options{Images: map[string]memory.Program{MemoryImage: actor.Main}})
}

// halting ends the containers with the connection: they live in this process.
type halting struct{ *memory.Engine }

func (h halting) Close() error {
	h.Halt()
	return h.Engine.Close()
}

// engine connects to the engine of the command line.
func (in *invocation) engine(ctx context.Context) (containers.Engine, error) {
	endpoint := in.flags.engine
	if endpoint == "" {
		endpoint = in.getenv("STAGEHAND_ENGINE")
	}
	engine, err := in.Open(ctx, endpoint)
	if err != nil && ctx.Err() == nil {
		return nil, &coded{exitEngine, err}
	}
	return engine, err
}

// hostOf is where the engine's published ports are reached from here: "" is this host.
func hostOf(info containers.Info) string {
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

// newRun is a run's ID: sortable, and readable in a terminal.
func newRun(stamp string, random uint32) string {
	return fmt.Sprintf("%s-%06x", stamp, random&0xffffff)
}
