package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/probeimage"
)

// buildProbe builds a program of nothing but the probe, once in this process.
var buildProbe = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "probe")
	if err != nil {
		return "", err
	}
	atExit = append(atExit, func() { _ = os.RemoveAll(folder) })
	binary := filepath.Join(folder, "stagehand")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return binary, nil
})

// dialStack is a network with one container that echoes and one that answers, seen
// through an engine that dials directly or through a probe.
type dialStack struct {
	*testing.T
	engine  *Engine
	network string
}

func newDialStack(t *testing.T, force bool) *dialStack {
	needActor(t)
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	engine := openEngine(t, Options{ForceProbe: force, ProbeBinary: binary})
	id := containers.Name("dialtest", strings.ReplaceAll(t.Name(), "/", "-"), fmt.Sprint(os.Getpid()))
	s := &dialStack{T: t, engine: engine, network: id}
	s.begin()
	return s
}

// begin makes the network; it and the containers go with the test.
func (s *dialStack) begin() {
	s.Helper()
	labels := map[string]string{containers.LabelStack: s.network}
	s.must(s.engine.EnsureNetwork(s.Context(), containers.Network{Name: s.network, Labels: labels}))
	s.Cleanup(func() {
		ctx := context.Background()
		all, err := s.engine.List(ctx, labels)
		s.must(err)
		for _, c := range all {
			if c.Labels[containers.LabelRole] != containers.RoleProbe {
				s.must(s.engine.Destroy(ctx, c.Name))
			}
		}
		s.must(s.engine.RemoveNetwork(ctx, s.network))
	})
}

// probes counts those on the network.
func (s *dialStack) probes() int {
	s.Helper()
	all, err := s.engine.List(context.Background(), map[string]string{
		containers.LabelRole: containers.RoleProbe, containers.LabelStack: s.network,
	})
	s.must(err)
	return len(all)
}

func (s *dialStack) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run starts a container under the alias.
func (s *dialStack) run(alias, command string) string {
	s.Helper()
	name := containers.Name(s.network, alias)
	_, err := s.engine.Create(s.Context(), containers.Spec{
		Name: name, Image: actorImage, Command: words(command),
		Networks: []containers.Attachment{{Network: s.network, Aliases: []string{alias}}},
		Labels:   map[string]string{containers.LabelStack: s.network},
	})
	s.must(err)
	s.must(s.engine.Start(s.Context(), name))
	return name
}

// dial tries until the address answers or the test's patience is over.
func (s *dialStack) dial(address string) net.Conn {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for pause := (backoff.Backoff{}); ; {
		conn, err := s.engine.Dial(ctx, s.network, address)
		if err == nil {
			return conn
		}
		if !errors.Is(err, containers.ErrUnreachable) || pause.Wait(ctx) != nil {
			s.Fatal(err)
		}
	}
}

func (s *dialStack) roundTrip(address, text string) {
	s.Helper()
	conn := s.dial(address)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, text+"\n")
	s.must(err)
	got, err := bufio.NewReader(conn).ReadString('\n')
	s.must(err)
	if got != text+"\n" {
		s.Errorf("%s answered %q, want %q", address, got, text)
	}
}

func (s *dialStack) refuses(address string) {
	s.Helper()
	conn, err := s.engine.Dial(s.Context(), s.network, address)
	if conn != nil {
		conn.Close()
	}
	if !errors.Is(err, containers.ErrUnreachable) {
		s.Errorf("%s: got %v, want ErrUnreachable", address, err)
	}
}

func TestDial(t *testing.T) {
	for _, way := range []struct {
		name  string
		force bool
	}{{"direct", false}, {"through the probe", true}} {
		t.Run(way.name, func(t *testing.T) { testDial(newDialStack(t, way.force)) })
	}
}

