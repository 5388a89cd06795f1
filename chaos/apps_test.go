package chaos

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

const appsFile = "testdata/apps.yaml"

// loadApps is the stack of apps, with variables as KEY=VALUE.
func loadApps(t *testing.T, environ ...string) *stages.Stack {
	t.Helper()
	return loadWith(t, appsFile, environ...)
}

func loadWith(t *testing.T, file string, environ ...string) *stages.Stack {
	t.Helper()
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: append([]string{}, environ...)})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// states are the registered apps and how far each has come.
func states(b *book) map[string]events.AppState {
	out := map[string]events.AppState{}
	for name, app := range b.apps() {
		out[name] = app.State
	}
	return out
}

// TestAppsKilledAtEveryPoint: with the same file the stack ends where it always
// does, and each app is registered as deployed with what stands in the file.
func TestAppsKilledAtEveryPoint(t *testing.T) {
	stack := loadApps(t)
	c := &court{t: t, want: undisturbed(t, stack, false)}
	for _, pause := range []time.Duration{0, 5 * time.Second} {
		for point := 1; point <= c.want.points; point++ {
			v := c.judge(story{stack: stack, lives: []life{{Dies: point}}, pause: pause})
			want := map[string]events.AppState{"ada": events.Deployed, "bob": events.Deployed, "cyd": events.Deployed}
			if diff := cmp.Diff(want, v.apps); diff != "" {
				t.Errorf("died %q: the apps (-want +got):\n%s", v.deaths, diff)
			}
		}
	}
	t.Logf("%d points, %d stories, %d bad", c.want.points, c.stories, c.bad)
}

// attempt is what came of an up with another count, after a death.
type attempt struct {
	death string
	// begun: something of the app was made with the first count.
	begun, registered, refused bool
	bad                        []string
}

// witness knows what is made of bob.
type witness struct {
	// begun tells whether anything is.
	begun func(*world) bool
	// counts tells with which count, in the end; nil where nobody can know.
	counts func(*world) string
}

// byContainers believes the engine's own events.
var byContainers = witness{begun: func(w *world) bool {
	return slices.ContainsFunc(w.seen, func(e containers.Event) bool {
		return e.Kind == containers.EventStarted && strings.Contains(e.Name, "-bob-")
	})
}}

// recount plays: an up dies, bob is given 3 partitions, up; and where that is
// refused, up with 2 again.
func recount(t *testing.T, first, second *stages.Stack, plan life, bob witness) (out attempt) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{story: story{stack: first}, book: &book{}, engine: newEngine()}
		defer w.engine.Halt()
		w.watch()
		defer w.stopWatching()
		say := func(text string) { out.bad = append(out.bad, text) }

		p, done := w.start(t.Context(), first, plan)
		<-done // it ends when it is dead, or undisturbed where it passes fewer points this time
		p.kill()
		time.Sleep(5 * time.Second) // what it began has ended
		synctest.Wait()
		out.death = p.death()
		out.begun = bob.begun(w)
		_, out.registered = w.book.apps()["bob"]
		seen, kept, changed := len(w.seen), w.book.kept(), changes(w.engine)

		p, done = w.start(t.Context(), second, life{})
		r := <-done
		p.kill()
		synctest.Wait()
		var deployed *runner.DeployedError
		out.refused = errors.As(r.err, &deployed)
		if !out.refused {
			for _, c := range r.complaints() {
				say("with 3: " + c)
			}
			if got := w.book.apps()["bob"].Descriptor["partitions"]; got != "3" {
				say("with 3, the registry has " + got)
			}
			if bob.counts != nil && bob.counts(w) != "3" {
				say("with 3, it is made with " + bob.counts(w))
			}
			return
		}
		if !strings.Contains(r.err.Error(), "num partitions changed: app bob declaring NumPartitions=3 but was previously deployed with NumPartitions=2") {
			say("refused with: " + r.err.Error())
		}
		if len(w.seen) != seen || w.book.kept() != kept || changes(w.engine) != changed {
			say("what was refused has changed something")
		}
		p, done = w.start(t.Context(), first, life{})
		for _, c := range (<-done).complaints() {
			say("with 2 again: " + c)
		}
		if bob.counts != nil && bob.counts(w) != "2" {
			say("with 2 again, it is made with " + bob.counts(w))
		}
		p.kill()
	})
	return out
}

// changes counts the calls so far that change something at the engine.
func changes(e *memory.Engine) (n int) {
	for call, count := range e.Calls() {
		switch call {
		case "Create", "Start", "Stop", "Destroy", "EnsureNetwork", "EnsureVolume", "RemoveNetwork", "RemoveVolume", "CopyIn", "Exec":
			n += count
		}
	}
	return n
}

// TestNoCountSlipsThrough: wherever the runner dies, another count is refused as
// soon as anything of the app has begun with the first one; and is taken while nothing has.
func TestNoCountSlipsThrough(t *testing.T) {
	noCountSlipsThrough(t, loadApps(t), loadApps(t, "BOB=3"), byContainers)
}

