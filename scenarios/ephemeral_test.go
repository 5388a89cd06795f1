package scenarios

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gone is how soon nothing of an ephemeral run may be left after its runner's death.
// An engine that is busy with other tests may once take longer, but not for ever.
const (
	gone    = 5 * time.Second
	forEver = 4 * gone
)

const ephemeralFile = `
name: %s
services:
  seed:  {image: %[2]s, command: [append, /data/log, seed], volumes: ["data:/data"]}
  db:    {image: %[2]s, command: [http, ":80"], volumes: ["data:/data", "/anonymous"], stop_grace_period: 10m}
  setup: {image: %[2]s, command: [sleep, 300ms], networks: [default, back]}
  api:   {image: %[2]s, command: [http, ":80"], networks: [default, back]}
volumes: {data: , more: }
networks: {back: }
stages:
  - {name: seed, run: seed}
  - {name: db, start: db, ready: {http: "http://db/"}}
  - {name: setup, run: setup}
  - {name: api, start: api, ready: {http: "http://api/"}}
`

// fleeting is a file whose ephemeral runs are under test.
type fleeting struct {
	t    *testing.T
	name string // what the names of the runs' stacks begin with
	file string
	dir  string
	env  []string
}

func newFleeting(t *testing.T, name string) *fleeting {
	t.Helper()
	f := &fleeting{t: t, name: fmt.Sprintf("ep%d-%s", os.Getpid(), name), dir: t.TempDir()}
	f.file = filepath.Join(f.dir, "stagehand.yaml")
	if err := os.WriteFile(f.file, fmt.Appendf(nil, ephemeralFile, f.name, actorImage), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, kind := range []string{"container", "network", "volume"} { // after a failure
			for _, name := range f.left(kind) {
				t.Errorf("left on the engine: %s %s", kind, name)
				args := []string{kind, "rm", name}
				if kind == "container" {
					args = []string{kind, "rm", "--force", "--volumes", name}
				}
				_ = exec.Command("docker", args...).Run()
			}
		}
	})
	return f
}

