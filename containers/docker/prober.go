package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

const (
	probeImage = "stagehand-probe"
	// probeProgram is the program's path in the probe's image.
	probeProgram = "/stagehand"
	// probeCommand is the hidden command of the program that is probe.Main.
	probeCommand = "probe-dial"
	// envProbeBinary names the program where the running one does not suit.
	envProbeBinary = "STAGEHAND_PROBE_BINARY"
)

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
	busy chan struct{}
	id   string // of the container; empty while there is none
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
	defer p.mu.Unlock()
	delete(p.byNetwork, networkID)
}

// dialProbe dials from inside the network through its probe.
func (e *Engine) dialProbe(ctx context.Context, n network.Inspect, address string) (net.Conn, error) {
	for attempt := 1; ; attempt++ {
		id, err := e.ensureProbe(ctx, n)
		if err != nil {
			return nil, failed(ctx, err, "probe on network %s", n.Name)
		}
		conn, err := e.dialThrough(ctx, id, address)
		var refused *probe.RefusedError
		switch {
		case err == nil:
			return conn, nil
		case errors.As(err, &refused):
			return nil, fmt.Errorf("dial %s on network %s: %w: %w", address, n.Name, containers.ErrUnreachable, err)
		case attempt == 1 && (cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err)):
			e.dropProbe(n.ID, id) // it ended, being idle, or was removed: make another
		default:
			return nil, failed(ctx, err, "dial %s through the probe on network %s", address, n.Name)
		}
	}
}

func (e *Engine) dialThrough(ctx context.Context, id, address string) (net.Conn, error) {
	limit := dialLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	milliseconds := strconv.FormatInt(max(1, limit.Milliseconds()), 10)
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd:         []string{probeProgram, probeCommand, address, milliseconds},
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	attached, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	stream := &execStream{attached: attached}
	conn, err := probe.Connect(ctx, stream, address)
	var refused *probe.RefusedError
	if err != nil && !errors.As(err, &refused) && stream.said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stream.said.String()))
	}
	return conn, err
}

// ensureProbe returns the ID of the network's running probe and makes it if need be.
func (e *Engine) ensureProbe(ctx context.Context, n network.Inspect) (string, error) {
	entry, err := e.probes.entry(n.ID)
	if err != nil {
		return "", err
	}
	select {
	case entry.busy <- struct{}{}:
		defer func() { <-entry.busy }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if entry.id != "" {
		return entry.id, nil
	}
	tag, err := e.ensureProbeImage(ctx)
	if err != nil {
		return "", err
	}
	config, host := probeConfig(tag, n)
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	name := containers.Name(probeImage, n.ID[:min(12, len(n.ID))], hex.EncodeToString(random[:]))
	made, err := e.api.ContainerCreate(ctx, config, host, nil, nil, name)
	if err != nil {
		return "", err
	}
	if err := e.api.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		return "", errors.Join(err, e.Destroy(cleanup, made.ID))
	}
	entry.id = made.ID
	return entry.id, nil
}

// dropProbe forgets a probe that does not answer.
func (e *Engine) dropProbe(networkID, id string) {
	entry, err := e.probes.entry(networkID)
	if err != nil {
		return
	}
	entry.busy <- struct{}{}
	if entry.id == id {
		entry.id = ""
	}
	<-entry.busy
}

// probeConfig is the least that can dial: no rights, no writable files, no log.
// The engine removes it when it ends, whoever made it.
func probeConfig(tag string, n network.Inspect) (*container.Config, *container.HostConfig) {
	labels := map[string]string{containers.LabelRole: containers.RoleProbe}
	if stack := n.Labels[containers.LabelStack]; stack != "" {
		labels[containers.LabelStack] = stack
	}
	return &container.Config{
			Image: tag, Labels: labels, User: "65534:65534",
			Entrypoint: []string{probeProgram, probeCommand, probe.HoldArg},
		}, &container.HostConfig{
			NetworkMode:    container.NetworkMode(n.Name),
			AutoRemove:     true,
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			LogConfig:      container.LogConfig{Type: "none"},
		}
}

