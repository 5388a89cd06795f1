package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

var t0 = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// story is a run being told, second by second.
type story struct {
	*Run
	now time.Time
}

// begun is a run of the steps, which are STAGE or STAGE/APP, with their verbs.
func begun(verbs map[string]stages.Verb, ids ...string) *story {
	var steps []*plan.Step
	for _, id := range ids {
		stage, app, _ := strings.Cut(id, "/")
		steps = append(steps, &plan.Step{ID: id, Stage: stage, App: app, Verb: verbs[stage]})
	}
	s := &story{NewRun(steps), t0}
	s.Hint = "Ctrl-C stops the helpers in order; services stay"
	s.tell(0, events.RunStarted, "", events.Event{Verb: "up", Plan: map[string]int{"create": len(ids)}})
	return s
}

// tell goes on to the given second and tells an event.
func (s *story) tell(second float64, kind events.Kind, step string, e events.Event) {
	s.now = t0.Add(time.Duration(second * float64(time.Second)))
	e.Time, e.Kind, e.Step, e.Stack = s.now, kind, step, "haf"
	if step != "" {
		e.Stage, e.App, _ = strings.Cut(step, "/")
	}
	s.Apply(e)
}

func (s *story) start(second float64, ids ...string) {
	for _, id := range ids {
		s.tell(second, events.StepStarted, id, events.Event{Attempt: 1})
	}
}

func (s *story) done(second float64, took time.Duration, ids ...string) {
	for _, id := range ids {
		s.tell(second, events.StepEnded, id, events.Event{Outcome: events.Done, Elapsed: took, Attempt: 1})
	}
}

func (s *story) stage(second float64, name string) {
	s.tell(second, events.StageStarted, "", events.Event{Stage: name})
}

func (s *story) completed(second float64, name string, took time.Duration) {
	s.tell(second, events.StageCompleted, "", events.Event{Stage: name, Elapsed: took})
}

var haf = []string{"replay", "indexes/ada", "indexes/bob", "haf", "live", "setup/ada", "setup/bob", "setup/cyd", "api/ada", "api/bob", "api/cyd"}

var verbs = map[string]stages.Verb{"replay": stages.Run, "indexes": stages.Run, "haf": stages.Start, "live": stages.Await, "setup": stages.Run, "api": stages.Start}

// upTo is the haf stack with everything done up to the set-ups.
func upTo() *story {
	s := begun(verbs, haf...)
	s.stage(0, "replay")
	s.start(0, "replay")
	s.done(12, 12*time.Second, "replay")
	s.completed(12, "replay", 12*time.Second)
	s.stage(12, "indexes")
	s.start(12, "indexes/ada")
	s.done(14, 2*time.Second, "indexes/ada")
	s.start(14, "indexes/bob")
	s.done(17, 3*time.Second, "indexes/bob")
	s.completed(17, "indexes", 5*time.Second)
	s.stage(17, "haf")
	s.start(17, "haf")
	s.done(18, 1200*time.Millisecond, "haf")
	s.stage(18, "live")
	s.start(18, "live")
	s.done(20, 2*time.Second, "live")
	s.stage(20, "setup")
	s.start(20, "setup/ada", "setup/bob", "setup/cyd")
	return s
}

func code(n int) *int { return &n }

// many is a stack of 100 apps in the middle of its run: some have failed, some wait, some serve.
func many() *story {
	var ids []string
	for _, stage := range []string{"db", "setup", "sync", "app-live", "api"} {
		for i := range 100 {
			if stage == "db" {
				ids = append(ids, "db")
				break
			}
			ids = append(ids, fmt.Sprintf("%s/app%03d", stage, i))
		}
	}
	s := begun(map[string]stages.Verb{"db": stages.Start, "setup": stages.Run, "sync": stages.Start, "app-live": stages.Await, "api": stages.Start}, ids...)
	s.start(0, "db")
	s.done(1, time.Second, "db")
	s.stage(1, "setup")
	for i := range 100 {
		app := fmt.Sprintf("/app%03d", i)
		s.start(1, "setup"+app)
		switch {
		case i%40 == 13:
			s.tell(3, events.StepEnded, "setup"+app, events.Event{Outcome: events.Failed, ExitCode: code(1), Error: "exit 1", Elapsed: 2 * time.Second, Logs: []string{"ERROR: relation does not exist"}})
			for _, stage := range []string{"sync", "app-live", "api"} {
				s.tell(3, events.StepEnded, stage+app, events.Event{Outcome: events.Skipped, Error: "not reached: setup" + app + " failed"})
			}
			continue
		case i > 90:
			continue
		}
		s.done(3, 2*time.Second, "setup"+app)
		s.start(4, "sync"+app)
		s.done(5, time.Second, "sync"+app)
		s.tell(5, events.StepStarted, "app-live"+app, events.Event{Verb: "await", Attempt: 1})
		switch {
		case i < 20:
			s.done(30, 25*time.Second, "app-live"+app)
			s.start(30, "api"+app)
			s.tell(30, events.StepWaiting, "api"+app, events.Event{Cause: "http http://app/: refused"})
		case i < 50:
			s.tell(20, events.StepProgress, "app-live"+app, events.Event{Progress: &events.Progress{Done: 10, Total: 98, Unit: "Mblocks", Text: "syncing"}})
			s.tell(30, events.StepProgress, "app-live"+app, events.Event{Progress: &events.Progress{Done: 41.2, Total: 98, Unit: "Mblocks", Text: "syncing"}})
		default:
			s.tell(5, events.StepWaiting, "app-live"+app, events.Event{Cause: "sql: 3 blocks behind"})
		}
	}
	s.now = t0.Add(31 * time.Second)
	return s
}

