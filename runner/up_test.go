package runner_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

// hafShaped is the HAF diagram in small: builders one after another on one
// volume, the instance, a detector, set-ups, services, detectors, APIs.
func hafShaped() *stackBuilder {
	b := newStack("haf")
	data := b.volume("data")
	for _, app := range []string{"a", "b"} {
		b.service(app+"/builder", "append /data/log built-"+app, mount(data, "/data"))
	}
	b.service("haf", "write /data/up yes then listen :5432 hello", mount(data, "/data"))
	b.service("live", "dial haf:5432", nil)
	for _, app := range []string{"a", "b", "c"} {
		b.service(app+"/setup", "print set up "+app+" then print ::set token=secret-"+app+"::", nil)
		b.service(app+"/sync", "forever", nil)
		b.service(app+"/detector", "sleep 1s", nil)
		b.service(app+"/api", "print "+stages.HandedOpen+"SETUP_TOKEN"+stages.HandedClose+" then listen :8080 api-"+app, nil)
	}
	b.stage(stages.Stage{Name: "indexes", Verb: stages.Run, Sequential: true, Exclusive: data}, "a/builder", "b/builder")
	b.stage(stages.Stage{Name: "haf", Verb: stages.Start}, "haf")
	b.stage(stages.Stage{Name: "live", Verb: stages.Await, Retries: stages.Retries{Count: 5, Backoff: 10 * time.Millisecond}}, "live")
	b.stage(stages.Stage{Name: "setup", Verb: stages.Run, OnFailure: stages.SkipApp}, "a/setup", "b/setup", "c/setup")
	b.stage(stages.Stage{Name: "sync", Verb: stages.Start}, "a/sync", "b/sync", "c/sync")
	b.stage(stages.Stage{Name: "app-live", Verb: stages.Await, PerApp: true}, "a/detector", "b/detector", "c/detector")
	b.stage(stages.Stage{Name: "api", Verb: stages.Start, PerApp: true}, "a/api", "b/api", "c/api")
	return b
}

func TestStagesRunInOrderAndHelpersAreGone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		trace := b.book.trace()
		before(t, trace, "done indexes/a", "start indexes/b")
		before(t, trace, "done indexes/b", "start haf")
		before(t, trace, "done live", "start setup/a")
		for _, app := range []string{"a", "b", "c"} {
			before(t, trace, "done setup/"+app, "start sync/a")
			before(t, trace, "done app-live/"+app, "start api/"+app)
		}
		want := []string{
			"haf-a-api-1 running", "haf-a-sync-1 running", "haf-b-api-1 running", "haf-b-sync-1 running",
			"haf-c-api-1 running", "haf-c-sync-1 running", "haf-haf-1 running",
		}
		if got := b.containers(); !slices.Equal(got, want) {
			t.Errorf("containers: %v", got)
		}
	})
}

func TestEachHelperIsRecordedBeforeItIsDestroyed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		ended := map[string]int64{}
		for _, e := range b.book.of(events.StepEnded) {
			ended[e.Step] = e.Seq
		}
		destroyed := b.book.of(events.HelperDestroyed)
		if len(destroyed) != 2+1+3+3 {
			t.Errorf("%d helpers destroyed", len(destroyed))
		}
		for _, e := range destroyed {
			if ended[e.Step] == 0 || ended[e.Step] > e.Seq {
				t.Errorf("%s destroyed at %d, recorded at %d", e.Step, e.Seq, ended[e.Step])
			}
		}
	})
}

func TestValuesAreHandedOnToTheSameApp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		for _, app := range []string{"a", "b", "c"} {
			if got := logs(t, b, "haf-"+app+"-api-1"); !strings.HasPrefix(got, "secret-"+app+"\n") {
				t.Errorf("api of %s printed %q", app, got)
			}
		}
	})
}

func TestSecondUpMakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		before := b.engine.Calls()
		result := b.up(hafShaped())
		wantDone(t, result)
		after := b.engine.Calls()
		for _, call := range []string{"Create", "Start", "Stop", "Destroy", "EnsureNetwork", "EnsureVolume"} {
			if after[call] != before[call] {
				t.Errorf("second up made %d calls of %s", after[call]-before[call], call)
			}
		}
		if counts := result.Plan.Counts(); counts["skip"]+counts["adopt"] != len(result.Plan.Steps) {
			t.Errorf("plan: %v\n%s", counts, result.Plan)
		}
	})
}

// TestAnUpThatFindsNothingToDoLooksOnce: what it saw when it planned is all that it needs.
func TestAnUpThatFindsNothingToDoLooksOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		calls := map[string]int{}
		var mu sync.Mutex
		b.opts.Engine = faults.New(b.engine, faults.Options{Hook: func(p faults.Point) {
			mu.Lock()
			defer mu.Unlock()
			if p.Moment == faults.BeforeAct {
				calls[p.Call.Method]++
			}
		}})
		wantDone(t, b.up(hafShaped()))
		if calls["List"] != 1 || calls["Status"]+calls["Exec"]+calls["Create"]+calls["Start"] != 0 {
			t.Errorf("asked the engine %v", calls)
		}
	})
}

// TestWhatCannotBeMadeIsTheStepsFailure: an engine that answers that it cannot make one container
// is no broken engine, whatever it is that keeps it; the others go on as on_failure says.
func TestWhatCannotBeMadeIsTheStepsFailure(t *testing.T) {
	for _, verb := range []stages.Verb{stages.Run, stages.Start} {
		t.Run(string(verb), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				s := newStack("some")
				for _, name := range []string{"good", "bad", "after"} {
					s.service(name, map[stages.Verb]string{stages.Run: "print " + name, stages.Start: "forever"}[verb], nil)
				}
				s.stage(stages.Stage{Name: "all", Verb: verb, OnFailure: stages.Continue}, "good", "bad")
				s.stage(stages.Stage{Name: "after", Verb: verb}, "after")
				b.opts.Engine = faults.New(b.engine, faults.Options{Decide: faults.Every("Create", "some-bad-1", faults.Fault{
					Before: errors.New("create container some-bad-1: failed to mount local volume"),
				})})
				result := b.up(s)
				if got := failuresOf(result); len(got) != 1 || !strings.HasPrefix(got["all/bad"], "could not be made: ") || !strings.HasSuffix(got["all/bad"], ": failed to mount local volume") {
					t.Errorf("failures %v", got)
				}
				outcomes := b.book.outcomes()
				if outcomes["all/good"] != events.Done || outcomes["after"] != events.Done {
					t.Errorf("outcomes %v", outcomes)
				}
				b.opts.Engine = nil
				wantDone(t, b.up(s))
			})
		})
	}
}

func TestOneChangedHelperRunsAgainWithWhatDependsOnIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hafShaped()))
		changed := hafShaped()
		changed.service("b/setup", "print set up b differently then print ::set token=other::", nil)
		result := b.up(changed)
		wantDone(t, result)
		got := map[string]string{}
		for _, s := range result.Plan.Steps {
			if s.Action != "skip" && s.Action != "adopt" {
				got[s.ID] = s.Cause
			}
		}
		want := []string{"api/b", "app-live/b", "setup/b"}
		if keys := sortedKeys(got); !slices.Equal(keys, want) {
			t.Errorf("ran again: %v", got)
		}
		if got := logs(t, b, "haf-b-api-1"); !strings.HasPrefix(got, "other\n") {
			t.Errorf("api of b printed %q", got)
		}
	})
}

