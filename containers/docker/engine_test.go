package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

// stack makes containers of one test and removes them after it.
type stack struct {
	*testing.T
	*Engine
	id string
}

func newStack(t *testing.T) *stack {
	s := &stack{T: t, Engine: openEngine(t, Options{}), id: containers.Name("docker", t.Name(), fmt.Sprint(os.Getpid()))}
	t.Cleanup(func() {
		ctx := context.Background()
		all, err := s.List(ctx, s.labels())
		s.must(err)
		for _, c := range all {
			s.must(s.Destroy(ctx, c.Name))
		}
		networks, err := s.ListNetworks(ctx, s.labels())
		s.must(err)
		for _, n := range networks {
			s.must(s.RemoveNetwork(ctx, n))
		}
	})
	return s
}

func (s *stack) labels() map[string]string { return map[string]string{containers.LabelStack: s.id} }

func (s *stack) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stack) spec(name, command string) containers.Spec {
	return containers.Spec{Name: containers.Name(s.id, name), Image: actorImage, Command: words(command), Labels: s.labels()}
}

func (s *stack) create(spec containers.Spec) {
	s.Helper()
	_, err := s.Create(s.Context(), spec)
	s.must(err)
}

func (s *stack) output(spec containers.Spec) string {
	s.Helper()
	s.must(s.Start(s.Context(), spec.Name))
	_, err := s.Wait(s.Context(), spec.Name)
	s.must(err)
	logs, err := s.Logs(s.Context(), spec.Name, containers.LogOptions{})
	s.must(err)
	text, err := io.ReadAll(logs)
	s.must(errors.Join(err, logs.Close()))
	return string(text)
}

func TestOpenWithoutAnEngine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	_, err := Open(t.Context(), Options{Endpoint: "unix://" + socket})
	if !errors.Is(err, containers.ErrUnavailable) || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "daemon running") {
		t.Errorf("got %v, want ErrUnavailable that names the socket and says what to do", err)
	}
	if _, err := Open(t.Context(), Options{Endpoint: "no-such-context"}); !errors.Is(err, containers.ErrUnavailable) {
		t.Errorf("an unknown context: %v", err)
	}
}

func TestImageThatIsNowhere(t *testing.T) {
	e := openEngine(t, Options{})
	const ref = "127.0.0.1:1/nobody/nothing:1" // nothing listens there, so there is no waiting
	for policy, want := range map[containers.Pull]string{
		containers.PullNever:   "pull policy is never",
		containers.PullMissing: "does not answer",
	} {
		_, err := e.EnsureImage(t.Context(), ref, "", policy, nil)
		if !errors.Is(err, containers.ErrImage) || !strings.Contains(err.Error(), ref) || !strings.Contains(err.Error(), want) {
			t.Errorf("policy %s: got %v, want ErrImage that names the image and says %q", policy, err, want)
		}
	}
	if _, err := e.EnsureImage(t.Context(), actorImage, "linux/s390x", containers.PullNever, nil); !errors.Is(err, containers.ErrImage) {
		t.Errorf("another platform: %v, want ErrImage", err)
	}
}

func TestHalfMadeContainerIsFinished(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "cat /etc/deep/er/greeting then stat /etc/deep/er/greeting")
	spec.Files = []containers.File{{Path: "/etc/deep/er/greeting", Content: []byte("hello\n"), Mode: 0o640, UID: 7, GID: 8}}
	for _, network := range []string{"one", "two"} {
		name := containers.Name(s.id, network)
		s.must(s.EnsureNetwork(s.Context(), containers.Network{Name: name, Labels: s.labels()}))
		spec.Networks = append(spec.Networks, containers.Attachment{Network: name})
	}
	// What a Create leaves that died after its first call.
	c, err := translate.Spec(spec, s.api.ClientVersion())
	s.must(err)
	_, err = s.api.ContainerCreate(s.Context(), c.Config, c.Host, c.Networking, c.Platform, spec.Name)
	s.must(err)

	s.create(spec)
	if got, want := s.output(spec), "hello\n0640 7 8 6\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	status, err := s.Create(s.Context(), spec)
	s.must(err)
	if len(status.Networks) != 2 || !status.Ended() {
		t.Errorf("afterwards: %+v, want it ended and on both networks", status)
	}
}

func TestFilesOfAReadOnlyContainerAreRefused(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "exit 0")
	spec.ReadOnly = true
	spec.Files = []containers.File{{Path: "/x", Content: []byte("x"), Mode: 0o644}}
	if _, err := s.Create(s.Context(), spec); !errors.Is(err, containers.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestFoldersKeepTheirMode(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "ls / then stat /tmp")
	spec.Files = []containers.File{{Path: "/tmp/x", Content: []byte("x"), Mode: 0o644}}
	s.create(spec)
	if got := s.output(spec); !strings.Contains(got, "0777 0 0") {
		t.Errorf("/tmp after a copy into it: %q, want its mode kept", got)
	}
}

func TestEmptyCommandKeepsTheEntrypoint(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "")
	spec.Command = []string{}
	s.create(spec)
	s.must(s.Start(s.Context(), spec.Name))
	status, err := s.Wait(s.Context(), spec.Name)
	s.must(err)
	if status.ExitCode != 0 { // the actor with nothing to do
		t.Errorf("%s, want exit 0", status.Verdict())
	}
}

