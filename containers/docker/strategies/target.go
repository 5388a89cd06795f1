package strategies

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go/exec"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
)

// shownLines is how many last lines of a dead container's log are shown.
const shownLines = 20

// target is a container as a strategy sees it. It implements wait.StrategyTarget.
type target struct {
	engine   containers.Engine
	instance waiters.Instance
	work     sync.WaitGroup

	mu       sync.Mutex
	forwards map[uint16]net.Listener
	ends     []context.CancelFunc // of the forwards' connections
	broken   error                // the engine failed, as opposed to the service not being ready
}

func newTarget(engine containers.Engine, instance waiters.Instance) *target {
	return &target{engine: engine, instance: instance, forwards: map[uint16]net.Listener{}}
}

// close ends the forwards, waits for them, and returns the engine's failure if there was one.
func (t *target) close() error {
	t.mu.Lock()
	for _, listener := range t.forwards {
		_ = listener.Close()
	}
	for _, end := range t.ends {
		end()
	}
	t.mu.Unlock()
	t.work.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken
}

// failed notes an error of an engine that does not answer, and passes every error on.
func (t *target) failed(err error) error {
	if errors.Is(err, containers.ErrUnavailable) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.broken = err
	}
	return err
}

func (t *target) status(ctx context.Context) (containers.Status, error) {
	status, err := t.engine.Status(ctx, t.instance.Container)
	if errors.Is(err, containers.ErrNotFound) {
		// Not the engine's own words: the exit strategy takes "No such
		// container" for an end, but how it ended is unknown.
		return status, errors.New("the container has vanished")
	}
	return status, t.failed(err)
}

// Host is where the forwarded ports are.
func (t *target) Host(context.Context) (string, error) { return "127.0.0.1", nil }

// State translates what the contract knows.
func (t *target) State(ctx context.Context) (*container.State, error) {
	status, err := t.status(ctx)
	if err != nil {
		return nil, err
	}
	return stateOf(status), nil
}

func stateOf(status containers.Status) *container.State {
	state := &container.State{
		Status:     container.ContainerState(status.State),
		Running:    status.Running(),
		Paused:     status.State == containers.StatePaused,
		Restarting: status.State == containers.StateRestarting,
		OOMKilled:  status.OOMKilled,
		ExitCode:   status.ExitCode,
		Error:      status.Error,
		StartedAt:  status.Started.Format(time.RFC3339Nano),
		FinishedAt: status.Finished.Format(time.RFC3339Nano),
	}
	if status.Health != containers.HealthNone {
		state.Health = &container.Health{Status: container.HealthStatus(status.Health)}
		if status.HealthLog != "" {
			state.Health.Log = []*container.HealthcheckResult{{ExitCode: 1, Output: status.HealthLog}}
		}
	}
	return state
}

// Inspect translates what the contract knows; ports are the published ones,
// each forwarded.
func (t *target) Inspect(ctx context.Context) (*container.InspectResponse, error) {
	status, err := t.status(ctx)
	if err != nil {
		return nil, err
	}
	networks := map[string]*network.EndpointSettings{}
	for name, address := range status.Networks {
		networks[name] = &network.EndpointSettings{IPAddress: address}
	}
	ports := nat.PortMap{}
	for _, binding := range status.Ports {
		if binding.Protocol != "tcp" {
			continue
		}
		mapped, err := t.forward(ctx, binding.Container)
		if err != nil {
			return nil, err
		}
		if mapped != "" {
			ports[nat.Port(fmt.Sprintf("%d/tcp", binding.Container))] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: mapped}}
		}
	}
	return &container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: status.ID, Name: "/" + status.Name, Image: status.ImageID, State: stateOf(status), RestartCount: status.Restarts,
			Created: status.Created.Format(time.RFC3339Nano),
		},
		Config: &container.Config{Image: status.Image, Labels: status.Labels},
		NetworkSettings: &container.NetworkSettings{
			NetworkSettingsBase: container.NetworkSettingsBase{Ports: ports}, //nolint:staticcheck // the strategies read it there
			Networks:            networks,
		},
	}, nil
}

// Ports are Inspect's.
func (t *target) Ports(ctx context.Context) (nat.PortMap, error) {
	inspect, err := t.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	return inspect.NetworkSettings.Ports, nil
}

