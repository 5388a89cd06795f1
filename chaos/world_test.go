// Package chaos kills runners. Wherever one dies, the same command again ends
// in the same place: the same containers, each helper's effect exactly once,
// nothing left over.
//
// On the memory engine every point is tried: before and after each write of
// the ledger and each call of the engine. On Docker the program itself is
// killed at sampled instants. CHAOS=long asks for all of it.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

const actorImage = "stagehand-actor:chaos"

// long tells whether the long version is asked for.
func long() bool { return os.Getenv("CHAOS") == "long" }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removeBuilt()
		os.Exit(code)
	}))
}

// stackFiles are the stacks that all of this is done to.
var stackFiles = []string{"testdata/haf.yaml", "testdata/twelve.yaml"}

func load(t *testing.T, file string) *stages.Stack {
	t.Helper()
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// story is what happens to one stack: processes one after another, of which
// the last meets nothing and has to end well.
type story struct {
	stack *stages.Stack
	// first, if not nil, has been brought up before, undisturbed.
	first *stages.Stack
	lives []life
	// pause is how long nobody watches after a death.
	pause time.Duration
	// faults of the engine, in all lives, the last one too.
	faults func(faults.Call) faults.Fault
	// alone: the first process is expected to end well by itself.
	alone bool
	// gentle tells that processes were interrupted: helpers may have been stopped.
	gentle bool
	// leases has each process take the stack's lease.
	leases bool
	// down has the stack brought up, and then taken down by the lives; the last
	// process brings it up again.
	down bool
	// versions has the ledger keep the stack's version.
	versions bool
}

// worldKey seals what helpers hand on, in all processes of all stories: users have it in a file.
var worldKey = secrets.NewKey()

// world is an engine and a ledger, over several processes.
type world struct {
	story
	engine   *memory.Engine
	book     *book
	runs     int
	downed   bool // the stack was taken down
	seen     []containers.Event
	watching context.CancelFunc
	watched  chan struct{}
}

// verdict is what came of a story.
type verdict struct {
	// bad is everything that is not as it must be.
	bad    []string
	deaths []string
	// points that the first process passed.
	points  int
	history []string
	// tallies by container, lines by effect.
	tallies map[string]*tally
	lines   map[string]int
	final   map[string]string // container: spec and state
	apps    map[string]events.AppState
	version string // that is recorded
}

// tell plays a story in a bubble with a clock of its own.
func tell(t *testing.T, s story) verdict {
	t.Helper()
	var v verdict
	synctest.Test(t, func(t *testing.T) {
		w := &world{story: s, book: &book{}, engine: newEngine()}
		if s.versions {
			w.book.versions = &upgrades.Memory{}
		}
		defer w.engine.Halt()
		w.watch()
		defer w.stopWatching()
		v = w.play(t)
	})
	return v
}

// newEngine has the images of all stacks.
func newEngine() *memory.Engine {
	return memory.New(memory.Options{Images: map[string]memory.Program{actorImage: actor.Main, clusterImage: clusterApp}})
}

// watch notes the engine's own events.
func (w *world) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	w.watching, w.watched = cancel, make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(w.watched)
		_ = w.engine.Events(ctx, nil, func() { close(ready) }, func(e containers.Event) { w.seen = append(w.seen, e) })
	}()
	<-ready
}

func (w *world) stopWatching() {
	w.watching()
	<-w.watched
}

// patience is how long one process may take, in the bubble's time.
const patience = 10 * time.Minute

func (w *world) play(t *testing.T) verdict {
	var v verdict
	if before := w.before(); before != nil {
		p, done := w.start(t.Context(), before, life{})
		v.bad = append(v.bad, (<-done).complaints()...)
		p.kill()
		synctest.Wait()
		w.seen = nil
		time.Sleep(time.Second)
	}
	for i, plan := range w.lives {
		p, done := w.start(t.Context(), w.stack, plan)
		select {
		case <-p.alive.Done():
		case r := <-done:
			done <- r
			p.kill()
		case <-time.After(patience):
			v.bad = append(v.bad, fmt.Sprintf("process %d neither ended nor died", i+1))
			p.kill()
		}
		if i == 0 {
			v.points = p.points()
		}
		v.deaths = append(v.deaths, p.death())
		if w.alone {
			r := <-done
			v.bad = append(v.bad, r.complaints()...)
			w.check(t, &v)
			return v
		}
		time.Sleep(w.pause)
		defer func() { <-done }()
	}
	w.down, w.downed = false, w.down
	p, done := w.start(t.Context(), w.stack, life{})
	select {
	case r := <-done:
		v.bad = append(v.bad, r.complaints()...)
	case <-time.After(patience):
		v.bad = append(v.bad, "the last process did not end")
		p.kill()
		<-done
	}
	p.kill()
	if len(w.lives) == 0 {
		v.points = p.points()
	}
	w.check(t, &v)
	return v
}