func TestGraceBelowASecondIsKept(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "trap SIGTERM 1h exit")
	s.create(spec)
	s.must(s.Start(s.Context(), spec.Name))
	s.awaitLine(spec.Name, "ready")
	begin := time.Now()
	status, err := s.Stop(s.Context(), spec.Name, 200*time.Millisecond)
	s.must(err)
	if status.ExitCode != 137 {
		t.Errorf("%s, want it killed", status.Verdict())
	}
	if ran := status.Finished.Sub(begin); ran < 200*time.Millisecond {
		t.Errorf("killed after %v, want 200ms at least", ran)
	}
}

func (s *stack) awaitLine(name, line string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	logs, err := s.Logs(ctx, name, containers.LogOptions{Follow: true})
	s.must(err)
	defer logs.Close()
	text, buffer := "", make([]byte, 100)
	for !strings.Contains(text, line+"\n") {
		n, err := logs.Read(buffer)
		text += string(buffer[:n])
		s.must(err)
	}
}

func TestFollowedLogGoesOverAllRuns(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "print run then attempt /tmp/runs 3 1 then exit 0")
	spec.Restart = containers.Restart{Policy: "on-failure", Retries: 5}
	s.create(spec)
	// Before the start, so that nothing is missed.
	logs, err := s.Logs(s.Context(), spec.Name, containers.LogOptions{Follow: true})
	s.must(err)
	var text []byte
	var reading sync.WaitGroup
	reading.Go(func() { text, err = io.ReadAll(logs) })
	s.must(s.Start(s.Context(), spec.Name))
	status, waitErr := s.Wait(s.Context(), spec.Name)
	s.must(waitErr)
	reading.Wait()
	s.must(errors.Join(err, logs.Close()))
	if status.ExitCode != 0 || status.Restarts != 2 {
		t.Errorf("%s after %d restarts, want exit 0 after 2", status.Verdict(), status.Restarts)
	}
	if got := strings.Count(string(text), "run\n"); got != 3 {
		t.Errorf("the log has %d runs, want 3: %q", got, text)
	}
}

func TestWaitGoesOnOverALostConnection(t *testing.T) {
	needActor(t)
	socket := newCutter(t)
	s := newStack(t)
	through := openEngine(t, Options{Endpoint: socket.address})
	spec := s.spec("a", "print ready then forever")
	s.create(spec)
	s.must(s.Start(s.Context(), spec.Name))
	s.awaitLine(spec.Name, "ready")
	var status containers.Status
	var err error
	var waiting sync.WaitGroup
	waiting.Go(func() { status, err = through.Wait(s.Context(), spec.Name) })
	// Connections break, but the engine still answers.
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		socket.drop()
	}
	_, stopErr := s.Stop(s.Context(), spec.Name, 0)
	s.must(stopErr)
	waiting.Wait()
	s.must(err)
	if status.ExitCode != 137 {
		t.Errorf("%s, want it killed", status.Verdict())
	}
}

func TestStaleAndForeignNames(t *testing.T) {
	s := newStack(t)
	spec := s.spec("a", "forever")
	s.create(spec)
	status, err := s.Status(s.Context(), spec.Name)
	s.must(err)
	if _, err := s.Status(s.Context(), status.ID[:10]); !errors.Is(err, containers.ErrNotFound) {
		t.Errorf("the first digits of an ID: got %v, want ErrNotFound: they are no name", err)
	}
	spec.Labels = map[string]string{containers.LabelStack: s.id, containers.LabelSpec: "other"}
	if _, err := s.Create(s.Context(), spec); !errors.Is(err, containers.ErrConflict) {
		t.Errorf("another spec: got %v, want ErrConflict", err)
	}
}

// TestAHelpersEndAsHeard: what is heard of a helper's end is what the engine says of it afterwards.
func TestAHelpersEndAsHeard(t *testing.T) {
	needActor(t)
	s := newStack(t)
	for i := range 5 {
		for _, code := range []int{0, 3} {
			spec := s.spec(fmt.Sprint("job", i, "-", code), fmt.Sprint("print hello then exit ", code))
			spec.Labels[containers.LabelRole] = containers.RoleHelper
			s.create(spec)
			s.must(s.Start(t.Context(), spec.Name))
			reader, err := s.Logs(t.Context(), spec.Name, containers.LogOptions{Follow: true})
			s.must(err)
			heard, err := s.Wait(t.Context(), spec.Name)
			s.must(err)
			text, err := io.ReadAll(reader)
			s.must(errors.Join(err, reader.Close()))
			if string(text) != "hello\n" {
				t.Errorf("it printed %q", text)
			}
			seen, err := s.Status(t.Context(), spec.Name)
			s.must(err)
			if heard.ID != seen.ID || heard.Name != seen.Name || heard.State != seen.State || heard.ExitCode != code || seen.ExitCode != code ||
				heard.OOMKilled != seen.OOMKilled || heard.Error != seen.Error || heard.ImageID != seen.ImageID || !maps.Equal(heard.Labels, seen.Labels) {
				t.Errorf("heard %+v, seen %+v", heard, seen)
			}
			if heard.Started.IsZero() || heard.Finished.Before(heard.Started) {
				t.Errorf("from %s to %s", heard.Started, heard.Finished)
			}
		}
	}
}

// What a helper prints is read ahead of its start wherever the engine is reached without anything in between.
func TestHelpersAreReadAhead(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if !strings.HasPrefix(s.api.DaemonHost(), "unix:") {
		t.Skip("the engine is reached through a network")
	}
	spec := s.spec("job", "exit 0")
	spec.Labels[containers.LabelRole] = containers.RoleHelper
	s.create(spec)
	reader, err := s.Logs(t.Context(), spec.Name, containers.LogOptions{Follow: true, Ahead: true})
	s.must(err)
	s.must(reader.Close())
}
