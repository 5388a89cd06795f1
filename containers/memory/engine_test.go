package memory_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

// What the contract cannot ask of every engine, because only this one has it
// or because it takes time that only a fake clock gives.

func newEngine(t *testing.T, programs map[string]memory.Program) *memory.Engine {
	all := map[string]memory.Program{image: actor.Main}
	for ref, p := range programs {
		all[ref] = p
	}
	e := memory.New(memory.Options{Images: all, HostFiles: []containers.File{{Path: "/srv/conf", Content: []byte("from the host\n")}}})
	t.Cleanup(e.Halt)
	return e
}

func spec(name, command string) containers.Spec {
	return containers.Spec{Name: name, Image: image, Command: strings.Fields(command)}
}

func start(t *testing.T, e *memory.Engine, s containers.Spec) {
	t.Helper()
	if _, err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), s.Name); err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, e *memory.Engine, s containers.Spec) (containers.Status, string) {
	t.Helper()
	start(t, e, s)
	status, err := e.Wait(t.Context(), s.Name)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := e.Logs(t.Context(), s.Name, containers.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text)
}

func TestPanicIsExitCode2(t *testing.T) {
	e := newEngine(t, map[string]memory.Program{"broken": func(context.Context, *memory.Process) int { panic("oh no") }})
	status, log := finish(t, e, containers.Spec{Name: "a", Image: "broken"})
	if status.ExitCode != 2 || log != "panic: oh no\n" {
		t.Errorf("exit code %d, log %q", status.ExitCode, log)
	}
}

func TestUnfinishedLineIsKept(t *testing.T) {
	e := newEngine(t, map[string]memory.Program{"p": func(_ context.Context, p *memory.Process) int {
		fmt.Fprint(p.Stdout, "one\ntw")
		fmt.Fprint(p.Stdout, "o, no end")
		return 0
	}})
	if _, log := finish(t, e, containers.Spec{Name: "a", Image: "p"}); log != "one\ntwo, no end" {
		t.Errorf("log %q", log)
	}
}

func TestArgumentsOfImageAndExec(t *testing.T) {
	e := newEngine(t, map[string]memory.Program{"p": func(ctx context.Context, p *memory.Process) int {
		fmt.Fprintf(p.Stdout, "%s %q\n", p.Name, p.Args)
		if len(p.Args) == 1 && p.Args[0] == "stay" {
			<-ctx.Done()
		}
		return 0
	}})
	_, log := finish(t, e, containers.Spec{Name: "a", Image: "p", Command: []string{"x", "y z"}})
	if log != "/program [\"x\" \"y z\"]\n" {
		t.Errorf("the image's own entrypoint: %q", log)
	}
	_, log = finish(t, e, containers.Spec{Name: "b", Image: "p", Entrypoint: []string{"/bin/sh", "-c"}, Command: []string{"x"}})
	if log != "/bin/sh [\"-c\" \"x\"]\n" {
		t.Errorf("the spec's entrypoint: %q", log)
	}
	start(t, e, containers.Spec{Name: "c", Image: "p", Command: []string{"stay"}})
	var output strings.Builder
	if code, err := e.Exec(t.Context(), "c", []string{"psql", "-c", "select 1"}, &output); err != nil || code != 0 || output.String() != "psql [\"-c\" \"select 1\"]\n" {
		t.Errorf("exec: %d %v %q", code, err, output.String())
	}
}

func TestImages(t *testing.T) {
	ctx := t.Context()
	e := memory.New(memory.Options{Registry: map[string]memory.Program{"far": actor.Main}})
	t.Cleanup(e.Halt)
	s := containers.Spec{Name: "a", Image: "far", Command: []string{"exit", "3"}}
	if _, err := e.Create(ctx, s); !errors.Is(err, containers.ErrImage) {
		t.Errorf("create before the pull: %v", err)
	}
	if _, err := e.EnsureImage(ctx, "far", "", containers.PullNever, nil); !errors.Is(err, containers.ErrImage) {
		t.Errorf("never pull: %v", err)
	}
	var told []string
	first, err := e.EnsureImage(ctx, "far", "", "", func(line string) { told = append(told, line) })
	if err != nil || len(told) != 1 {
		t.Fatalf("pull: %v, told %q", err, told)
	}
	e.Push("far", func(context.Context, *memory.Process) int { return 8 })
	for policy, changes := range map[containers.Pull]bool{containers.PullMissing: false, containers.PullNever: false} {
		again, err := e.EnsureImage(ctx, "far", "", policy, nil)
		if err != nil || (again.ID != first.ID) != changes {
			t.Errorf("policy %s after a push: %v, ID %s after %s", policy, err, again.ID, first.ID)
		}
	}
	newer, err := e.EnsureImage(ctx, "far", "", containers.PullAlways, nil)
	if err != nil || newer.ID == first.ID {
		t.Errorf("always pull after a push: %v, ID %s after %s", err, newer.ID, first.ID)
	}
	if status, _ := finish(t, e, s); status.ExitCode != 8 || status.ImageID != newer.ID {
		t.Errorf("the new program: %+v", status)
	}
}