func testDial(s *dialStack) {
	name := s.run("echo", "listen :7000")
	for _, host := range []string{"echo", name, name + "." + s.network} {
		s.roundTrip(host+":7000", "hello "+host)
	}
	status, err := s.engine.Status(s.Context(), name)
	s.must(err)
	s.roundTrip(status.ID[:12]+":7000", "by short id")
	s.roundTrip(net.JoinHostPort(status.Networks[s.network], "7000"), "by address")
	s.refuses("echo:7001")
	s.refuses("nobody:7000")
	s.halfClose("echo:7000")
	s.much("echo:7000")
	s.deadline("echo:7000")

	// Another container takes the name: its address is another one.
	s.must(s.engine.Destroy(s.Context(), name))
	s.refuses("echo:7000")
	other := s.run("other", "listen :7000 impostor") // most likely gets the old address
	s.refuses("echo:7000")
	s.run("echo", "listen :7000 second")
	conn := s.dial("echo:7000")
	defer conn.Close()
	got, err := io.ReadAll(io.LimitReader(conn, 6))
	s.must(err)
	if string(got) != "second" {
		s.Errorf("echo answered %q after it was made anew", got)
	}
	s.must(s.engine.Destroy(s.Context(), other))
}

// halfClose: what was sent before CloseWrite comes back after it, then the end.
func (s *dialStack) halfClose(address string) {
	s.Helper()
	conn := s.dial(address)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, "last words\n")
	s.must(err)
	s.must(conn.(interface{ CloseWrite() error }).CloseWrite())
	got, err := io.ReadAll(conn)
	s.must(err)
	if string(got) != "last words\n" {
		s.Errorf("after a half-close: got %q", got)
	}
}

// much sends more than all buffers on the way hold.
func (s *dialStack) much(address string) {
	s.Helper()
	const line, lines = 1000, 4000
	conn := s.dial(address)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	var sending sync.WaitGroup
	sending.Go(func() {
		text := strings.Repeat("y", line-1) + "\n"
		for range lines {
			if _, err := io.WriteString(conn, text); err != nil {
				s.Error(err)
				return
			}
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			s.Error(err)
		}
	})
	n, err := io.Copy(io.Discard, conn)
	sending.Wait()
	s.must(err)
	if n != line*lines {
		s.Errorf("got %d bytes back of %d", n, line*lines)
	}
}

func (s *dialStack) deadline(address string) {
	s.Helper()
	conn := s.dial(address)
	defer conn.Close()
	s.must(conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		s.Errorf("read past its deadline: %v, want a timeout", err)
	}
}

func TestProbeIsOnePerNetworkAndGoesWithIt(t *testing.T) {
	s := newDialStack(t, true)
	s.run("echo", "listen :7000")
	var dials sync.WaitGroup
	for range 4 {
		dials.Go(func() { s.roundTrip("echo:7000", "side by side") })
	}
	dials.Wait()
	if n := s.probes(); n != 1 {
		t.Errorf("%d probes after four dials, want 1", n)
	}
	// One that is gone is made anew.
	all, err := s.engine.List(t.Context(), map[string]string{containers.LabelRole: containers.RoleProbe, containers.LabelStack: s.network})
	s.must(err)
	s.must(s.engine.Destroy(t.Context(), all[0].ID))
	s.roundTrip("echo:7000", "again")
	s.must(s.engine.dialer.Close(t.Context()))
	if n := s.probes(); n != 0 {
		t.Errorf("%d probes after the engine was closed, want 0", n)
	}
}

func TestProbeBinaryThatCannotRunSaysWhatToDo(t *testing.T) {
	engine := openEngine(t, Options{ForceProbe: true, ProbeBinary: "dial_test.go"})
	name := containers.Name("dialtest", "unfit", fmt.Sprint(os.Getpid()))
	ctx := t.Context()
	if err := engine.EnsureNetwork(ctx, containers.Network{Name: name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.RemoveNetwork(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	_, err := engine.Dial(ctx, name, "x:1")
	if err == nil || errors.Is(err, containers.ErrUnreachable) || !strings.Contains(err.Error(), probeimage.Variable) {
		t.Errorf("got %v, want an error that is not ErrUnreachable and names %s", err, probeimage.Variable)
	}
}
