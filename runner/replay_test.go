package runner_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// again is what a plan does, by step: its cause.
func again(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for _, s := range p.Steps {
		if s.Action != plan.Skip && s.Action != plan.Adopt {
			out[s.ID] = s.Cause
		}
	}
	return out
}

func wantWork(t *testing.T, p *plan.Plan, want map[string]string) {
	t.Helper()
	if got := again(p); !maps.Equal(got, want) {
		t.Errorf("does %v, want %v", got, want)
	}
}

// onVolume is a helper that fills a volume, a service on it, a helper that
// talks only to the service, and one that needs neither.
func onVolume(name string) (s *stackBuilder, volume string) {
	s = newStack(name)
	volume = s.volume("v")
	s.service("init", "write /v/x 1", mount(volume, "/v"))
	s.service("db", "listen :80 hello", mount(volume, "/v"))
	s.service("schema", "dial db:80", func(spec *containers.Spec) { spec.Env = []string{"PASSWORD=1"} })
	s.service("other", "print x", nil)
	s.stage(stages.Stage{Name: "init", Verb: stages.Run}, "init")
	s.stage(stages.Stage{Name: "db", Verb: stages.Start, Units: []stages.Unit{{Ready: nil}}}, "db")
	s.stage(stages.Stage{Name: "schema", Verb: stages.Run, Retries: stages.Retries{Count: 9, Backoff: time.Millisecond}}, "schema")
	s.stage(stages.Stage{Name: "other", Verb: stages.Run, Needs: []string{}}, "other")
	return s, volume
}

// TestAVolumeOfAnotherToolIsAnotherVolume: the engine is the truth, whatever
// the clocks say, and what ran on the other tool's volume is recorded for it.
func TestAVolumeOfAnotherToolIsAnotherVolume(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s, v := onVolume("s")
		wantDone(t, b.up(s))
		wantWork(t, b.up(s).Plan, map[string]string{})
		// Not a moment later: times cannot tell these volumes apart.
		for _, name := range []string{"s-db-1", "s-init-1"} {
			if err := b.engine.Destroy(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.engine.RemoveVolume(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		b.book.shift(time.Hour) // the engine's clock is behind ours
		time.Sleep(time.Millisecond)
		if _, err := b.engine.EnsureVolume(t.Context(), containers.Volume{Name: v}); err != nil {
			t.Fatal(err)
		}
		result := b.up(s)
		wantDone(t, result)
		wantWork(t, result.Plan, map[string]string{
			"init":   "volume is new: " + v + " was removed and made anew since",
			"db":     "not there",
			"schema": "init runs before it",
		})
		wantWork(t, b.up(s).Plan, map[string]string{})
	})
}

// TestAStepThatDidNotComeToRunOnANewVolumeRunsLater: a run that ends in the
// middle leaves records of the new volume and of the old one side by side.
func TestAStepThatDidNotComeToRunOnANewVolumeRunsLater(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s, v := onVolume("s")
		wantDone(t, b.up(s))
		if err := b.engine.Destroy(t.Context(), "s-db-1"); err != nil {
			t.Fatal(err)
		}
		if err := b.engine.RemoveVolume(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		b.book.shift(time.Hour)
		time.Sleep(time.Millisecond)
		b.book.fail = func(e events.Event) error {
			if e.Kind == events.StepStarted && e.Step == "schema" {
				return errPlanned
			}
			return nil
		}
		if _, err := b.try(s); err == nil {
			t.Fatal("the run did not stop")
		}
		b.book.fail = nil
		result := b.up(s)
		wantDone(t, result)
		work := again(result.Plan)
		// Its container may have been made ahead, for the turn that never came.
		work["schema"] = strings.TrimSuffix(work["schema"], ", was made but not started")
		if want := map[string]string{"schema": "volume is new: " + v + " was removed and made anew since"}; !maps.Equal(work, want) {
			t.Errorf("does %v, want %v", work, want)
		}
	})
}

