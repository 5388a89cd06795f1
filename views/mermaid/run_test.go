package mermaid

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

// at is an event after so many milliseconds; a helper or service of the step's
// name has the container demo-NAME-1.
func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	e.Kind, e.Step, e.Run, e.Stack = kind, step, "r1", "demo"
	if e.Verb == "run" || e.Verb == "start" {
		if step != "" {
			e.Service, e.Container = step, "demo-"+step+"-1"
		}
	}
	return e
}

func recordedRuns() map[string][]events.Event {
	zero, seven := 0, 7
	run := events.Event{Verb: "run"}
	done := events.Event{Verb: "run", Attempt: 1, Outcome: events.Done, ExitCode: &zero}
	begin := events.Event{Verb: "run", Attempt: 1, Cause: "never ran"}
	start := at(0, events.RunStarted, "", events.Event{Verb: "up"})
	end := func(ms int, v events.Verdict) events.Event {
		return at(ms, events.RunEnded, "", events.Event{Verb: "up", Verdict: v})
	}
	stage := func(ms int, kind events.Kind, name, verb string, o events.Outcome) events.Event {
		return at(ms, kind, "", events.Event{Stage: name, Verb: verb, Outcome: o})
	}
	failed := events.Event{Verb: "run", Attempt: 1, Outcome: events.Failed, ExitCode: &seven, Error: "exit 7", Cause: "attempt 2 of 2 in 1s"}
	return map[string][]events.Event{
		"parallel": {
			start, stage(0, events.StageStarted, "work", "run", ""),
			at(1, events.StepStarted, "a", begin), at(2, events.StepStarted, "b", begin),
			at(500, events.StepEnded, "b", done), at(700, events.StepEnded, "a", done),
			stage(700, events.StageCompleted, "work", "run", events.Done),
			at(710, events.HelperDestroyed, "b", run), at(720, events.HelperDestroyed, "a", run),
			end(730, events.VerdictDone),
		},
		"sequential": {
			start, at(1, events.StepStarted, "a", begin), at(100, events.StepEnded, "a", done),
			at(101, events.StepStarted, "api", events.Event{Verb: "start", Attempt: 1, Cause: "not there"}),
			at(110, events.HelperDestroyed, "a", run),
			at(200, events.StepWaiting, "api", events.Event{Verb: "start", Cause: "http http://api/: refused"}),
			at(300, events.StepWaiting, "api", events.Event{Verb: "start", Cause: "http http://api/: refused"}),
			at(2500, events.StepEnded, "api", events.Event{Verb: "start", Attempt: 1, Outcome: events.Done}),
			at(2501, events.StepStarted, "live", events.Event{Verb: "await", Attempt: 1, Cause: "never ran"}),
			at(2600, events.StepWaiting, "live", events.Event{Verb: "await", Cause: "sql: no row"}),
			at(2700, events.StepEnded, "live", events.Event{Verb: "await", Attempt: 1, Outcome: events.Done}),
			end(2710, events.VerdictDone),
		},
		"failed": {
			start, at(1, events.StepStarted, "a", begin), at(100, events.StepEnded, "a", failed),
			at(100, events.StepEnded, "api", events.Event{Verb: "start", Outcome: events.Skipped, Error: "not reached: a failed"}),
			end(110, events.VerdictFailed), at(120, events.HelperDestroyed, "a", run),
		},
		"retried": {
			start, at(1, events.StepStarted, "a", begin), at(100, events.StepRetrying, "a", failed),
			at(1100, events.StepStarted, "a", events.Event{Verb: "run", Attempt: 2, Cause: "never ran"}),
			at(1200, events.StepEnded, "a", done), at(1210, events.HelperDestroyed, "a", run),
			end(1300, events.VerdictDone),
		},
		"resumed": {
			at(0, events.RunStarted, "", events.Event{Verb: "up", Settled: []events.Settled{{Step: "init", Outcome: events.Skipped, Cause: "recorded by run r0"}}}),
			at(1, events.StepStarted, "db", events.Event{Verb: "start", Attempt: 1, Cause: "runs already"}),
			at(2, events.StepEnded, "db", events.Event{Verb: "start", Attempt: 1, Outcome: events.Adopted}),
			at(3, events.StepStarted, "a", events.Event{Verb: "run", Attempt: 1, Cause: "last attempt: exit 7"}),
			at(900, events.StepWaiting, "a", events.Event{Verb: "run", Cause: "until sql: no row"}),
		},
		"interrupted": {
			start, at(1, events.StepStarted, "db", events.Event{Verb: "start", Attempt: 1, Cause: "not there"}), at(300, events.StepEnded, "db", events.Event{Verb: "start", Attempt: 1, Outcome: events.Done}),
			at(301, events.StepStarted, "a", begin), at(500, events.RunInterrupted, "", events.Event{Cause: "stopping a"}),
			at(501, events.StepStopping, "a", events.Event{Verb: "run", Attempt: 1, Outcome: events.Skipped, Cause: "stopped: interrupted"}),
			at(900, events.StepEnded, "a", events.Event{Verb: "run", Attempt: 1, Outcome: events.Skipped, Error: "stopped: interrupted", ExitCode: &seven}),
			end(910, events.VerdictInterrupted), at(950, events.HelperDestroyed, "a", run),
		},
		"timed-out": {
			start, at(100, events.LeaseAcquired, "", events.Event{Token: 7, Elapsed: 90 * time.Millisecond}),
			at(101, events.StepStarted, "live", events.Event{Verb: "await", Attempt: 1, Cause: "never ran"}),
			at(200, events.StepWaiting, "live", events.Event{Verb: "await", Cause: "tcp db:5432: refused"}),
			at(9000, events.StepWaiting, "live", events.Event{Verb: "await", Cause: "tcp db:5432: no answer"}),
			at(10101, events.StepEnded, "live", events.Event{Verb: "await", Attempt: 1, Outcome: events.TimedOut, Error: "timed out, last seen: no answer"}),
			end(10110, events.VerdictFailed),
		},
		"down": {
			at(0, events.RunStarted, "", events.Event{Verb: "down"}),
			at(100, events.ServiceStopped, "api", events.Event{Verb: "start", Cause: "down", ExitCode: &zero}),
			at(400, events.ServiceStopped, "db", events.Event{Verb: "start", Cause: "down", ExitCode: &seven, Error: "pre_stop: exit 1"}),
			at(500, events.RunEnded, "", events.Event{Verb: "down", Verdict: events.VerdictDone}),
		},
	}
}