// stories are the runs whose frames are kept in testdata.
var stories = map[string]func() *story{
	"begun": func() *story {
		s := begun(verbs, haf...)
		s.start(0, "replay")
		s.tell(1, events.StepProgress, "replay", events.Event{Progress: &events.Progress{Text: "image: pulling 41 of 96 MB"}})
		return s
	},
	"waits": func() *story {
		s := begun(verbs, haf...)
		s.tell(0, events.RunStarted, "", events.Event{Verb: "up", Settled: []events.Settled{{Step: "replay", Outcome: events.Skipped}, {Step: "indexes/ada", Outcome: events.Skipped}, {Step: "indexes/bob", Outcome: events.Skipped}}})
		s.start(1, "haf")
		s.tell(1, events.StepWaiting, "haf", events.Event{Cause: "tcp haf:5432: refused"})
		s.tell(3, events.StepOutput, "haf", events.Event{Logs: []string{"LOG:  \x1b[31mdatabase system\x1b[0m is starting up"}})
		s.now = t0.Add(83 * time.Second)
		return s
	},
	"parallel": func() *story {
		s := upTo()
		s.tell(21, events.StepOutput, "setup/ada", events.Event{Logs: []string{"CREATE TABLE posts"}})
		s.tell(21, events.StepProgress, "setup/bob", events.Event{Progress: &events.Progress{Done: 0, Total: 98, Unit: "Mblocks"}})
		s.tell(31, events.StepProgress, "setup/bob", events.Event{Progress: &events.Progress{Done: 41.2, Total: 98, Unit: "Mblocks", Text: "syncing"}})
		s.done(32, 12*time.Second, "setup/cyd")
		return s
	},
	"failed": func() *story {
		s := upTo()
		s.done(21, time.Second, "setup/ada")
		s.tell(22, events.StepEnded, "setup/bob", events.Event{Outcome: events.Failed, ExitCode: code(137), OOM: true, Error: "out of memory (exit 137)", Elapsed: 2 * time.Second, Logs: []string{"building", "allocating 64 GB"}})
		s.tell(22, events.StepStopping, "setup/cyd", events.Event{Outcome: events.Skipped, Cause: "stopped: setup/bob failed"})
		return s
	},
	"retried": func() *story {
		s := upTo()
		s.done(21, time.Second, "setup/ada")
		s.tell(22, events.StepRetrying, "setup/bob", events.Event{ExitCode: code(1), Error: "exit 1", Cause: "attempt 2 of 3 in 5s", Attempt: 1, Logs: []string{"connection reset"}})
		s.tell(22, events.StepRetrying, "setup/cyd", events.Event{ExitCode: code(1), Error: "exit 1", Cause: "attempt 2 of 3 in 1s", Attempt: 1})
		s.tell(23, events.StepStarted, "setup/cyd", events.Event{Attempt: 2})
		s.now = t0.Add(25 * time.Second)
		return s
	},
	"interrupted": func() *story {
		s := upTo()
		s.done(21, time.Second, "setup/ada")
		s.Note("stagehand: stopping the helpers in order; once more kills them")
		s.tell(22, events.RunInterrupted, "", events.Event{Cause: "stopping setup/bob setup/cyd"})
		s.tell(22, events.StepStopping, "setup/bob", events.Event{Outcome: events.Skipped, Cause: "stopped: interrupted"})
		s.tell(22, events.StepEnded, "setup/cyd", events.Event{Outcome: events.Skipped, Error: "stopped: interrupted"})
		return s
	},
	"100-apps": many,
	"ended": func() *story {
		s := upTo()
		s.done(21, time.Second, "setup/ada", "setup/bob")
		s.tell(22, events.StepEnded, "setup/cyd", events.Event{Outcome: events.TimedOut, Error: "timed out after 2s", Elapsed: 2 * time.Second})
		s.completed(22, "setup", 2*time.Second)
		for _, app := range []string{"ada", "bob", "cyd"} {
			s.tell(22, events.StepEnded, "api/"+app, events.Event{Outcome: events.Skipped, Error: "not reached: setup/cyd failed"})
		}
		s.tell(22, events.RunEnded, "", events.Event{Verdict: events.VerdictFailed, Elapsed: 22 * time.Second})
		return s
	},
}

