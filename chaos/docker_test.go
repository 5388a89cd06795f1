package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
)

// host is an engine that real stagehands work on.
type host struct {
	t      *testing.T
	socket string // a path
	// program is the built stagehand.
	program string
}

// buildProgram builds stagehand, once in this process.
var buildProgram = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "stagehand")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../cmd/stagehand")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

// buildActor makes the actor's image archive, once.
var buildActor = sync.OnceValues(func() ([]byte, error) { return actor.Tar(context.Background(), actorImage) })

// removeBuilt is for the end of all tests.
func removeBuilt() {
	if program, err := buildProgram(); err == nil {
		_ = os.RemoveAll(filepath.Dir(program))
	}
}

// newHost prepares an engine: its socket, the program and the image.
func newHost(t *testing.T, socket string) *host {
	t.Helper()
	program, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, socket: socket, program: program}
	archive, err := buildActor()
	if err != nil {
		t.Fatal(err)
	}
	load := h.command("load", "--quiet")
	load.Stdin = bytes.NewReader(archive)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("no engine answers (make engine brings one; STAGEHAND_NO_ENGINE=1 skips these tests): %v\n%s", err, out)
	}
	return h
}

// localEngine is the engine at hand, behind its socket.
func localEngine(t *testing.T) string {
	t.Helper()
	if os.Getenv("STAGEHAND_NO_ENGINE") == "1" {
		t.Skip("STAGEHAND_NO_ENGINE=1: not tested against an engine")
	}
	endpoint := os.Getenv("DOCKER_HOST")
	if endpoint == "" {
		endpoint = "unix:///var/run/docker.sock"
	}
	path, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok {
		t.Skipf("the engine at %s is not behind a socket, in front of which a proxy could stand", endpoint)
	}
	return path
}

func (h *host) command(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"-H", "unix://" + h.socket}, args...)...)
}

func (h *host) docker(args ...string) (string, error) {
	out, err := h.command(args...).Output()
	return strings.TrimSpace(string(out)), err
}

// tale is one stack on a host, with a ledger and a name of its own, a proxy
// between it and the engine, and the engine's own events.
type tale struct {
	*host
	t     *testing.T
	name  string
	file  string
	dir   string
	proxy *proxy

	stop   context.CancelFunc
	events chan map[string]*tally
}

var tales struct {
	sync.Mutex
	n int
}

func newTale(t *testing.T, h *host, file string) *tale {
	t.Helper()
	tales.Lock()
	tales.n++
	n := tales.n
	tales.Unlock()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	w := &tale{host: h, t: t, file: path, dir: t.TempDir(), proxy: newProxy(t, h.socket), name: fmt.Sprintf("ch%d-%d", os.Getpid(), n)}
	w.watch()
	t.Cleanup(w.end)
	return w
}

// watch counts what the engine says happens to the stack's containers.
func (w *tale) watch() {
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.events = stop, make(chan map[string]*tally, 1)
	cmd := exec.CommandContext(ctx, "docker", "-H", "unix://"+w.socket, "events", "--since", fmt.Sprint(time.Now().Unix()),
		"--filter", "type=container", "--filter", "label=dev.stagehand.stack="+w.name, "--format", "{{json .}}")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { // owned by the tale, which receives
		seen := map[string]*tally{}
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e struct {
				Action string
				Actor  struct{ Attributes map[string]string }
			}
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			name := strings.TrimPrefix(e.Actor.Attributes["name"], w.name+"-")
			c := seen[name]
			if c == nil {
				c = &tally{helper: e.Actor.Attributes["dev.stagehand.role"] == "helper"}
				seen[name] = c
			}
			switch code := e.Actor.Attributes["exitCode"]; {
			case e.Action == "create":
				c.created++
			case e.Action == "start":
				c.started++
			case e.Action == "die" && code == "0":
				c.completed++
			case e.Action == "die":
				c.other++
			}
		}
		_ = cmd.Wait()
		w.events <- seen
	}()
}

// seen ends the watch and returns what was seen.
func (w *tale) seen() map[string]*tally {
	if w.events == nil {
		return nil
	}
	time.Sleep(200 * time.Millisecond) // the stream has no end to wait for
	w.stop()
	seen := <-w.events
	w.events = nil
	return seen
}

