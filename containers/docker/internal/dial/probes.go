package dial

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/probeimage"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

// removeLimit bounds the removal of a probe that could not be started.
const removeLimit = 15 * time.Second

// probes are the probe containers of one connection, one per network. They
// are not shared between processes: each removes its own.
type probes struct {
	mu        sync.Mutex
	byNetwork map[string]*probeEntry // by network ID
	closed    bool
}

// probeEntry is a network's probe. Its semaphore is a channel so that waiting
// for somebody else's creation ends with ctx.
type probeEntry struct {
	busy    chan struct{}
	id      string         // of the container; empty while there is none
	session *probe.Session // with the program in it that dials; nil while there is none
}

// end ends the session, if there is one, and forgets the container.
func (e *probeEntry) end() (id string) {
	if e.session != nil {
		_ = e.session.Close() // the container goes, or is gone
	}
	id, e.id, e.session = e.id, "", nil
	return id
}

func (p *probes) entry(networkID string) (*probeEntry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the connection to the engine was closed")
	}
	if p.byNetwork == nil {
		p.byNetwork = map[string]*probeEntry{}
	}
	if p.byNetwork[networkID] == nil {
		p.byNetwork[networkID] = &probeEntry{busy: make(chan struct{}, 1)}
	}
	return p.byNetwork[networkID], nil
}

func (p *probes) forget(networkID string) {
	p.mu.Lock()
	entry := p.byNetwork[networkID]
	delete(p.byNetwork, networkID)
	p.mu.Unlock()
	if entry != nil {
		entry.busy <- struct{}{} // a creation under way ends with its own ctx
		entry.end()
		<-entry.busy
	}
}

// dialProbe dials from inside the network through its probe. A session that ended is begun
// anew, in the same container if that is still there: one that is idle ends by itself.
func (d *Dialer) dialProbe(ctx context.Context, n network.Inspect, address string) (net.Conn, error) {
	for attempt := 1; ; attempt++ {
		id, session, err := d.ensureProbe(ctx, n)
		gone := cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err)
		var conn net.Conn
		if err == nil {
			conn, err = session.Dial(ctx, address)
			gone = err != nil && session.Ended()
		}
		var refused *probe.RefusedError
		switch {
		case err == nil:
			return conn, nil
		case errors.As(err, &refused):
			return nil, fmt.Errorf("dial %s on network %s: %w: %w", address, n.Name, containers.ErrUnreachable, err)
		case gone && attempt < 3 && ctx.Err() == nil:
			d.dropProbe(n.ID, id, session)
		default:
			return nil, failure.Of(ctx, err, "dial %s through the probe on network %s", address, n.Name)
		}
	}
}