func TestOneAppsFailureSkipsOnlyThatApp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		s.service("b/setup", "print about to fail then exit 7", nil)
		result := b.up(s)
		if result.Verdict != events.VerdictFailed || len(result.Failures) != 1 {
			t.Fatalf("verdict %s, failures %v", result.Verdict, failuresOf(result))
		}
		f := result.Failures[0]
		if f.Step != "setup/b" || f.App != "b" || *f.ExitCode != 7 || !slices.Equal(f.Logs, []string{"about to fail"}) {
			t.Errorf("failure: %+v", f)
		}
		outcomes := b.book.outcomes()
		for step, want := range map[string]events.Outcome{"api/a": events.Done, "api/c": events.Done, "sync/b": events.Skipped, "api/b": events.Skipped} {
			if outcomes[step] != want {
				t.Errorf("%s: %s, want %s", step, outcomes[step], want)
			}
		}
		if slices.Contains(b.containers(), "haf-b-setup-1 exited") {
			t.Error("the failed helper is left")
		}
	})
}

func TestAllFailuresOfAStageAreReported(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		s.Stages[3].OnFailure = stages.StopRun
		s.service("a/setup", "exit 1", nil)
		s.service("b/setup", "sleep 3s then exit 2", nil)
		result := b.up(s)
		if got := sortedKeys(failuresOf(result)); !slices.Equal(got, []string{"setup/a", "setup/b"}) {
			t.Errorf("failures: %v", failuresOf(result))
		}
		if o := b.book.outcomes(); o["setup/c"] != events.Done || o["sync/c"] != events.Skipped {
			t.Errorf("outcomes: %v", o)
		}
		if got := b.containers(); !slices.Equal(got, []string{"haf-haf-1 running"}) {
			t.Errorf("services stay and nothing else: %v", got)
		}
	})
}

func TestContinueGoesOnAndIsAFailureAllTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		s.Stages[3].OnFailure = stages.Continue
		s.service("a/setup", "exit 1", nil)
		s.service("a/api", "listen :8080", nil)
		result := b.up(s)
		if result.Verdict != events.VerdictFailed || b.book.outcomes()["api/a"] != events.Done {
			t.Errorf("verdict %s, outcomes %v", result.Verdict, b.book.outcomes())
		}
	})
}

func TestTakeDownRemovesWhatTheRunMadeInReverse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("old", "forever", nil)
		s.stage(stages.Stage{Name: "old", Verb: stages.Start}, "old")
		wantDone(t, b.up(s))

		s.service("one", "forever", nil)
		s.service("two", "forever", nil)
		s.service("bad", "exit 9", nil)
		s.stage(stages.Stage{Name: "one", Verb: stages.Start}, "one")
		s.stage(stages.Stage{Name: "two", Verb: stages.Start}, "two")
		s.stage(stages.Stage{Name: "bad", Verb: stages.Run}, "bad")
		s.OnFailure = stages.TakeDown
		if r := b.up(s); r.Verdict != events.VerdictFailed {
			t.Fatalf("verdict %s", r.Verdict)
		}
		var stopped []string
		verdict := b.book.of(events.RunEnded)[1].Seq
		for _, e := range b.book.of(events.ServiceStopped) {
			stopped = append(stopped, e.Container)
			if e.Seq < verdict {
				t.Error("cleaned up before the verdict was recorded")
			}
		}
		if !slices.Equal(stopped, []string{"s-two-1", "s-one-1"}) {
			t.Errorf("stopped: %v", stopped)
		}
		if got := b.containers(); !slices.Equal(got, []string{"s-old-1 running"}) {
			t.Errorf("left: %v", got)
		}
	})
}

func TestRetriesBackOffAndEndWell(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		v := s.volume("v")
		s.service("flaky", "attempt /v/n 3 5", mount(v, "/v"))
		s.stage(stages.Stage{Name: "flaky", Verb: stages.Run, Retries: stages.Retries{Count: 4, Backoff: time.Second}}, "flaky")
		began := time.Now()
		wantDone(t, b.up(s))
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("took %s, want 1 s + 2 s of backoff", took)
		}
		if e := b.book.of(events.StepEnded)[0]; e.Attempt != 3 {
			t.Errorf("attempt %d", e.Attempt)
		}
	})
}

func TestTimeoutStopsTheHelperAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("slow", "print ::progress 3/9 blocks::syncing then forever", nil)
		s.stage(stages.Stage{Name: "slow", Verb: stages.Await, Timeout: 5 * time.Second}, "slow")
		result := b.up(s)
		if !result.TimedOut() || !strings.Contains(result.Failures[0].Error, "progress 3/9") {
			t.Errorf("failures: %v", failuresOf(result))
		}
		if left := b.containers(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestHandOverRefusesAnUncleanHolder(t *testing.T) {
	for _, test := range []struct {
		name    string
		grace   time.Duration
		verdict events.Verdict
	}{
		{"a grace that is too short", 2 * time.Second, events.VerdictFailed},
		{"a grace that is long enough", 10 * time.Second, events.VerdictDone},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				s := newStack("s")
				v := s.volume("data")
				s.service("holder", "trap SIGTERM 5s exit 0", func(spec *containers.Spec) {
					mount(v, "/data")(spec)
					spec.StopGrace = test.grace
				})
				s.service("next", "print mine", mount(v, "/data"))
				s.stage(stages.Stage{Name: "holder", Verb: stages.Start, Exclusive: v, Units: []stages.Unit{{Ready: logMatches(t, "holder", "ready")}}}, "holder")
				s.stage(stages.Stage{Name: "next", Verb: stages.Run, Exclusive: v}, "next")
				result := b.up(s)
				if result.Verdict != test.verdict {
					t.Fatalf("verdict %s: %v", result.Verdict, failuresOf(result))
				}
				if test.verdict == events.VerdictFailed {
					if text := failuresOf(result)["next"]; !strings.Contains(text, "did not shut down cleanly") || !strings.Contains(text, "SIGKILL") {
						t.Errorf("failure: %s", text)
					}
					// The refusal outlives the run that saw the kill.
					if again := b.up(withoutHolder(s)); again.Verdict != events.VerdictFailed {
						t.Error("a later run forgot that the holder was killed")
					}
				}
			})
		})
	}
}

// withoutHolder leaves the first stage out, as if only the second were left to do.
func withoutHolder(s *stackBuilder) *stackBuilder {
	s.Stages = s.Stages[1:]
	s.Stages[0].Needs = []string{}
	return s
}

func TestUntilEndsAHelperCleanlyOrNotAtAll(t *testing.T) {
	for _, test := range []struct {
		name  string
		grace time.Duration
		want  events.Verdict
	}{
		{"clean", 10 * time.Second, events.VerdictDone},
		{"killed", 2 * time.Second, events.VerdictFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				s := newStack("s")
				s.service("server", "print warming up then trap SIGTERM 5s exit 0", func(spec *containers.Spec) { spec.StopGrace = test.grace })
				s.stage(stages.Stage{Name: "server", Verb: stages.Run, Units: []stages.Unit{{Until: logMatches(t, "server", "ready")}}}, "server")
				if r := b.up(s); r.Verdict != test.want {
					t.Fatalf("verdict %s: %v", r.Verdict, failuresOf(r))
				}
			})
		})
	}
}

func TestAWaitOnSomethingDeadFailsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("db", "sleep 2s then print out of disk then exit 5", nil)
		s.service("detector", "forever", nil)
		s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
		s.stage(stages.Stage{Name: "detector", Verb: stages.Await, Timeout: time.Hour}, "detector")
		began := time.Now()
		result := b.up(s)
		f := result.Failures[0]
		if f.Step != "detector" || !strings.Contains(f.Error, "s-db-1 has died: exit 5") || !slices.Contains(f.Logs, "out of disk") {
			t.Errorf("failure: %+v", f)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestInterruptStopsHelpersAndLeavesServices(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("db", "forever", nil)
		s.service("job", "trap SIGTERM 3s exit 0", nil)
		s.service("never", "forever", nil)
		s.service("last", "print bye", nil)
		s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
		s.stage(stages.Stage{Name: "job", Verb: stages.Run}, "job")
		s.stage(stages.Stage{Name: "never", Verb: stages.Start}, "never")
		s.stage(stages.Stage{Name: "last", Verb: stages.Run, Finally: true}, "last")
		interrupt := make(chan struct{})
		b.opts.Interrupt = interrupt
		time.AfterFunc(2*time.Second, func() { close(interrupt) })
		began := time.Now()
		result := b.up(s)
		if result.Verdict != events.VerdictInterrupted || len(result.Failures) > 0 {
			t.Errorf("verdict %s: %v", result.Verdict, failuresOf(result))
		}
		if took := time.Since(began).Round(time.Second); took != 5*time.Second {
			t.Errorf("took %s, want 2 s and 3 s of grace", took)
		}
		if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
			t.Errorf("left: %v", got)
		}
		if o := b.book.outcomes(); o["last"] != events.Done || o["never"] != events.Skipped {
			t.Errorf("outcomes: %v", o)
		}
		// The same command again finishes the work.
		b.opts.Interrupt = nil
		s.service("job", "print quick", nil)
		wantDone(t, b.up(s))
	})
}

func TestASecondInterruptKills(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("job", "trap SIGTERM 1h exit 0", func(spec *containers.Spec) { spec.StopGrace = time.Hour })
		s.stage(stages.Stage{Name: "job", Verb: stages.Run}, "job")
		interrupt, kill := make(chan struct{}), make(chan struct{})
		b.opts.Interrupt, b.opts.Kill = interrupt, kill
		time.AfterFunc(1*time.Second, func() { close(interrupt) })
		time.AfterFunc(2*time.Second, func() { close(kill) })
		began := time.Now()
		if r := b.up(s); r.Verdict != events.VerdictInterrupted {
			t.Errorf("verdict %s", r.Verdict)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestMaxParallelIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		var names []string
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			s.service(n+"/job", "sleep 1s", nil)
			names = append(names, n+"/job")
		}
		s.stage(stages.Stage{Name: "jobs", Verb: stages.Run, MaxParallel: 3}, names...)
		began := time.Now()
		wantDone(t, b.up(s))
		if took := time.Since(began).Round(time.Second); took != 3*time.Second {
			t.Errorf("7 jobs of 1 s, 3 at a time, took %s", took)
		}
	})
}

func TestAnEmptyStageIsADoor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("first", "sleep 1s", nil)
		s.service("last", "print x", nil)
		s.stage(stages.Stage{Name: "first", Verb: stages.Run}, "first")
		s.stage(stages.Stage{Name: "empty", Verb: stages.Run, Each: true})
		s.stage(stages.Stage{Name: "last", Verb: stages.Run}, "last")
		wantDone(t, b.up(s))
		before(t, b.book.trace(), "done first", "start last")
	})
}

func TestALedgerThatFailsStopsTheRun(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.book.fail = func(e events.Event) error {
			if e.Kind == events.StepEnded && e.Step == "live" {
				return errPlanned
			}
			return nil
		}
		_, err := b.try(hafShaped())
		if err == nil || !strings.Contains(err.Error(), errPlanned.Error()) {
			t.Fatalf("error: %v", err)
		}
		if slices.ContainsFunc(b.book.of(events.StepStarted), func(e events.Event) bool { return e.Stage == "setup" }) {
			t.Error("went on past what was not recorded")
		}
		// What was not recorded was not destroyed either: a later run finds it.
		if !slices.Contains(b.containers(), "haf-live-1 exited") {
			t.Errorf("containers: %v", b.containers())
		}
		b.book.fail = nil
		wantDone(t, b.up(hafShaped()))
	})
}

func TestDownLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		wantDone(t, b.up(s))
		o := runner.DownOptions{Stack: "haf", Engine: b.engine, Sink: &book{}, Ledger: b.book, Run: "d", Order: &s.Stack}
		if err := runner.Down(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		networks, _ := b.engine.ListNetworks(t.Context(), containers.OfStack("haf"))
		volumes, _ := b.engine.ListVolumes(t.Context(), nil)
		if left := b.containers(); len(left)+len(networks) > 0 || len(volumes) != 1 {
			t.Errorf("left: %v %v %v", left, networks, volumes)
		}
		o.Volumes = true
		if err := runner.Down(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if volumes, _ := b.engine.ListVolumes(t.Context(), nil); len(volumes) > 0 {
			t.Errorf("volumes left: %v", volumes)
		}
		wantDone(t, b.up(hafShaped()))
		if got := logs(t, b, "haf-a-api-1"); !strings.HasPrefix(got, "secret-a\n") {
			t.Errorf("after down --volumes everything runs again; api printed %q", got)
		}
	})
}

func TestANetworkThatStaysKeepsNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := hafShaped()
		wantDone(t, b.up(s))
		networks, err := b.engine.ListNetworks(t.Context(), containers.OfStack("haf"))
		if err != nil || len(networks) != 1 {
			t.Fatalf("networks %v, error %v", networks, err)
		}
		guest := containers.Spec{Name: "guest", Image: image, Command: []string{"forever"}, Networks: []containers.Attachment{{Network: networks[0]}}}
		if _, err := b.engine.Create(t.Context(), guest); err != nil {
			t.Fatal(err)
		}
		if err := b.engine.Start(t.Context(), "guest"); err != nil {
			t.Fatal(err)
		}
		o := runner.DownOptions{Stack: "haf", Engine: b.engine, Sink: &book{}, Ledger: b.book, Run: "d", Order: &s.Stack, Volumes: true}
		if err := runner.Down(t.Context(), o); !errors.Is(err, containers.ErrConflict) {
			t.Errorf("got %v, want that the network is in use", err)
		}
		volumes, _ := b.engine.ListVolumes(t.Context(), nil)
		if left := b.containers(); len(left) != 1 || len(volumes) > 0 {
			t.Errorf("left: %v %v", left, volumes)
		}
	})
}

func TestAVolumeMadeAnewMakesItsHelpersRunAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		v := s.volume("v")
		s.service("init", "write /v/x 1", mount(v, "/v"))
		s.service("other", "print x", nil)
		s.stage(stages.Stage{Name: "init", Verb: stages.Run}, "init")
		s.stage(stages.Stage{Name: "other", Verb: stages.Run, Needs: []string{}}, "other")
		wantDone(t, b.up(s))
		time.Sleep(time.Second) // bubble time: the new volume is younger than the record
		if err := b.engine.RemoveVolume(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		result := b.up(s)
		if step := result.Plan.Step("init"); step.Cause != "volume is gone: "+v {
			t.Errorf("init: %s %s", step.Action, step.Cause)
		}
		if step := result.Plan.Step("other"); step.Action != "skip" {
			t.Errorf("other: %s %s", step.Action, step.Cause)
		}
	})
}

func TestAForeignContainerOfThatNameIsLeftAlone(t *testing.T) {
	for name, img := range map[string]string{"in the way": image, "and no image": "nowhere:1"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				foreign := containers.Spec{Name: "s-job-1", Image: image, Command: []string{"forever"}}
				if _, err := b.engine.Create(t.Context(), foreign); err != nil {
					t.Fatal(err)
				}
				if err := b.engine.Start(t.Context(), foreign.Name); err != nil {
					t.Fatal(err)
				}
				s := newStack("s")
				s.service("job", "print x", func(spec *containers.Spec) { spec.Image, spec.Pull = img, containers.PullNever })
				s.stage(stages.Stage{Name: "job", Verb: stages.Run, Retries: stages.Retries{Count: 2}}, "job")
				result := b.up(s)
				if result.Verdict != events.VerdictFailed || result.Conflict() != (img == image) {
					t.Errorf("verdict %s, conflict %t: %v", result.Verdict, result.Conflict(), failuresOf(result))
				}
				if got := b.containers(); !slices.Equal(got, []string{"s-job-1 running"}) {
					t.Errorf("containers: %v", got)
				}
			})
		})
	}
}

func TestARecordedStepWhoseProofFailsRunsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		v := s.volume("v")
		s.service("db", "forever", mount(v, "/v"))
		s.service("init", "write /v/done yes", mount(v, "/v"))
		s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
		proof := conditions.File{Service: "db", Path: "/v/done"}
		s.stage(stages.Stage{Name: "init", Verb: stages.Run, Units: []stages.Unit{{Proof: proof}}}, "init")
		wantDone(t, b.up(s))
		if step := b.up(s).Plan.Step("init"); step.Action != "skip" {
			t.Errorf("while the proof holds: %s %s", step.Action, step.Cause)
		}
		if code, err := b.engine.Exec(t.Context(), "s-db-1", []string{"/actor", "remove", "/v/done"}, nil); err != nil || code != 0 {
			t.Fatal(code, err)
		}
		result := b.up(s)
		wantDone(t, result)
		if step := result.Plan.Step("init"); !strings.HasPrefix(step.Cause, "proof failed: file") {
			t.Errorf("after the proof has gone: %s %s", step.Action, step.Cause)
		}
	})
}

func logMatches(t *testing.T, service, pattern string) waiters.Condition {
	t.Helper()
	return conditions.Log{Service: service, Match: mustRegexp(pattern)}
}

// Each step records whose end let it begin: that of the last thing that it waited for, of a
// step that made room, and past steps that there was nothing to do for.
func TestEachStepSaysWhatItCameBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		data := s.volume("data")
		s.service("db", "forever", mount(data, "/data"))
		for app, command := range map[string]string{"a": "sleep 1s", "b": "sleep 4s", "c": "sleep 1s"} {
			s.service(app+"/job", command, nil)
			s.service(app+"/api", "forever", nil)
		}
		s.service("gate", "forever", nil)
		s.service("last", "print bye", nil)
		s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
		s.stage(stages.Stage{Name: "jobs", Verb: stages.Run, MaxParallel: 2}, "a/job", "b/job", "c/job")
		s.stage(stages.Stage{Name: "api", Verb: stages.Start, PerApp: true}, "a/api", "b/api", "c/api")
		s.stage(stages.Stage{Name: "gate", Verb: stages.Start, Needs: []string{"jobs"}}, "gate")
		s.stage(stages.Stage{Name: "last", Verb: stages.Run, Finally: true}, "last")
		check := func(want map[string]string) {
			t.Helper()
			wantDone(t, b.up(s))
			got := map[string]string{}
			for _, e := range b.book.of(events.StepStarted) {
				got[e.Step] = e.Behind
			}
			for step, behind := range want {
				if got[step] != behind {
					t.Errorf("%s came behind %q, want %q", step, got[step], behind)
				}
			}
		}
		check(map[string]string{
			"db": "", "jobs/a": "db", "jobs/b": "db", "jobs/c": "jobs/a",
			"api/a": "jobs/a", "api/b": "jobs/b", "api/c": "jobs/c", "gate": "jobs/b",
		})
		for _, name := range []string{"s-db-1", "s-a-api-1", "s-gate-1"} {
			if err := b.engine.Destroy(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		check(map[string]string{"db": "", "api/a": "db", "gate": "db"})
		if o := b.book.outcomes(); o["jobs/b"] != events.Skipped {
			t.Errorf("the jobs ran again: %v", o)
		}
	})
}