// end takes everything down, and fails the test when something is left.
func (w *tale) end() {
	w.seen()
	w.proxy.set(nil, nil)
	var want []string
	if out, err := w.stagehand("down", "--volumes").CombinedOutput(); err != nil && !strings.Contains(string(out), "the engine has lost count") {
		w.t.Errorf("down: %v\n%s", err, out)
	} else if err != nil {
		w.t.Logf("only a restart of the engine can remove the network: %s", out)
		want = []string{"network _default"}
	}
	if left := w.leftAtLast(want); !slices.Equal(left, want) {
		w.t.Errorf("after down: %v", left)
	}
}

// left is all of the stack that the engine has, containers by name.
func (w *tale) left() []string {
	var left []string
	for _, kind := range []string{"container", "volume", "network"} {
		args := []string{kind, "ls", "--filter", "label=dev.stagehand.stack=" + w.name, "--format", "{{.Name}}"}
		if kind == "container" {
			args = append(args[:len(args)-1], "{{.Names}} {{.State}}", "--all")
		}
		out, err := w.docker(args...)
		if err != nil {
			w.t.Fatalf("%s ls: %v", kind, err)
		}
		for line := range strings.Lines(out) {
			left = append(left, kind+" "+strings.TrimPrefix(strings.TrimSpace(line), w.name))
		}
	}
	// A lease's container carries no stack: it is found by its name.
	if out, err := w.docker("container", "ls", "--all", "--filter", "name=stagehand-lease-"+w.name+"$", "--format", "{{.Names}}"); err != nil {
		w.t.Fatal(err)
	} else if out != "" {
		left = append(left, "lease "+out)
	}
	slices.Sort(left)
	return left
}

// leftAtLast is what is left, once it is as wanted or a minute is over: the lease
// of a process that was killed ends with its input, and is removed by the engine
// when that comes round to it.
func (w *tale) leftAtLast(want []string) []string {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if left := w.left(); slices.Equal(left, want) || time.Since(began) > time.Minute {
			return left
		}
	}
}

// stagehand is a command of the program, through the proxy.
func (w *tale) stagehand(args ...string) *exec.Cmd {
	all := append([]string{args[0], "-p", w.name, "-f", w.file, "--ledger", filepath.Join(w.dir, "ledger.db")}, args[1:]...)
	cmd := exec.Command(w.program, all...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+w.proxy.path, "DOCKER_CONTEXT=")
	return cmd
}

// death says when the first process is killed: at a point of the proxy, at a
// line of its own events (which it has recorded by then), or after a while.
// The zero value is never.
type death struct {
	point, line int
	after       time.Duration
}

func (d death) String() string {
	switch {
	case d.point > 0:
		return fmt.Sprintf("at point %d of the proxy", d.point)
	case d.line > 0:
		return fmt.Sprintf("at event %d", d.line)
	case d.after > 0:
		return fmt.Sprintf("after %s", d.after)
	}
	return "never"
}

