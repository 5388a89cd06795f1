package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// testRemote runs the calls that a run needs on the engine that the
// environment names, which is not behind a socket of this host; the ones that
// take a connection over for themselves, those of logs, exec, dial and lease,
// are what proxies and tunnels get wrong.
func testRemote(t *testing.T) {
	t.Helper()
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	s := &dialStack{T: t, engine: openEngine(t, Options{ProbeBinary: binary}), network: containers.Name("remote", t.Name(), fmt.Sprint(os.Getpid()))}
	if path := s.engine.endpoint.SocketPath(); path != "" {
		t.Fatalf("the engine is behind the socket %s, so this tests nothing", path)
	}
	s.begin()
	name := s.run("echo", "print begun then listen :7000")

	follow, err := s.engine.Logs(t.Context(), name, containers.LogOptions{Follow: true})
	s.must(err)
	first := make([]byte, len("begun\nready\n"))
	_, err = io.ReadFull(follow, first)
	s.must(err)
	if string(first) != "begun\nready\n" {
		t.Errorf("the log begins with %q", first)
	}

	var output bytes.Buffer
	code, err := s.engine.Exec(t.Context(), name, words("/actor print inside then exit 7"), &output)
	s.must(err)
	if code != 7 || output.String() != "inside\n" {
		t.Errorf("exec: exit code %d, output %q", code, output.String())
	}

	s.roundTrip("echo:7000", "from afar")
	s.halfClose("echo:7000")
	s.much("echo:7000")
	s.deadline("echo:7000")
	s.refuses("echo:7001")
	if n := s.probes(); n != 1 {
		t.Errorf("%d probes after dials to an engine that is not of this host, want 1", n)
	}

	s.lease()
	s.waitEnds(name)
	rest, err := io.ReadAll(follow)
	s.must(errors.Join(err, follow.Close()))
	if len(rest) != 0 {
		t.Errorf("the log went on with %q", rest)
	}
}

// lease takes a lease, sees it held, and gives it back.
func (s *dialStack) lease() {
	s.Helper()
	lease, err := s.engine.Lease(s.Context(), s.network, containers.Holder{Run: "remote"})
	s.must(err)
	var held *containers.HeldError
	if _, err := s.engine.Lease(s.Context(), s.network, containers.Holder{Run: "second"}); !errors.As(err, &held) || held.Holder.Run != "remote" {
		s.Errorf("the second lease: %v, want it held by the first", err)
	}
	s.must(lease.Release(s.Context()))
	if _, err := s.engine.LeaseHolder(s.Context(), s.network); !errors.Is(err, containers.ErrNotFound) {
		s.Errorf("after its release: %v, want ErrNotFound", err)
	}
}

// waitEnds: a wait that is over gives its connection back, and one that goes
// on tells of the end.
func (s *dialStack) waitEnds(name string) {
	s.Helper()
	short, cancel := context.WithTimeout(s.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.engine.Wait(short, name); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("a wait that is cut short: %v, want its ctx's error", err)
	}
	var status containers.Status
	var err error
	var waiting sync.WaitGroup
	waiting.Go(func() { status, err = s.engine.Wait(s.Context(), name) })
	_, stopErr := s.engine.Stop(s.Context(), name, 0)
	waiting.Wait()
	s.must(errors.Join(stopErr, err))
	if status.ExitCode != 137 || !strings.HasSuffix(status.Name, "echo") {
		s.Errorf("wait: %s %s, want it killed", status.Name, status.Verdict())
	}
}