// MappedPort is the local end of a forward to the container's port. It is
// empty, without an error, while nothing accepts connections there: a local port
// that does would say that the service is ready.
func (t *target) MappedPort(ctx context.Context, port nat.Port) (nat.Port, error) {
	if port.Proto() != "tcp" {
		return "", fmt.Errorf("port %s: only tcp ports can be waited for", port)
	}
	mapped, err := t.forward(ctx, uint16(port.Int()))
	if err != nil || mapped == "" {
		return "", err
	}
	return nat.Port(mapped + "/tcp"), nil
}

// forward listens locally for connections to the container's port.
func (t *target) forward(ctx context.Context, port uint16) (string, error) {
	t.mu.Lock()
	listener := t.forwards[port]
	t.mu.Unlock()
	if listener == nil {
		conn, err := t.dial(ctx, port)
		if errors.Is(err, containers.ErrUnreachable) {
			return "", nil
		}
		if err != nil {
			return "", t.failed(err)
		}
		_ = conn.Close()
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		// Connections outlive the call that asked for the port, until close.
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		t.mu.Lock()
		t.forwards[port] = listener
		t.ends = append(t.ends, end)
		t.mu.Unlock()
		t.work.Go(func() { t.serve(life, listener, port) })
	}
	_, local, err := net.SplitHostPort(listener.Addr().String())
	return local, err
}

func (t *target) dial(ctx context.Context, port uint16) (net.Conn, error) {
	if t.instance.Network == "" {
		return nil, fmt.Errorf("%s is on no network: its ports cannot be dialled", t.instance.Container)
	}
	return t.engine.Dial(ctx, t.instance.Network, net.JoinHostPort(t.instance.Container, strconv.Itoa(int(port))))
}

func (t *target) serve(ctx context.Context, listener net.Listener, port uint16) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return // closed
		}
		t.work.Go(func() { t.carry(ctx, near, port) })
	}
}

// carry copies both ways until both have ended or the look is over.
func (t *target) carry(ctx context.Context, near net.Conn, port uint16) {
	defer near.Close()
	far, err := t.dial(ctx, port)
	if err != nil {
		_ = t.failed(err)
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		ways.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			} else {
				_ = way[0].Close()
			}
		})
	}
	ways.Wait()
}

// Logs are all lines until now.
func (t *target) Logs(ctx context.Context) (io.ReadCloser, error) {
	logs, err := t.engine.Logs(ctx, t.instance.Container, containers.LogOptions{})
	return logs, t.failed(err)
}

// Exec runs the command; its output comes framed as Docker's, all of it as
// standard output, unless the options unframe it.
func (t *target) Exec(ctx context.Context, command []string, options ...exec.ProcessOption) (int, io.Reader, error) {
	execer, ok := t.engine.(containers.Execer)
	if !ok {
		return 0, nil, errors.New("this engine cannot run commands in a container")
	}
	process := exec.NewProcessOptions(command)
	for _, option := range options {
		option.Apply(process)
	}
	if c := process.ExecConfig; cmp.Or(c.User, c.WorkingDir, strings.Join(c.Env, " ")) != "" {
		return 0, nil, errors.New("a user, folder or environment for a command is not supported")
	}
	var output, framed bytes.Buffer
	code, err := execer.Exec(ctx, t.instance.Container, command, &output)
	if err != nil {
		return 0, nil, t.failed(err)
	}
	if _, err := stdcopy.NewStdWriter(&framed, stdcopy.Stdout).Write(output.Bytes()); err != nil {
		return 0, nil, err
	}
	process.Reader = &framed
	for _, option := range options {
		option.Apply(process)
	}
	return code, process.Reader, nil
}

// CopyFileFromContainer reads one file.
func (t *target) CopyFileFromContainer(ctx context.Context, path string) (io.ReadCloser, error) {
	copier, ok := t.engine.(containers.Copier)
	if !ok {
		return nil, errors.New("this engine cannot read files of a container")
	}
	content, err := copier.CopyOut(ctx, t.instance.Container, path)
	if err != nil {
		return nil, notFound(t.failed(err))
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// notFound makes a missing file what the strategies take for one.
func notFound(err error) error {
	if errors.Is(err, containers.ErrNotFound) {
		return missing{err}
	}
	return err
}

// missing carries the mark of the client's own "not found".
type missing struct{ error }

func (missing) NotFound() {}

func (m missing) Unwrap() error { return m.error }

// lastLines reads the end of a container's log; nil when that is not to be had.
func lastLines(ctx context.Context, engine containers.Engine, name string) []string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	logs, err := engine.Logs(ctx, name, containers.LogOptions{Tail: shownLines})
	if err != nil {
		return nil
	}
	defer logs.Close()
	text, err := io.ReadAll(io.LimitReader(logs, 1<<20))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}