func TestAChangedVariableIsNamedAndItsValueIsNot(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s, _ := onVolume("s")
		wantDone(t, b.up(s))
		s.service("schema", "dial db:80", func(spec *containers.Spec) { spec.Env = []string{"PASSWORD=2"} })
		s.service("db", "listen :80 good-bye", mount("s_v", "/v"))
		result := b.up(s)
		wantDone(t, result)
		wantWork(t, result.Plan, map[string]string{
			"schema": "environment changed: PASSWORD",
			"db":     "argv changed: listen :80 hello → listen :80 good-bye",
		})
	})
}

func TestWhatIsAskedForIsDoneAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		wantDone(t, b.up(s))
		for _, test := range []struct{ rerun, from, want []string }{
			{[]string{"setup/b"}, nil, []string{"api/b", "app-live/b", "setup/b"}},
			{nil, []string{"api"}, []string{"api/a", "api/b", "api/c"}},
			{[]string{"haf"}, nil, []string{"app-live/a", "app-live/b", "app-live/c", "haf", "live"}},
		} {
			asked, err := plan.Again{Rerun: test.rerun, From: test.from}.Select(plan.Make(&s.Stack, plan.Facts{}, time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			b.opts.Wish.Asked = asked
			result := b.up(s)
			wantDone(t, result)
			if got := slices.Sorted(maps.Keys(again(result.Plan))); !slices.Equal(got, test.want) {
				t.Errorf("--rerun %v --from %v did %v, want %v", test.rerun, test.from, got, test.want)
			}
			b.opts.Wish.Asked = nil
			wantWork(t, b.up(s).Plan, map[string]string{})
		}
	})
}

// TestARecordCountsForOneStackOnOneEngine: with one ledger, what was done on
// an engine is not done on the other, and a stack of another name is another.
func TestARecordCountsForOneStackOnOneEngine(t *testing.T) {
	book, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	for i, test := range []struct{ engine, stack string }{{"one", "s"}, {"two", "s"}, {"one", "r"}} {
		engine := memory.New(memory.Options{ID: test.engine, Images: map[string]memory.Program{image: actor.Main}})
		defer engine.Halt()
		s, _ := onVolume(test.stack)
		up := func(run string) map[string]string {
			t.Helper()
			result, err := runner.Up(t.Context(), &s.Stack, runner.Options{Engine: engine, Sink: book, Ledger: book, Run: run + test.stack + test.engine})
			if err != nil {
				t.Fatal(err)
			}
			wantDone(t, result)
			return again(result.Plan)
		}
		want := map[string]string{"init": "never ran", "db": "not there", "schema": "never ran", "other": "never ran"}
		if got := up("first"); !maps.Equal(got, want) {
			t.Errorf("%d: %s on %s did %v", i, test.stack, test.engine, got)
		}
		if got := up("second"); len(got) > 0 {
			t.Errorf("%d: %s on %s did again %v", i, test.stack, test.engine, got)
		}
	}
}

// TestAServiceThatGoesBeforeItIsStarted: the plan saw it ended, and what a dead runner
// had asked the engine to do removes it before it is started.
func TestAServiceThatGoesBeforeItIsStarted(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("api", "forever", nil)
		s.stage(stages.Stage{Name: "api", Verb: stages.Start}, "api")
		wantDone(t, b.up(s))
		if _, err := b.engine.Stop(t.Context(), "s-api-1", 0); err != nil {
			t.Fatal(err)
		}
		removed := 0
		b.opts.Engine = faults.New(b.engine, faults.Options{Hook: func(p faults.Point) {
			if p.Moment == faults.BeforeAct && p.Call.Method == "Start" && removed == 0 {
				removed++
				if err := b.engine.Destroy(t.Context(), "s-api-1"); err != nil {
					t.Error(err)
				}
			}
		}})
		wantDone(t, b.up(s))
		if status, err := b.engine.Status(t.Context(), "s-api-1"); err != nil || !status.Running() || removed != 1 {
			t.Errorf("%v, error %v, removed %d times", status.State, err, removed)
		}
	})
}