// ensureProbeImage makes the image, named after the program's content, unless
// the engine has it.
func (e *Engine) ensureProbeImage(ctx context.Context) (string, error) {
	path := cmp.Or(e.options.ProbeBinary, os.Getenv(envProbeBinary))
	if path == "" {
		executable, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = executable
	}
	arch, err := e.arch(ctx)
	if err != nil {
		return "", err
	}
	if err := suits(path, arch); err != nil {
		return "", fmt.Errorf("%s cannot run in a container of this engine (linux/%s): %w; name a static stagehand for it with %s", path, arch, err, envProbeBinary)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest, size, err := identify(file)
	if err != nil {
		return "", err
	}
	tag := probeImage + ":" + digest
	if _, err := e.api.ImageInspect(ctx, tag); !cerrdefs.IsNotFound(err) {
		return tag, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return tag, e.importProgram(ctx, tag, file, size)
}

// identify returns what tells the program from others, and its size. Go's
// linker notes a hash of what it linked; where it was told not to, all is read,
// which takes 70 ms for 26 MB.
func identify(file *os.File) (string, int64, error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	program, err := elf.NewFile(file)
	if err != nil {
		return "", 0, err
	}
	var note []byte
	if section := program.Section(".note.go.buildid"); section != nil {
		note, _ = section.Data() // what cannot be read is not used
	}
	if len(note) < minBuildID {
		if _, err := io.Copy(hash, file); err != nil {
			return "", 0, err
		}
	}
	fmt.Fprintf(hash, "%d %x", info.Size(), note)
	return hex.EncodeToString(hash.Sum(nil)[:8]), info.Size(), nil
}

// minBuildID is the least length of a note that holds an ID: 16 bytes are its heading.
const minBuildID = 16 + 40

// importProgram makes an image of nothing but the program.
func (e *Engine) importProgram(ctx context.Context, tag string, program io.Reader, size int64) error {
	reader, writer := io.Pipe()
	var packing sync.WaitGroup
	packing.Go(func() {
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: probeProgram[1:], Mode: 0o755, Size: size})
		if err == nil {
			_, err = io.Copy(archive, program)
		}
		writer.CloseWithError(errors.Join(err, archive.Close()))
	})
	defer packing.Wait()
	defer reader.Close()
	body, err := e.api.ImageImport(ctx, image.ImportSource{Source: reader, SourceName: "-"}, tag, image.ImportOptions{
		Message: "stagehand's probe", Changes: []string{"LABEL " + containers.LabelRole + "=" + containers.RoleProbe},
	})
	if err != nil {
		return err
	}
	return errors.Join(readPull(body, nil), body.Close())
}

// suits tells why the program cannot run in an image of nothing else.
func suits(path, arch string) error {
	program, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("it is not a Linux program: %w", err)
	}
	defer func() { _ = program.Close() }() // only read
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return errors.New("it is not linked statically (build with CGO_ENABLED=0)")
		}
	}
	want, known := map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "386": elf.EM_386,
		"ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "riscv64": elf.EM_RISCV,
	}[arch]
	if known && program.Machine != want {
		return fmt.Errorf("it is for another processor (%s)", program.Machine)
	}
	return nil
}

// removeProbes removes all probes on the network, those of other processes
// too, since the network is about to go.
func (e *Engine) removeProbes(ctx context.Context, n network.Inspect) error {
	found, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("network", n.ID), filters.Arg("label", containers.LabelRole+"="+containers.RoleProbe),
	)})
	if err != nil {
		return failed(ctx, err, "probes of network %s", n.Name)
	}
	for _, summary := range found {
		if err := e.Destroy(ctx, summary.ID); err != nil {
			return err
		}
	}
	e.probes.forget(n.ID)
	return nil
}

// removeOwnProbes removes the probes that this connection made, and keeps it
// from making more.
func (e *Engine) removeOwnProbes(ctx context.Context) error {
	e.probes.mu.Lock()
	entries := e.probes.byNetwork
	e.probes.byNetwork, e.probes.closed = nil, true
	e.probes.mu.Unlock()
	var errs []error
	for _, entry := range entries {
		entry.busy <- struct{}{} // a creation under way ends with its own ctx
		if entry.id != "" {
			errs = append(errs, e.Destroy(ctx, entry.id))
			entry.id = ""
		}
		<-entry.busy
	}
	return errors.Join(errs...)
}

// execStream is the probe's standard input and output over an attached exec.
type execStream struct {
	attached types.HijackedResponse
	left     uint32 // bytes of the present frame that are still to be read
	said     limitedText
	once     sync.Once
}

// Read gives what the probe wrote to its standard output.
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
		if _, err := io.CopyN(&s.said, s.attached.Reader, int64(size)); err != nil {
			return 0, err
		}
	}
	n, err := s.attached.Reader.Read(p[:min(len(p), int(s.left))])
	s.left -= uint32(n)
	return n, err
}

func (s *execStream) Write(p []byte) (int, error) { return s.attached.Conn.Write(p) }

func (s *execStream) Close() error {
	s.once.Do(s.attached.Close)
	return nil
}

// limitedText keeps the first 4 KiB of what is written to it.
type limitedText struct{ strings.Builder }

func (t *limitedText) Write(p []byte) (int, error) {
	if rest := 4096 - t.Len(); rest > 0 {
		t.Builder.Write(p[:min(rest, len(p))])
	}
	return len(p), nil
}