func (f *fleeting) docker(args ...string) string {
	f.t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		f.t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// left is what the engine has of the file's ephemeral runs.
func (f *fleeting) left(kind string) []string {
	f.t.Helper()
	args := []string{kind, "ls", "--filter", "label=dev.stagehand.ephemeral=true"}
	name := "{{.Name}}"
	if kind == "container" {
		args, name = append(args, "--all"), "{{.Names}}"
	}
	out, err := exec.Command("docker", append(args, "--format", `{{.Label "dev.stagehand.stack"}} `+name)...).Output()
	if err != nil {
		f.t.Fatalf("docker %s ls: %v", kind, err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		stack, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if stack == f.name || strings.HasPrefix(stack, f.name+"-") {
			found = append(found, name)
		}
	}
	return found
}

func (f *fleeting) all() []string {
	return slices.Concat(f.left("container"), f.left("network"), f.left("volume"))
}

// process is one stagehand up --ephemeral, the leader of a group of its own.
type process struct {
	*exec.Cmd
	out  *bytes.Buffer
	log  string // the file that it prints to
	done chan error
}

func (f *fleeting) up(args ...string) *process {
	f.t.Helper()
	p := &process{Cmd: exec.Command(program, append([]string{"up", "--ephemeral", "-f", f.file, "--ledger", filepath.Join(f.dir, "ledger.db")}, args...)...)}
	p.out, p.done = &bytes.Buffer{}, make(chan error, 1)
	// A file and not a pipe: the test is not to wait for whoever else holds it.
	log, err := os.Create(filepath.Join(f.t.TempDir(), "out"))
	if err != nil {
		f.t.Fatal(err)
	}
	p.log = log.Name()
	p.Stdout, p.Stderr = log, log
	p.Env = append(os.Environ(), f.env...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		err := p.Wait()
		_, _ = log.Seek(0, io.SeekStart)
		_, _ = io.Copy(p.out, log)
		_ = log.Close()
		p.done <- err
	}()
	f.t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// awaitDone waits until the runs themselves say that their stages are done.
func (f *fleeting) awaitDone(runs ...*process) {
	f.t.Helper()
	for _, p := range runs {
		eventually(f.t, func() string {
			if text := readFile(f.t, p.log); !strings.Contains(text, ": done after") {
				return "not done:\n" + text
			}
			return ""
		})
	}
}

// awaitUp waits until n services of the file's runs stand and serve.
func (f *fleeting) awaitUp(n int) {
	f.t.Helper()
	eventually(f.t, func() string {
		out, err := exec.Command("docker", "ps", "--filter", "label=dev.stagehand.step=api", "--filter", "label=dev.stagehand.ephemeral=true",
			"--format", `{{.Label "dev.stagehand.stack"}}`).Output()
		if err != nil {
			return err.Error()
		}
		if got := strings.Count(string(out), f.name+"-"); got < n {
			return fmt.Sprintf("%d of %d are up", got, n)
		}
		return ""
	})
}

// kill kills the runner and tells how long the engine had something of it.
func (f *fleeting) kill(p *process, kill func(pid int) error) time.Duration {
	f.t.Helper()
	if err := kill(p.Process.Pid); err != nil {
		f.t.Fatal(err)
	}
	died := time.Now()
	<-p.done
	var left []string
	for {
		if left = f.all(); len(left) == 0 {
			return time.Since(died)
		}
		if time.Since(died) > forEver {
			f.t.Fatalf("%s after the runner's death: %v\n%s", forEver, left, p.out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// watchers counts the watching processes of this test's program whose
// environment has the variable; "" asks for all.
func watchers(t *testing.T, variable string) int {
	t.Helper()
	lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil || !bytes.Equal(text, []byte(program+"\x00reap\x00")) {
			continue
		}
		environ, err := os.ReadFile(filepath.Join(filepath.Dir(list), "environ"))
		if err == nil && bytes.Contains(environ, []byte(variable)) {
			n++
		}
	}
	return n
}

func awaitNoWatchers(t *testing.T, variable string) {
	t.Helper()
	eventually(t, func() string {
		if n := watchers(t, variable); n > 0 {
			return fmt.Sprintf("%d watching processes go on", n)
		}
		return ""
	})
}

func only(pid int) error  { return syscall.Kill(pid, syscall.SIGKILL) }
func group(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
func hangUp(pid int) error {
	err := errors.Join(syscall.Kill(-pid, syscall.SIGHUP), syscall.Kill(-pid, syscall.SIGINT), syscall.Kill(-pid, syscall.SIGKILL))
	if errors.Is(err, syscall.ESRCH) {
		return nil // the first one was enough
	}
	return err
}

// Not parallel to other tests: it measures.
func TestNothingOfAnEphemeralRunOutlivesItsKilledRunner(t *testing.T) {
	f := newFleeting(t, "killed")
	ways := []struct {
		name string
		kill func(int) error
	}{{"the runner", only}, {"its group", group}, {"its group, after SIGHUP and SIGINT", hangUp}}
	var all []time.Duration
	for i := range 15 {
		way, moment := ways[i%len(ways)], time.Duration(i)*70*time.Millisecond
		p := f.up()
		if i > 2 { // else before there is anything
			eventually(t, func() string {
				if len(f.all()) == 0 {
					return "nothing is made"
				}
				return ""
			})
		}
		time.Sleep(moment)
		seen := len(f.all())
		took := f.kill(p, way.kill)
		all = append(all, took)
		t.Logf("%s killed with %d things on the engine: gone after %s", way.name, seen, took.Round(time.Millisecond))
	}
	for _, way := range ways {
		p := f.up()
		f.awaitUp(1)
		var volumes []string // those without a name of ours among them
		for _, name := range f.left("container") {
			mounts := f.docker("inspect", "--format", "{{json .Mounts}} {{json .HostConfig.Binds}}", name)
			if strings.Contains(mounts, "docker.sock") {
				t.Errorf("%s has the engine's socket: %s", name, mounts)
			}
			volumes = append(volumes, strings.Fields(f.docker("inspect", "--format", `{{range .Mounts}}{{.Name}} {{end}}`, name))...)
		}
		took := f.kill(p, way.kill)
		if len(volumes) != 2 {
			t.Errorf("the stack mounts %v, want a named and an anonymous volume", volumes)
		}
		for _, v := range volumes {
			if f.docker("volume", "ls", "--quiet", "--filter", "name="+v) != "" {
				t.Errorf("volume %s is left", v)
			}
		}
		all = append(all, took)
		t.Logf("%s killed while it served: gone after %s", way.name, took.Round(time.Millisecond))
	}
	slices.Sort(all)
	t.Logf("the median: %s, the longest: %s", all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	if second := all[len(all)-2]; second > gone {
		t.Errorf("more than one took longer than %s: %v", gone, all)
	}
	awaitNoWatchers(t, "")
	if left := f.all(); len(left) > 0 {
		t.Errorf("came later: %v", left)
	}
	if leases := f.docker("ps", "--all", "--filter", "label=dev.stagehand.lease", "--filter", "name="+f.name, "--format", "{{.Names}} {{.Status}}"); leases != "" {
		t.Errorf("leases are left: %s", leases)
	}
	found, err := command(t.Context(), nil, program, "gc", "--dry-run", "--older", "0s")
	if err != nil || strings.Contains(found, f.name) {
		t.Errorf("gc finds %v\n%s", err, found)
	}
}

func TestEphemeralRunsOfOneFileDoNotMeet(t *testing.T) {
	t.Parallel()
	f := newFleeting(t, "two")
	first, second := f.up(), f.up("--attach")
	f.awaitDone(first, second)
	_ = first.Process.Signal(os.Interrupt)
	if err := <-first.done; err != nil {
		t.Errorf("the first: %v\n%s", err, first.out)
	}
	if got := len(f.left("container")); got != 2 {
		t.Errorf("the second has %d containers, want its 2: %v", got, f.all())
	}
	if got := len(f.left("volume")); got != 1 {
		t.Errorf("the second has %d volumes, want 1", got)
	}
	_ = second.Process.Signal(os.Interrupt)
	if err := <-second.done; err != nil {
		t.Errorf("the second: %v\n%s", err, second.out)
	}
	if left := f.all(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAWatchingProcessWaitsForAnEngineThatIsAway(t *testing.T) {
	t.Parallel()
	f := newFleeting(t, "away")
	gate := newGate(t)
	f.env = []string{"DOCKER_HOST=unix://" + gate.path}
	p := f.up()
	f.awaitUp(1)
	gate.shut()
	if err := only(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	<-p.done
	time.Sleep(3 * time.Second) // it fails meanwhile, however often
	if len(f.left("container")) == 0 {
		t.Fatal("the gate does not keep anybody out")
	}
	gate.open()
	opened := time.Now()
	for left := f.all(); len(left) > 0; left = f.all() {
		if time.Since(opened) > forEver {
			t.Fatalf("%s after the engine came back: %v", forEver, left)
		}
		time.Sleep(20 * time.Millisecond)
	}
	awaitNoWatchers(t, gate.path) // which needs the gate
}

// gate is a socket before the engine's that can be shut.
type gate struct {
	path string
	mu   sync.Mutex
	off  bool
	live map[net.Conn]bool
}

func newGate(t *testing.T) *gate {
	t.Helper()
	engine := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if engine == "" {
		engine = "/var/run/docker.sock"
	}
	dir, err := os.MkdirTemp("", "ep") // short: a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{path: filepath.Join(dir, "s"), live: map[net.Conn]bool{}}
	listener, err := net.Listen("unix", g.path)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { g.pass(near, engine) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.shut()
		serving.Wait()
		_ = os.RemoveAll(dir)
	})
	return g
}

func (g *gate) pass(near net.Conn, engine string) {
	defer near.Close()
	far, err := net.Dial("unix", engine)
	if err != nil {
		return
	}
	defer far.Close()
	g.mu.Lock()
	if g.off {
		g.mu.Unlock()
		return
	}
	g.live[near], g.live[far] = true, true
	g.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() {
		_, _ = io.Copy(far, near)
		_ = far.(*net.UnixConn).CloseWrite()
	})
	_, _ = io.Copy(near, far)
	_ = near.Close()
	ways.Wait()
	g.mu.Lock()
	delete(g.live, near)
	delete(g.live, far)
	g.mu.Unlock()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.off = true
	for c := range g.live {
		_ = c.Close()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.off = false
}