// The frames of testdata, without their colours. UPDATE_FRAMES=1 writes them anew.
func TestFrames(t *testing.T) {
	for name, tell := range stories {
		for _, size := range [][2]int{{80, 24}, {160, 50}} {
			file := fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1])
			t.Run(file, func(t *testing.T) {
				s := tell()
				frame := s.Frame(size[0], size[1], s.now)
				check(t, frame, size[0], size[1])
				got := ansi.Strip(frame) + "\n"
				path := filepath.Join("testdata", file)
				if os.Getenv("UPDATE_FRAMES") == "1" {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s\n%s", diff, got)
				}
			})
		}
	}
}

// fatal is what check needs of a test.
type fatal interface{ Fatalf(string, ...any) }

// check fails the test where a frame is wider or higher than its terminal, or could move the cursor.
func check(t fatal, frame string, width, height int) {
	lines := strings.Split(frame, "\n")
	if len(lines) > height {
		t.Fatalf("%d lines on a terminal of %d:\n%s", len(lines), height, frame)
	}
	for _, line := range lines {
		if got := ansi.StringWidth(line); got > width {
			t.Fatalf("a line of %d cells on a terminal of %d: %q", got, width, line)
		}
		if strings.ContainsAny(ansi.Strip(line), "\x1b\r\t\a\b") {
			t.Fatalf("control characters: %q", line)
		}
	}
}

// Whatever is told, in whatever order, no frame is wider or higher than the terminal, all of which it may use.
func TestFramesFit(t *testing.T) {
	kinds := []events.Kind{
		events.RunStarted, events.RunEnded, events.RunInterrupted, events.StageStarted, events.StageCompleted, events.StepStarted, events.StepWaiting,
		events.StepProgress, events.StepOutput, events.StepRetrying, events.StepStopping, events.StepEnded, events.HelperDestroyed, "of.a.newer.writer",
	}
	words := rapid.OneOf(rapid.SampledFrom([]string{"", "setup", "setup/one", "setup/two", "live", "api/one", "a/b/c", "\x1b[2J\r\nmoved", "日本語のサービス/名前", "👩‍👩‍👧/é̂"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		var steps []*plan.Step
		for _, id := range rapid.SliceOfN(words, 0, 60).Draw(t, "steps") {
			stage, _, _ := strings.Cut(id, "/")
			steps = append(steps, &plan.Step{ID: id, Stage: stage, Verb: stages.Run})
		}
		r := NewRun(steps)
		r.Hint = words.Draw(t, "hint")
		at := t0
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "later")))
			e := events.Event{
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Time: at, Step: words.Draw(t, "step"), Stage: words.Draw(t, "stage"), Stack: words.Draw(t, "stack"),
				Verb: words.Draw(t, "verb"), Cause: words.Draw(t, "cause"), Error: words.Draw(t, "error"), Attempt: rapid.IntRange(-1, 100).Draw(t, "attempt"),
				Outcome: rapid.SampledFrom([]events.Outcome{"", events.Done, events.Failed, events.TimedOut, events.Skipped, events.Adopted, "new"}).Draw(t, "outcome"),
				Logs:    rapid.SliceOfN(words, 0, 3).Draw(t, "logs"), Elapsed: time.Duration(rapid.Int64().Draw(t, "elapsed")),
			}
			if rapid.Bool().Draw(t, "progresses") {
				number := rapid.Float64Min(0)
				e.Progress = &events.Progress{Done: number.Draw(t, "done"), Total: number.Draw(t, "total"), Unit: words.Draw(t, "unit"), Text: words.Draw(t, "text")}
			}
			r.Apply(e)
			if rapid.IntRange(0, 5).Draw(t, "says") == 0 {
				r.Note(words.Draw(t, "note"))
			}
			width, height := rapid.IntRange(-1, 200).Draw(t, "width"), rapid.IntRange(-1, 60).Draw(t, "height")
			check(t, r.Frame(width, height, at.Add(time.Second)), max(width, 0), max(height, 1))
		}
	})
}

// Each failure has a line as long as there are lines, and what is at work has the rest.
func TestFailuresComeFirst(t *testing.T) {
	s := many()
	for height := 10; height <= 50; height++ {
		frame := ansi.Strip(s.Frame(80, height, s.now))
		for _, app := range []string{"app013", "app053"} {
			if !strings.Contains(frame, "✗ "+app+"  ") {
				t.Fatalf("%s is not in a frame of %d lines:\n%s", app, height, frame)
			}
		}
	}
}

// A run that finds nothing to do leaves no frame.
func TestNothingToDo(t *testing.T) {
	s := begun(verbs, "replay")
	s.tell(0, events.RunStarted, "", events.Event{Verb: "up", Plan: map[string]int{"skip": 1}, Settled: []events.Settled{{Step: "replay", Outcome: events.Skipped}}})
	s.tell(0.1, events.RunEnded, "", events.Event{Verdict: events.VerdictDone})
	if frame := s.Frame(80, 24, s.now); frame != "" {
		t.Error(frame)
	}
}

// The drawing of 100 apps' frame, on a terminal of 160 by 50: five times a second it must stay under 5 % of a core.
func BenchmarkFrame(b *testing.B) {
	s := many()
	for i := 0; b.Loop(); i++ {
		s.Frame(160, 50, s.now.Add(time.Duration(i)*turnEvery))
	}
}