// ending is how a process's run ended.
type ending struct {
	result runner.Result
	err    error
}

func (e ending) complaints() []string {
	var out []string
	if e.err != nil {
		out = append(out, "the run broke: "+e.err.Error())
	}
	if e.err == nil && e.result.Verdict != events.VerdictDone {
		out = append(out, "verdict "+string(e.result.Verdict))
	}
	for _, f := range e.result.Failures {
		out = append(out, fmt.Sprintf("%s failed: %s", f.Step, f.Error))
	}
	return out
}

// before is what stands there before the lives begin.
func (w *world) before() *stages.Stack {
	if w.down {
		return w.stack
	}
	return w.first
}

// start begins a process. Its ending comes on the channel, even if it is dead.
func (w *world) start(ctx context.Context, stack *stages.Stack, plan life) (*process, chan ending) {
	w.runs++
	run := fmt.Sprintf("run%d", w.runs)
	plan.Lease = w.leases
	p := newProcess(faults.New(w.engine, faults.Options{Decide: w.faults}), w.book, plan)
	p.leases = w.engine
	done := make(chan ending, 1)
	down := w.down && w.runs > 1
	go func() { // owned by play, which receives
		if down {
			err := runner.Down(ctx, runner.DownOptions{Stack: stack.Name, Engine: p, Sink: p, Ledger: p, Run: run, Order: stack, Volumes: true, Lock: runner.Lock{Timeout: lockTimeout}})
			done <- ending{result: runner.Result{Verdict: events.VerdictDone}, err: err}
			return
		}
		result, err := runner.Up(ctx, stack, runner.Options{
			Engine: p, Sink: p, Ledger: p, Run: run, Interrupt: p.interrupt, Kill: p.hard,
			Lock: runner.Lock{Timeout: lockTimeout}, Key: worldKey,
		})
		done <- ending{result, err}
	}()
	return p, done
}