func TestCallsAreCounted(t *testing.T) {
	e := newEngine(t, nil)
	s := spec("a", "exit 0")
	for range 2 {
		_, _ = e.Create(t.Context(), s)
	}
	_ = e.Start(t.Context(), "nothing")
	_ = e.Close()
	calls := e.Calls()
	if calls["Create"] != 2 || calls["Start"] != 1 || calls["Close"] != 1 || calls["Destroy"] != 0 {
		t.Errorf("got %v", calls)
	}
}

func TestPublishedPorts(t *testing.T) {
	ctx, e := t.Context(), newEngine(t, nil)
	published := func(name string, host string) containers.Spec {
		s := spec(name, "listen :80 hello from "+name)
		s.Ports = []containers.Port{{Host: host, Container: 80, Protocol: "tcp"}}
		return s
	}
	host := func(name string) uint16 {
		status, err := e.Status(ctx, name)
		if err != nil || len(status.Ports) != 1 {
			t.Fatalf("%s: %v, ports %v", name, err, status.Ports)
		}
		return status.Ports[0].Host
	}
	start(t, e, published("any", ""))
	start(t, e, published("fixed", "8080"))
	start(t, e, published("range", "8080-8090"))
	if got := [3]uint16{host("any"), host("fixed"), host("range")}; got != [3]uint16{32768, 8080, 8081} {
		t.Errorf("ports %v", got)
	}
	if text := ask(t, e, "host", "localhost:8081"); text != "hello from range\n" {
		t.Errorf("the port answers %q", text)
	}
	taken := published("taken", "8080")
	if _, err := e.Create(ctx, taken); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(ctx, "taken"); !errors.Is(err, containers.ErrConflict) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := e.Destroy(ctx, "fixed"); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(ctx, "taken"); err != nil {
		t.Errorf("a port that is free again: %v", err)
	}
	own := spec("own", "listen :99 on the host")
	own.NetworkMode = "host"
	start(t, e, own)
	if text := ask(t, e, "host", "127.0.0.1:99"); text != "on the host\n" {
		t.Errorf("the host's own port answers %q", text)
	}
}

// ask dials until somebody listens and returns what is said.
func ask(t *testing.T, e *memory.Engine, network, address string) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := e.Dial(t.Context(), network, address)
		if err == nil {
			defer conn.Close()
			text, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			return string(text)
		}
		if !errors.Is(err, containers.ErrUnreachable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestMounts(t *testing.T) {
	e := newEngine(t, nil)
	s := spec("a", "cat /etc/conf then ls /deep then write /deep/er/x text then stat /deep/er/x then remove /deep/er/x then ls /deep/er then append /etc/conf more")
	s.User = "5:6"
	s.Mounts = []containers.Mount{
		{Kind: containers.MountBind, Source: "/srv/conf", Target: "/etc/conf", ReadOnly: true},
		{Kind: containers.MountVolume, Source: "v", Target: "/deep"},
		{Kind: containers.MountTmpfs, Target: "/deep/er"},
	}
	status, log := finish(t, e, s)
	want := "from the host\n\n0644 5 6 5\n\nactor: append: write /etc/conf: permission denied\n"
	if log != want || status.ExitCode != 1 {
		t.Errorf("exit code %d, log\n%s\nwant\n%s", status.ExitCode, log, want)
	}
	s = spec("b", "exit 0")
	s.Mounts = []containers.Mount{{Kind: containers.MountBind, Source: "/nothing", Target: "/x"}}
	if _, err := e.Create(t.Context(), s); !errors.Is(err, containers.ErrInvalid) {
		t.Errorf("a bind of nothing: %v", err)
	}
	s.Mounts[0].CreateHostPath = true
	if _, err := e.Create(t.Context(), s); err != nil {
		t.Errorf("a bind that is made: %v", err)
	}
}

// A program that was killed cannot change anything any more.
func TestKilledProgramIsPowerless(t *testing.T) {
	errs := make(chan error, 4)
	e := newEngine(t, map[string]memory.Program{"p": func(ctx context.Context, p *memory.Process) int {
		<-ctx.Done()
		_, printed := fmt.Fprintln(p.Stdout, "still here")
		_, listened := p.Listen(":80")
		_, dialled := p.Dial(context.Background(), "localhost:80")
		errs <- p.WriteFile("/late", nil)
		errs <- printed
		errs <- listened
		errs <- dialled
		return 0
	}})
	start(t, e, containers.Spec{Name: "a", Image: "p"})
	status, err := e.Stop(t.Context(), "a", 0)
	if err != nil || status.ExitCode != 137 {
		t.Errorf("exit code %d, error %v", status.ExitCode, err)
	}
	if err := <-errs; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	for range 3 {
		if err := <-errs; err == nil {
			t.Error("a killed program could print, listen or dial")
		}
	}
}

func TestRestartBacksOffAndStopEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, nil)
		s := spec("a", "exit 1")
		s.Restart.Policy = "always"
		begin := time.Now()
		start(t, e, s)
		time.Sleep(100*time.Millisecond + 200*time.Millisecond + 400*time.Millisecond + time.Millisecond)
		synctest.Wait()
		status, err := e.Status(t.Context(), "a")
		if err != nil || status.Restarts != 3 || status.State != containers.StateRestarting {
			t.Errorf("after %v: %+v, %v", time.Since(begin), status, err)
		}
		before := time.Now()
		status, err = e.Stop(t.Context(), "a", time.Hour)
		if err != nil || status.State != containers.StateExited || time.Since(before) != 0 {
			t.Errorf("stop took %v: %+v, %v", time.Since(before), status, err)
		}
	})
}

func TestHealthOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, nil)
		s := spec("a", "sleep 50s then write /well yes then sleep 30s then remove /well then forever")
		s.Health = &containers.Healthcheck{
			Test: []string{"CMD", "/actor", "cat", "/well"}, Interval: 10 * time.Second,
			StartPeriod: 45 * time.Second, StartInterval: 2 * time.Second, Retries: 2,
		}
		var seen []string
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		begin := time.Now()
		start(t, e, s)
		err := e.Events(ctx, nil, nil, func(ev containers.Event) {
			seen = append(seen, fmt.Sprint(ev.Health, " ", time.Since(begin)))
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// Failures of the start period do not count. Looks are every 2 s up to
		// 46 s, then every 10 s: well at 56 s; ill from 80 s, seen at 86 s and 96 s.
		want := "[healthy 56s unhealthy 1m36s]"
		if got := fmt.Sprint(seen); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		slow := spec("slow", "forever")
		slow.Health = &containers.Healthcheck{Test: []string{"CMD", "/actor", "forever"}, Interval: time.Second, Timeout: time.Second, Retries: 1}
		start(t, e, slow)
		time.Sleep(3 * time.Second)
		status, err := e.Status(t.Context(), "slow")
		if err != nil || status.Health != containers.HealthUnhealthy || !strings.Contains(status.HealthLog, "timeout") {
			t.Errorf("a check that takes too long: %+v, %v", status, err)
		}
	})
}

func TestConnectionsBlockAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, nil)
		held := make(chan net.Conn, 1)
		e.Push("holder", func(ctx context.Context, p *memory.Process) int {
			l, err := p.Listen("127.0.0.1:0")
			if err != nil || l.Addr().Network() != "tcp" {
				return 1
			}
			far, err := p.Dial(ctx, l.Addr().String())
			if err != nil {
				return 2
			}
			near, err := l.Accept()
			if err != nil {
				return 3
			}
			held <- far
			if half, ok := near.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				return 4
			}
			<-ctx.Done()
			return 0
		})
		if _, err := e.EnsureImage(t.Context(), "holder", "", "", nil); err != nil {
			t.Fatal(err)
		}
		start(t, e, containers.Spec{Name: "a", Image: "holder"})
		conn := <-held
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side has closed its half: %v", err)
		}
		begin := time.Now()
		_ = conn.SetWriteDeadline(begin.Add(time.Minute))
		_, err := conn.Write(make([]byte, 1<<20)) // nobody reads
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("a write that nobody reads: %v after %v", err, time.Since(begin))
		}
		_ = conn.SetWriteDeadline(time.Time{})
		if err := e.Destroy(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("a write to a container that is gone")
		}
	})
}

func TestInvalid(t *testing.T) {
	ctx, e := t.Context(), newEngine(t, nil)
	_, err := e.Create(ctx, containers.Spec{Image: image})
	_, volume := e.EnsureVolume(ctx, containers.Volume{})
	for what, err := range map[string]error{
		"a container without name": err, "a volume without name": volume, "a network without name": e.EnsureNetwork(ctx, containers.Network{}),
	} {
		if !errors.Is(err, containers.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := spec("a", "exit 0")
	s.Networks = []containers.Attachment{{Network: "nothing"}}
	if _, err := e.Create(ctx, s); !errors.Is(err, containers.ErrNotFound) {
		t.Errorf("a network that is not there: %v", err)
	}
}