// up runs the command until it ends or is killed.
func (w *tale) up(d death, meet func(int) trouble) (killed bool, err error) {
	cmd := w.stagehand("up", "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, pipeErr := cmd.StdoutPipe()
	if pipeErr != nil {
		w.t.Fatal(pipeErr)
	}
	var died bool
	var once sync.Once // whoever comes second waits until it is dead
	kill := func() {
		once.Do(func() { died = cmd.Process.Kill() == nil })
	}
	w.proxy.set(nil, meet)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.proxy.set(func(point int) {
		if point == d.point {
			kill()
		}
	}, meet)
	if d.after > 0 {
		timer := time.AfterFunc(d.after, kill)
		defer timer.Stop()
	}
	limit := time.AfterFunc(4*time.Minute, kill)
	defer limit.Stop()
	lines := bufio.NewReader(out)
	for n := 1; ; n++ {
		if _, err := lines.ReadString('\n'); err != nil {
			break
		}
		if n == d.line {
			kill()
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	once.Do(func() {}) // no kill is under way, and none comes any more
	if died {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return false, nil
}

// check says what is not as it must be in the end.
func (w *tale) check(want []string, gentle bool) []string {
	var bad []string
	if got := w.leftAtLast(want); !slices.Equal(got, want) {
		bad = append(bad, fmt.Sprintf("in the end there is %q, want %q", got, want))
	}
	seen := w.seen()
	lines, err := w.effects()
	if err != nil {
		return append(bad, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		c := seen[name]
		switch everyRun := strings.HasPrefix(name, "bye"); {
		// One that was made ahead, for a turn that never came, was made in vain.
		case !c.helper && (c.created < 1 || c.started != 1) && !gentle:
			bad = append(bad, fmt.Sprintf("%s: a service, created %d times and started %d times", name, c.created, c.started))
		case c.helper && c.completed != 1 && !everyRun:
			bad = append(bad, fmt.Sprintf("%s: completed %d times", name, c.completed))
		}
	}
	for _, effect := range w.wanted() {
		if n := lines[effect]; n < 1 || n > 1 && !gentle {
			bad = append(bad, fmt.Sprintf("the effect of %s is there %d times", effect, n))
		}
	}
	return append(bad, w.settled()...)
}

// wanted are the effects of the stack's helpers.
func (w *tale) wanted() []string {
	var out []string
	for _, u := range (&world{story: story{stack: load(w.t, w.file)}}).units() {
		if u.effect != "" {
			out = append(out, u.effect)
		}
	}
	return out
}

// effects counts the lines in the volume of effects.
func (w *tale) effects() (map[string]int, error) {
	out, err := w.docker("run", "--rm", "--network", "none", "--volume", w.name+"_effects:/effects", actorImage, "cat", "/effects/log")
	if err != nil {
		return nil, fmt.Errorf("reading the effects: %w", err)
	}
	lines := map[string]int{}
	for _, line := range strings.Fields(out) {
		lines[line]++
	}
	return lines, nil
}

// settled holds that a further run would find nothing to do: every container
// is the one that the file wants.
func (w *tale) settled() []string {
	w.proxy.set(nil, nil)
	out, err := w.stagehand("plan", "--json").Output()
	if err != nil {
		return []string{"plan: " + err.Error()}
	}
	var p struct {
		Steps []struct{ ID, Action, Cause string }
		Sweep []any
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return []string{"plan: " + err.Error()}
	}
	var bad []string
	for _, s := range p.Steps {
		if s.Action != "skip" && s.Action != "adopt" && s.ID != "bye" {
			bad = append(bad, fmt.Sprintf("a further run would %s %s: %s", s.Action, s.ID, s.Cause))
		}
	}
	if len(p.Sweep) > 0 {
		bad = append(bad, fmt.Sprintf("a further run would remove %v", p.Sweep))
	}
	return bad
}

// history is what the ledger says of all runs.
func (w *tale) history() string {
	var out strings.Builder
	runs, _ := w.stagehand("runs").CombinedOutput()
	out.Write(runs)
	last, _ := w.stagehand("events").CombinedOutput()
	out.Write(last)
	return out.String()
}

// measure is what an undisturbed run comes to.
type measure struct {
	points, lines int
	took          time.Duration
	left          []string
}

func measured(t *testing.T, h *host, file string) measure {
	t.Helper()
	w := newTale(t, h, file)
	began := time.Now()
	if _, err := w.up(death{}, nil); err != nil {
		t.Fatalf("undisturbed: %v", err)
	}
	m := measure{points: w.proxy.passed(), took: time.Since(began), left: w.left()}
	out, err := w.stagehand("events", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	m.lines = bytes.Count(out, []byte("\n"))
	if bad := w.check(m.left, false); len(bad) > 0 {
		t.Fatalf("undisturbed: %s", strings.Join(bad, "\n"))
	}
	return m
}

// deaths are n distinct ones, spread over the run: most at points of the
// proxy, others at events and at instants that nothing chose.
func (m measure) deaths(n int, random *rand.Rand) []death {
	var out []death
	events, times := n/6, n/6
	points := n - events - times
	for i := range points {
		out = append(out, death{point: 1 + (i*m.points+random.IntN(max(1, m.points)))/points%m.points})
	}
	for i := range events {
		out = append(out, death{line: 1 + (i*m.lines+random.IntN(max(1, m.lines)))/events%m.lines})
	}
	for range times {
		out = append(out, death{after: time.Duration(random.Int64N(int64(m.took)))})
	}
	return out
}

// seedOf prints the seed, and takes one from CHAOS_SEED.
func seedOf(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		if _, err := fmt.Sscan(given, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// ordeal is how many stories of a stack are played: in alone of them one
// process is killed, in each other one so many as chain says, one after another,
// each as it goes on from where the one before was killed.
type ordeal struct{ alone, chains, chain int }

// ordeals by stack. What a story costs is the containers of a whole run, however many
// processes share it. One death in about six comes too late: that process has
// ended by itself, and so has its story.
func ordeals() map[string]ordeal {
	if long() {
		return map[string]ordeal{stackFiles[0]: {alone: 36, chains: 36, chain: 6}, stackFiles[1]: {alone: 14, chains: 14, chain: 9}}
	}
	return map[string]ordeal{stackFiles[0]: {alone: 2, chains: 1, chain: 3}, stackFiles[1]: {chains: 1, chain: 2}}
}

// stories of a stack whose undisturbed run is m.
func (m measure) stories(o ordeal, random *rand.Rand) [][]death {
	var out [][]death
	for _, d := range m.deaths(o.alone, random) {
		out = append(out, []death{d})
	}
	// Each of a chain has its share of the run's points, so that the last one comes near its end.
	share := max(1, m.points/max(1, o.chain))
	for range o.chains {
		var chain []death
		for range o.chain {
			chain = append(chain, death{point: 1 + random.IntN(2*share)})
		}
		out = append(out, chain)
	}
	return out
}

// TestProgramKilled: SIGKILL for the program itself on a real engine, and the
// same command again.
func TestProgramKilled(t *testing.T) {
	h := newHost(t, localEngine(t))
	random := seedOf(t)
	for _, file := range stackFiles {
		source := rand.New(rand.NewPCG(random.Uint64(), 2))
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			m := measured(t, h, file)
			t.Logf("undisturbed: %d points of the proxy, %d events, %s", m.points, m.lines, m.took.Round(time.Millisecond))
			killEach(t, h, file, m, m.stories(ordeals()[file], source), nil)
		})
	}
}

// killEach plays each story, some side by side, and counts.
func killEach(t *testing.T, h *host, file string, m measure, stories [][]death, meet func(int) trouble) {
	var mu sync.Mutex
	var killed, bad int
	slots := make(chan struct{}, 3)
	began := time.Now()
	t.Run("deaths", func(t *testing.T) {
		for i, deaths := range stories {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				t.Cleanup(func() { <-slots }) // after the tale's own
				w := newTale(t, h, file)
				died := w.die(deaths, meet)
				if err := w.again(meet); err != nil {
					t.Errorf("killed %s: %v\n%s", deaths, err, w.history())
				}
				complaints := w.check(m.left, false)
				t.Logf("killed %s (%d of %d): %d complaints", deaths, died, len(deaths), len(complaints))
				if len(complaints) > 0 {
					t.Errorf("killed %s:\n%s\n%s", deaths, strings.Join(complaints, "\n"), w.history())
				}
				mu.Lock()
				defer mu.Unlock()
				killed += died
				if t.Failed() {
					bad++
				}
			})
		}
	})
	t.Logf("%s: %d stories, %d SIGKILLs, %d bad outcomes, in %s", file, len(stories), killed, bad, time.Since(began).Round(time.Second))
}

// die runs the command once for each death, until one run ends by itself, and
// returns how many were killed.
func (w *tale) die(deaths []death, meet func(int) trouble) (killed int) {
	for _, d := range deaths {
		dead, err := w.up(d, meet)
		if err != nil && meet == nil {
			w.t.Errorf("killed %s: it failed by itself: %v", d, err)
		}
		if dead {
			killed++
		} else if err == nil {
			break
		}
	}
	return killed
}

// again runs the same command until it ends well: once, where nothing is lost
// on the way. A run that lost its lease with a connection may be repeated.
func (w *tale) again(meet func(int) trouble) error {
	limit := 1
	if meet != nil {
		limit = 6
	}
	var all []error
	for range limit {
		killed, err := w.up(death{}, meet)
		if err == nil && !killed {
			return nil
		}
		if killed {
			err = errors.New("it did not end")
		}
		all = append(all, err)
	}
	return fmt.Errorf("the same command again did not end well: %w", errors.Join(all...))
}

// TestProgramAndTroubledAnswers: one answer in twenty is lost after the engine
// has acted, delayed, or cut in its middle, and the program is killed.
func TestProgramAndTroubledAnswers(t *testing.T) {
	h := newHost(t, localEngine(t))
	random := seedOf(t)
	file := stackFiles[0]
	m := measured(t, h, file)
	o := ordeal{chains: 1, chain: 2}
	if long() {
		o = ordeal{alone: 12, chains: 7, chain: 5}
	}
	var mu sync.Mutex
	meet := func(int) trouble {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(60) {
		case 0, 1, 2:
			return trouble{drop: true}
		case 3:
			return trouble{delay: 300 * time.Millisecond}
		case 4:
			return trouble{cut: 40}
		}
		return trouble{}
	}
	killEach(t, h, file, m, m.stories(o, random), meet)
}