// serve begins a session with the probe.
func (d *Dialer) serve(ctx context.Context, id string) (*probe.Session, error) {
	made, err := d.options.API.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd:         []string{probeimage.Program, probe.Command, probe.ServeArg},
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	// Not with ctx: the session is everybody's, and outlives whoever began it.
	attached, err := d.options.API.ContainerExecAttach(context.WithoutCancel(ctx), made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	return probe.NewSession(&execStream{attached: attached})
}

func (d *Dialer) image(ctx context.Context) (string, error) {
	return probeimage.Ensure(ctx, d.options.API, d.options.ProbeBinary, d.options.Arch)
}

// ensureProbe returns the ID of the network's running probe and the session with it, and makes
// what there is not. The ID is there whenever the container is.
func (d *Dialer) ensureProbe(ctx context.Context, n network.Inspect) (string, *probe.Session, error) {
	entry, err := d.probes.entry(n.ID)
	if err != nil {
		return "", nil, err
	}
	select {
	case entry.busy <- struct{}{}:
		defer func() { <-entry.busy }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	if entry.id == "" {
		if entry.id, err = d.makeProbe(ctx, n); err != nil {
			return "", nil, err
		}
	}
	if entry.session == nil {
		if entry.session, err = d.serve(ctx, entry.id); err != nil {
			return entry.id, nil, err
		}
	}
	return entry.id, entry.session, nil
}

// makeProbe makes a probe container, and returns its ID.
func (d *Dialer) makeProbe(ctx context.Context, n network.Inspect) (string, error) {
	tag, err := d.image(ctx)
	if err != nil {
		return "", err
	}
	config, host := probeConfig(tag, n)
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	name := containers.Name(probeimage.Name, n.ID[:min(12, len(n.ID))], hex.EncodeToString(random[:]))
	made, err := d.options.API.ContainerCreate(ctx, config, host, nil, nil, name)
	if err != nil {
		return "", err
	}
	if err := d.options.API.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
		defer cancel()
		return "", errors.Join(err, d.options.Destroy(cleanup, made.ID))
	}
	return made.ID, nil
}

// dropProbe forgets a session that ended or, where none could be begun, the container.
func (d *Dialer) dropProbe(networkID, id string, session *probe.Session) {
	entry, err := d.probes.entry(networkID)
	if err != nil {
		return
	}
	entry.busy <- struct{}{}
	defer func() { <-entry.busy }()
	switch {
	case session == nil && entry.id == id:
		entry.end()
	case session != nil && entry.session == session:
		_ = session.Close() // it ended
		entry.session = nil
	}
}

// probeConfig is the least that can dial: no rights, no writable files, no log.
// The engine removes it when it ends, whoever made it.
func probeConfig(tag string, n network.Inspect) (*container.Config, *container.HostConfig) {
	labels := map[string]string{containers.LabelRole: containers.RoleProbe}
	// What the network belongs to the probe belongs to, and goes with it.
	for _, key := range []string{containers.LabelStack, containers.LabelRun, containers.LabelEphemeral} {
		if value := n.Labels[key]; value != "" {
			labels[key] = value
		}
	}
	return &container.Config{
			Image: tag, Labels: labels, User: "65534:65534",
			Entrypoint: []string{probeimage.Program, probe.Command, probe.HoldArg},
		}, &container.HostConfig{
			NetworkMode:    container.NetworkMode(n.Name),
			AutoRemove:     true,
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			LogConfig:      container.LogConfig{Type: "none"},
		}
}

// RemoveProbes removes all probes on the network, those of other processes
// too, since the network is about to go.
func (d *Dialer) RemoveProbes(ctx context.Context, n network.Inspect) error {
	found, err := d.options.API.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("network", n.ID), filters.Arg("label", containers.LabelRole+"="+containers.RoleProbe),
	)})
	if err != nil {
		return failure.Of(ctx, err, "probes of network %s", n.Name)
	}
	for _, summary := range found {
		if err := d.options.Destroy(ctx, summary.ID); err != nil {
			return err
		}
	}
	d.probes.forget(n.ID)
	return nil
}

// Close removes the probes that were made here, and keeps more from being made.
func (d *Dialer) Close(ctx context.Context) error {
	d.probes.mu.Lock()
	entries := d.probes.byNetwork
	d.probes.byNetwork, d.probes.closed = nil, true
	d.probes.mu.Unlock()
	var errs []error
	for _, entry := range entries {
		entry.busy <- struct{}{} // a creation under way ends with its own ctx
		if id := entry.end(); id != "" {
			errs = append(errs, d.options.Destroy(ctx, id))
		}
		<-entry.busy
	}
	return errors.Join(errs...)
}

// execStream is the probe's standard input and output over an attached exec.
type execStream struct {
	attached types.HijackedResponse
	left     uint32 // bytes of the present frame that are still to be read
	once     sync.Once
}

// Read gives what the probe wrote to its standard output; an error of its own
// is what it wrote to the other.
func (s *execStream) Read(p []byte) (int, error) {
	for s.left == 0 {
		var header [8]byte
		if _, err := io.ReadFull(s.attached.Reader, header[:]); err != nil {
			return 0, err
		}
		size := binary.BigEndian.Uint32(header[4:])
		if stdcopy.StdType(header[0]) == stdcopy.Stdout {
			s.left = size
			continue
		}
		said, err := io.ReadAll(io.LimitReader(s.attached.Reader, min(int64(size), maxSaid)))
		if err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("the probe says: %s", bytes.TrimSpace(said))
	}
	n, err := s.attached.Reader.Read(p[:min(len(p), int(s.left))])
	s.left -= uint32(n)
	return n, err
}

// maxSaid is how much of what a probe says of its failure is told, in bytes.
const maxSaid = 4096

func (s *execStream) Write(p []byte) (int, error) { return s.attached.Conn.Write(p) }

func (s *execStream) Close() error {
	s.once.Do(s.attached.Close)
	return nil
}