// check looks at what is there in the end.
func (w *world) check(t *testing.T, v *verdict) {
	synctest.Wait() // the watcher has seen all
	ctx := t.Context()
	list, err := w.engine.List(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.final = map[string]string{}
	for _, c := range list {
		v.final[c.Name] = fmt.Sprintf("%s %.12s", c.State, c.Labels[containers.LabelSpec])
		if role := c.Labels[containers.LabelRole]; role == containers.RoleHelper || role == containers.RoleNamespace {
			v.bad = append(v.bad, "left over: "+c.Name)
		}
	}
	networks, err := w.engine.ListNetworks(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := w.engine.ListVolumes(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range networks {
		v.final["network "+name] = "there"
	}
	for _, volume := range volumes {
		v.final["volume "+volume.Name] = "there"
	}
	w.effects(t, v)
	v.apps = states(w.book)
	if w.versions {
		status, err := w.book.versions.Status(ctx, upgrades.Deployment{Name: w.stack.Name, Engine: "memory"})
		if err != nil {
			t.Fatal(err)
		}
		v.version = status.Recorded.String()
	}
	v.history = w.history()
}

// tally counts what a container's runs came to, by the engine's own events.
type tally struct {
	created, started, completed, other int
	helper, everyRun                   bool
	effect                             string
}

// effects holds the lines that helpers appended against the engine's events.
func (w *world) effects(t *testing.T, v *verdict) {
	tallies := map[string]*tally{}
	for _, unit := range w.units() {
		tallies[unit.container] = &tally{helper: unit.helper, everyRun: unit.everyRun, effect: unit.effect}
	}
	for _, e := range w.seen {
		c := tallies[e.Name]
		switch {
		case c == nil && w.versions && strings.HasPrefix(e.Name, w.stack.Name+"-upgrade-"): // a tenant's, or a part's: the caller looks
		case c == nil && e.Labels[containers.LabelRole] == containers.RoleNamespace:
		case c == nil:
			v.bad = append(v.bad, "unknown container "+e.Name)
		case e.Kind == containers.EventCreated:
			c.created++
		case e.Kind == containers.EventStarted:
			c.started++
		case e.Kind == containers.EventEnded && e.ExitCode == 0:
			c.completed++
		case e.Kind == containers.EventEnded:
			c.other++
		}
	}
	// A helper that ends with 0 when it is told to stop is not believed: its work
	// may have been done in that very moment, or it answered the signal. Nobody
	// can tell, so it does not count as done and runs again.
	stops := map[string]int{}
	for _, e := range w.book.events {
		if w.gentle && e.Kind == events.StepStopping {
			stops[e.Container]++
		}
	}
	lines := w.lines(t)
	v.lines = lines
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		c := tallies[name]
		say := func(format string, args ...any) { v.bad = append(v.bad, name+": "+fmt.Sprintf(format, args...)) }
		switch {
		case w.first != nil || w.downed:
			// What runs again differs with the stack and the point: the caller looks.
			v.tallies = tallies
		// One that was made ahead, for a turn that never came, was made in vain.
		case !c.helper && (c.created < 1 || c.started != 1):
			say("a service, created %d times and started %d times", c.created, c.started)
		case !c.helper || c.everyRun:
		case c.completed < 1 || c.completed > 1+stops[name]:
			say("completed %d times", c.completed)
		case lines[c.effect] < 1 || lines[c.effect] > 1 && (!w.gentle || lines[c.effect] > c.completed+c.other):
			say("its effect is there %d times", lines[c.effect])
		}
	}
}

type unit struct {
	container, effect string
	helper, everyRun  bool
}

// units are the stack's containers.
func (w *world) units() []unit {
	var out []unit
	for _, s := range w.stack.Stages {
		for _, u := range s.Units {
			if u.Service == "" {
				continue
			}
			spec := w.stack.Services[u.Service].Spec
			effect := ""
			if i := slices.Index(spec.Command, "/effects/log"); i >= 0 {
				effect = spec.Command[i+1]
			}
			out = append(out, unit{spec.Name, effect, s.Verb != stages.Start, s.Finally})
			for _, before := range spec.PreStart {
				out = append(out, unit{container: before.Name, helper: true, everyRun: true})
			}
		}
	}
	return out
}

// lines counts what stands in the volume of effects.
func (w *world) lines(t *testing.T) map[string]int {
	ctx := t.Context()
	probe := containers.Spec{Name: "probe", Image: actorImage, Mounts: []containers.Mount{
		{Kind: containers.MountVolume, Source: w.stack.Name + "_effects", Target: "/effects"},
	}}
	if _, err := w.engine.Create(ctx, probe); err != nil {
		t.Fatal(err)
	}
	text, err := w.engine.CopyOut(ctx, "probe", "/effects/log")
	if err != nil && !errors.Is(err, containers.ErrNotFound) {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, line := range strings.Fields(string(text)) {
		out[line]++
	}
	return out
}

// history is what the ledger says of all runs, for whoever has to find out.
func (w *world) history() []string {
	var out []string
	for _, e := range w.book.events {
		if e.Kind == events.StepWaiting || e.Kind == events.StepProgress {
			continue
		}
		line := fmt.Sprintf("  %s %s %s %s %s", e.Run, e.Kind, e.Step, e.Outcome, e.Cause)
		if e.ExitCode != nil {
			line += fmt.Sprintf(" exit %d", *e.ExitCode)
		}
		if e.Error != "" {
			line += " error: " + e.Error
		}
		out = append(out, line)
	}
	return out
}

// court judges stories against what comes of the stack undisturbed.
type court struct {
	t            *testing.T
	want         verdict
	stories, bad int
}

// shown is how many bad stories are told in full.
const shown = 3

// judge plays a story and fails the test when it ends badly.
func (c *court) judge(s story) verdict {
	c.t.Helper()
	c.stories++
	v := tell(c.t, s)
	complaints := v.complaints(c.want)
	if len(complaints) == 0 {
		return v
	}
	c.bad++
	text := fmt.Sprintf("%s, %+v, died %q, pause %s", s.stack.Name, s.lives, v.deaths, s.pause)
	if c.bad <= shown {
		c.t.Errorf("%s:\n%s\n%s", text, strings.Join(complaints, "\n"), strings.Join(v.history, "\n"))
	} else {
		c.t.Errorf("%s: %s", text, strings.Join(complaints, "; "))
	}
	return v
}

// complaints are what is bad, or different from what is wanted in the end.
func (v verdict) complaints(want verdict) []string {
	bad := v.bad
	if !maps.Equal(v.final, want.final) {
		for _, name := range slices.Sorted(maps.Keys(want.final)) {
			if v.final[name] != want.final[name] {
				bad = append(bad, fmt.Sprintf("in the end %s is %q, want %q", name, v.final[name], want.final[name]))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v.final)) {
			if _, ok := want.final[name]; !ok {
				bad = append(bad, fmt.Sprintf("in the end there is %s (%s)", name, v.final[name]))
			}
		}
	}
	return bad
}

// undisturbed is the stack's story when nothing happens.
func undisturbed(t *testing.T, stack *stages.Stack, leases bool) verdict {
	t.Helper()
	v := tell(t, story{stack: stack, leases: leases})
	if len(v.bad) > 0 {
		t.Fatalf("undisturbed: %s", strings.Join(v.bad, "\n"))
	}
	return v
}