func noCountSlipsThrough(t *testing.T, first, second *stages.Stack, bob witness) {
	t.Helper()
	points := undisturbed(t, first, false).points
	refused, taken, between := 0, 0, 0
	for point := 1; point <= points; point++ {
		a := recount(t, first, second, life{Dies: point}, bob)
		switch {
		case a.begun && !a.refused:
			t.Errorf("died %q: 3 partitions were taken although bob had begun with 2", a.death)
		case a.refused != a.registered:
			t.Errorf("died %q: registered %v, refused %v", a.death, a.registered, a.refused)
		}
		for _, bad := range a.bad {
			t.Errorf("died %q: %s", a.death, bad)
		}
		if a.refused {
			refused++
		} else {
			taken++
		}
		if a.registered && !a.begun {
			between++
		}
	}
	if refused == 0 || taken == 0 || between == 0 {
		t.Errorf("%d refused, %d taken, %d between record and act: this test proves nothing", refused, taken, between)
	}
	t.Logf("%d points: %d refused, %d taken, %d between record and act", points, refused, taken, between)
}

// TestRegisteredLate: record an app when its step is done, not before it begins, and counts slip
// through: the test above would find it.
func TestRegisteredLate(t *testing.T) {
	first, second := loadApps(t), loadApps(t, "BOB=3")
	points := undisturbed(t, first, false).points
	slipped := 0
	for point := 1; point <= points; point++ {
		if a := recount(t, first, second, life{Dies: point, Late: true}, byContainers); a.begun && !a.refused {
			slipped++
		}
	}
	if slipped == 0 {
		t.Error("no count slipped through: TestNoCountSlipsThrough proves nothing")
	}
	t.Logf("of %d points, %d let a count slip through", points, slipped)
}

// TestConflictInTheLastApp: of three apps the last one has another count, and nothing is made for any.
func TestConflictInTheLastApp(t *testing.T) {
	first, second := loadApps(t), loadApps(t, "CYD=3")
	synctest.Test(t, func(t *testing.T) {
		w := &world{story: story{stack: first}, book: &book{}, engine: newEngine()}
		defer w.engine.Halt()
		w.watch()
		defer w.stopWatching()
		p, done := w.start(t.Context(), first, life{})
		if bad := (<-done).complaints(); len(bad) > 0 {
			t.Fatal(bad)
		}
		p.kill()
		// The containers go, the volumes and with them the registry stay.
		p = newProcess(faults.New(w.engine, faults.Options{}), w.book, life{})
		if err := runner.Down(t.Context(), runner.DownOptions{Stack: first.Name, Engine: p, Sink: p, Ledger: p, Run: "down", Order: first}); err != nil {
			t.Fatal(err)
		}
		p.kill()
		synctest.Wait()
		seen, kept, changed := len(w.seen), w.book.kept(), changes(w.engine)
		p, done = w.start(t.Context(), second, life{})
		r := <-done
		p.kill()
		synctest.Wait()
		var deployed *runner.DeployedError
		if !errors.As(r.err, &deployed) || strings.Count(r.err.Error(), "previously deployed") != 1 {
			t.Fatalf("%v, %v", r.result.Verdict, r.err)
		}
		if len(w.seen) != seen || w.book.kept() != kept || changes(w.engine) != changed {
			t.Errorf("something was made or written: %v", w.seen[seen:])
		}
	})
}

// TestAppsAreForgottenAfterTheirVolumes: wherever down --volumes dies, an app that is
// forgotten has no volume left.
func TestAppsAreForgottenAfterTheirVolumes(t *testing.T) {
	stack := loadApps(t)
	forgotten, stood := 0, 0
	for point := 1; ; point++ {
		over := false
		synctest.Test(t, func(t *testing.T) {
			w := &world{story: story{stack: stack, down: true}, book: &book{}, engine: newEngine()}
			defer w.engine.Halt()
			w.watch()
			defer w.stopWatching()
			p, done := w.start(t.Context(), stack, life{})
			<-done
			p.kill()
			p, done = w.start(t.Context(), stack, life{Dies: point})
			r := <-done
			over = p.death() == ""
			p.kill()
			synctest.Wait()
			if over && r.err != nil {
				t.Errorf("undisturbed: %v", r.err)
			}
			volumes, err := w.engine.ListVolumes(t.Context(), containers.OfStack(stack.Name))
			if err != nil {
				t.Fatal(err)
			}
			apps := states(w.book)
			switch {
			case len(apps) < 3 && len(volumes) > 0:
				t.Errorf("died %q: registered are %v, but %d volumes stand", p.death(), apps, len(volumes))
			case len(apps) < 3:
				forgotten++
			default:
				stood++
			}
			if over && len(apps) > 0 {
				t.Errorf("undisturbed, still registered: %v", apps)
			}
		})
		if over {
			t.Logf("%d points: %d with apps forgotten, %d with all registered", point-1, forgotten, stood)
			break
		}
	}
	if forgotten == 0 || stood == 0 {
		t.Error("this test proves nothing")
	}
}