// hundredApps is a run of the shape of HAF's: each app is set up beside the others, watched, and served.
func hundredApps() []events.Event {
	zero := 0
	run := []events.Event{at(0, events.RunStarted, "", events.Event{Verb: "up"})}
	for i := range 100 {
		app := fmt.Sprintf("app-%03d", i)
		add := func(ms int, kind events.Kind, stage string, e events.Event) {
			e = at(1000*i+ms, kind, stage+"/"+app, e)
			e.Stage, e.App = stage, app
			if e.Verb != "await" {
				e.Service, e.Container = app+"-"+stage, "demo-"+app+"-"+stage+"-1"
			}
			run = append(run, e)
		}
		add(1, events.StepStarted, "setup", events.Event{Verb: "run", Attempt: 1, Cause: "never ran"})
		add(200, events.StepEnded, "setup", events.Event{Verb: "run", Attempt: 1, Outcome: events.Done, ExitCode: &zero})
		add(210, events.HelperDestroyed, "setup", events.Event{Verb: "run"})
		add(220, events.StepStarted, "live", events.Event{Verb: "await", Attempt: 1, Cause: "never ran", Behind: "setup/" + app})
		add(300, events.StepWaiting, "live", events.Event{Verb: "await", Cause: "sql: no row"})
		add(400, events.StepEnded, "live", events.Event{Verb: "await", Attempt: 1, Outcome: events.Done})
		add(410, events.StepStarted, "api", events.Event{Verb: "start", Attempt: 1, Cause: "not there", Behind: "live/" + app})
		add(500, events.StepEnded, "api", events.Event{Verb: "start", Attempt: 1, Outcome: events.Done})
	}
	return append(run, at(100_500, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictDone}))
}

func strangeNames() []events.Event {
	name := `sémaphore; #1 "ü" <b>`
	return []events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up"}),
		at(1, events.StepStarted, name, events.Event{Verb: "run", Attempt: 1, Cause: "end; %% 日本\nparticipant x"}),
		at(2, events.StepEnded, name, events.Event{Verb: "run", Attempt: 1, Outcome: events.Failed, Error: "a-->>b: \x1b[31m;#"}),
		at(3, events.HelperDestroyed, name, events.Event{Verb: "run"}),
		at(4, events.RunEnded, "", events.Event{Verdict: events.VerdictFailed}),
	}
}

// The drawings are compared with testdata/*.mmd, which GOLDEN=write writes.
func TestDrawRun(t *testing.T) {
	runs := recordedRuns()
	runs["names"] = strangeNames()
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			got, file := DrawRun(run), filepath.Join("testdata", name+".mmd")
			if err := mermaidRules(got); err != nil {
				t.Errorf("%v in\n%s", err, got)
			}
			if os.Getenv("GOLDEN") == "write" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestALargeRunIsDrawnInPart: what failed is there whatever else is not, and as much as there is room for.
func TestALargeRunIsDrawnInPart(t *testing.T) {
	run := hundredApps()
	for i, e := range run {
		if e.Step == "live/app-050" && e.Kind == events.StepEnded {
			run[i].Outcome, run[i].Error = events.TimedOut, "it never came"
		}
	}
	drawing := DrawRun(run)
	if len(drawing) > maxText || len(drawing) < maxText-1000 {
		t.Errorf("%d bytes", len(drawing))
	}
	for _, want := range []string{"it never came", "api/app-099 begins", "setup/app-000 begins", "of 300 steps: what failed"} {
		if !strings.Contains(drawing, want) {
			t.Errorf("no %q", want)
		}
	}
	if err := mermaidRules(drawing); err != nil {
		t.Error(err)
	}
}
