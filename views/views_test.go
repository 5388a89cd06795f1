package views

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/views/text"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func code(n int) *int { return &n }

// failedRun is a run with one of each kind of event, its times in seconds since t0.
func failedRun() []events.Event {
	var all []events.Event
	add := func(seconds float64, e events.Event) {
		e.V, e.Seq, e.Run, e.Stack, e.Time = 1, int64(len(all)+1), "r1", "haf", t0.Add(time.Duration(seconds*float64(time.Second)))
		all = append(all, e)
	}
	step := func(kind events.Kind, id, app string) events.Event {
		return events.Event{Kind: kind, Step: id, Stage: strings.Split(id, "/")[0], App: app, Service: app + "-svc", Container: "haf-" + app + "-1", Attempt: 1}
	}
	add(0, events.Event{Kind: events.RunStarted, Engine: "e", Plan: map[string]int{"create": 4, "skip": 1}})
	add(0.01, events.Event{Kind: events.StageStarted, Stage: "setup", Verb: "run"})
	e := step(events.StepEnded, "indexes", "x")
	e.Outcome, e.Cause = events.Skipped, "recorded by run r0"
	add(0.02, e)
	for _, app := range []string{"a", "b"} {
		e = step(events.StepStarted, "setup/"+app, app)
		e.Cause = "never ran"
		add(0.5, e)
	}
	for i, done := range []float64{10, 20} {
		e = step(events.StepProgress, "setup/a", "a")
		e.Progress = &events.Progress{Done: done, Total: 50, Unit: "Mblocks", Text: "syncing"}
		add(1+float64(10*i), e)
	}
	e = step(events.StepRetrying, "setup/a", "a")
	e.ExitCode, e.Error, e.Cause, e.Logs = code(1), "exit 1", "attempt 2 of 2 in 1s", []string{"no\ttable"}
	add(12, e)
	e = step(events.StepStarted, "setup/a", "a")
	e.Attempt = 2
	add(13, e)
	e = step(events.StepEnded, "setup/a", "a")
	e.Attempt, e.Outcome, e.ExitCode, e.Error, e.Elapsed = 2, events.Failed, code(127), "exit 127", 63*time.Second
	for i := range 30 {
		e.Logs = append(e.Logs, strings.Repeat("l", i))
	}
	e.Logs = append(e.Logs, "\x1b[31mred\x1b[0m\xff")
	add(75, e)
	e = step(events.StepEnded, "api/a", "a")
	e.Outcome, e.Error = events.Skipped, "not reached: setup/a failed"
	add(75, e)
	e = step(events.StepEnded, "live/a", "a")
	e.Outcome, e.Error = events.Skipped, "not reached: api/a was not done"
	add(75, e)
	e = step(events.StepEnded, "setup/b", "b")
	e.Outcome, e.ExitCode, e.Error = events.Skipped, code(143), "stopped: setup/a failed"
	add(76, e)
	e = step(events.StepWaiting, "wait", "")
	e.Cause = "tcp haf:5432: refused"
	add(77, e)
	e.Kind, e.Outcome, e.Error, e.Elapsed = events.StepEnded, events.TimedOut, "tcp haf:5432 did not hold in 1s: refused", time.Second
	add(78, e)
	add(78, step(events.HelperDestroyed, "setup/a", "a"))
	e = step(events.ServiceStopped, "haf", "haf")
	e.ExitCode, e.Cause = code(137), "hand-over"
	add(79, e)
	e = step(events.StepEnded, "serve", "s")
	e.Outcome, e.Elapsed, e.Addresses = events.Done, 20*time.Millisecond, []string{"127.0.0.1:8081->8080/tcp", "[::1]:8081->8080/tcp", "127.0.0.1:53->53/udp"}
	add(80, e)
	add(81, events.Event{Kind: events.StageCompleted, Stage: "setup", Elapsed: 80 * time.Second, Error: "1 of 2 steps failed"})
	add(81, events.Event{Kind: "something.new", Stage: "setup", Cause: "of a newer writer"})
	add(3700, events.Event{Kind: events.RunEnded, Verdict: events.VerdictFailed, Elapsed: 3700 * time.Second})
	return all
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	l := &Lines{W: &out, Steps: []string{"setup/a", "indexes"}, After: map[string]string{"setup/a": "haf, indexes"}}
	synctest.Test(t, func(t *testing.T) {
		for _, e := range failedRun() {
			time.Sleep(2 * time.Second) // so that no progress is held back
			if err := l.Emit(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	})
	want := `    0.00  haf      run        r1: 5 steps: 4 to create, 1 recorded as done
    0.01  setup    stage      begins: run
    0.02  indexes  recorded   by run r0
    0.50  setup/a  started    haf-a-1: never ran
    0.50  setup/b  started    haf-b-1: never ran
    1.00  setup/a  progress   10/50 Mblocks, 20%: syncing
   11.00  setup/a  progress   20/50 Mblocks, 40%: syncing, about 30.0s left
   12.00  setup/a  retrying   exit 1, attempt 2 of 2 in 1s
            | no table
   13.00  setup/a  started    haf-a-1: attempt 2
 1:15.00  setup/a  failed     exit 127: command not found after 1m03s, attempt 2
            | ` + strings.Repeat("l", 26) + `
            | ` + strings.Repeat("l", 27) + `
            | ` + strings.Repeat("l", 28) + `
            | ` + strings.Repeat("l", 29) + `
            | [31mred[0m` + "\uFFFD" + `
 1:15.00  api/a    missed     setup/a failed
 1:15.00  live/a   missed     api/a was not done
 1:16.00  setup/b  stopped    setup/a failed, ended by SIGTERM (exit 143)
 1:17.00  wait     waiting    tcp haf:5432: refused
 1:18.00  wait     timed out  tcp haf:5432 did not hold in 1s: refused, after 1.0s
 1:18.00  setup/a  removed    haf-a-1
 1:19.00  haf      stopped    haf-haf-1: killed (SIGKILL, exit 137), hand-over
 1:20.00  serve    done       after 20ms, http://localhost:8081 127.0.0.1:53->53/udp
 1:21.00  setup    stage      ended: 1 of 2 steps failed, after 1m20s
 1:21.00  setup    something.new  of a newer writer

haf: failed after 1h01m: 2 steps failed, 3 stopped or not reached

  setup/a failed: exit 127: command not found
    app a, service a-svc, container haf-a-1, attempt 2, after haf, indexes
    its last lines:
`
	for i := 11; i < 30; i++ {
		want += "            | " + strings.Repeat("l", i) + "\n"
	}
	want += "            | [31mred[0m\uFFFD" + `
    stopped or not reached because of it: api/a, live/a, setup/b

  wait timed out: tcp haf:5432 did not hold in 1s: refused
    service -svc, container haf--1

  serve  http://localhost:8081 127.0.0.1:53->53/udp

  Services that run stay as they are. Next:
    stagehand logs --run r1 setup/a  what it has printed
    stagehand debug setup/a          a shell where it ran
    stagehand status                 where every step stands
    stagehand up                     goes on from here
    stagehand down                   takes the stack down
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// A step that says nothing for 30 s gets a line, and progress is not written
// more often than once a second.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &Lines{W: &out}
		emit := func(e events.Event) {
			e.Time, e.Stack = time.Now(), "haf"
			if err := l.Emit(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		emit(events.Event{Kind: events.RunStarted, Run: "r"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Beat(ctx, Heartbeat)
		}()
		emit(events.Event{Kind: events.StepWaiting, Step: "live", Cause: "sql x: false"})
		time.Sleep(95 * time.Second)
		synctest.Wait()
		if got := strings.Count(out.String(), "live  still      waiting for sql x: false, for "); got != 3 && got != 2 {
			t.Errorf("%d heartbeats in 95 s:\n%s", got, out.String())
		}
		for i := range 100 {
			emit(events.Event{Kind: events.StepProgress, Step: "live", Progress: &events.Progress{Done: float64(i), Unit: "x"}})
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := strings.Count(out.String(), "progress"); got < 8 || got > 11 {
			t.Errorf("%d progress lines in 10 s:\n%s", got, out.String())
		}
		emit(events.Event{Kind: events.StepEnded, Step: "live", Outcome: events.Done})
		before := out.Len()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if out.Len() != before {
			t.Errorf("a step that has ended is still at work:\n%s", out.String()[before:])
		}
		cancel()
		<-done
	})
}

func TestWords(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8081->8080/tcp": "http://localhost:8081", "0.0.0.0:1->443/tcp": "https://far:1", "[::]:1->80/tcp": "http://far:1",
		"10.0.0.1:5->80/tcp": "http://10.0.0.1:5", "[fe80::1]:5->80/tcp": "http://[fe80::1]:5", "0.0.0.0:5432->5432/tcp": "far:5432",
		"0.0.0.0:53->53/udp": "0.0.0.0:53->53/udp", "odd": "odd",
	} {
		if got := url(address, "far"); got != want {
			t.Errorf("url(%s) = %s, want %s", address, got, want)
		}
	}
	if got := text.Progress(events.Progress{Text: "image: pulling"}); got != "image: pulling" {
		t.Error(got)
	}
}

type failing struct{ calls int }

func (f *failing) Emit(context.Context, events.Event) error {
	f.calls++
	return errors.New("no")
}

func TestFan(t *testing.T) {
	var out bytes.Buffer
	bad := &failing{}
	f := &Fan{Keep: JSON{&out}, Show: []events.Sink{bad, JSON{&out}}}
	for range 2 {
		if err := f.Emit(t.Context(), events.Event{Kind: events.RunStarted, Error: "<&>"}); err != nil {
			t.Fatal(err)
		}
	}
	if bad.calls != 1 || f.Err() == nil {
		t.Errorf("a view that failed was called %d times, Err %v", bad.calls, f.Err())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"<&>"`) || !json.Valid([]byte(lines[0])) {
		t.Errorf("%q", lines)
	}
	// A ledger that fails: the event has failed, and nobody is shown it.
	out.Reset()
	f = &Fan{Keep: bad, Show: []events.Sink{JSON{&out}}}
	if err := f.Emit(t.Context(), events.Event{}); err == nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestStatus(t *testing.T) {
	steps := []*plan.Step{{ID: "indexes", Stage: "indexes"}, {ID: "later", Stage: "later", Container: "haf-later-1"}, {ID: "serve", Container: "haf-s-1"}}
	observed := []containers.Status{
		{Name: "haf-s-1", State: containers.StateRunning, Health: containers.HealthHealthy},
		{Name: "haf-b-1", State: containers.StateExited, ExitCode: 143},
	}
	all := failedRun()
	report := Status("haf", all, steps, observed)
	got := report.Table(t0.Add(3760 * time.Second))
	want := `haf: run r1 failed 1m00s ago, after 1h01m

STEP     STATE        FOR    CONTAINER  DETAIL
indexes  recorded     -      -          by run r0
later    pending      -      -
serve    done         20ms   healthy
setup/a  failed       1m03s  -          exit 127: command not found, attempt 2
setup/b  stopped      -      exited     setup/a failed, ended by SIGTERM (exit
                                        143)
api/a    not reached  -      -          setup/a failed
live/a   not reached  -      -          api/a was not done
wait     timed out    1.0s   -          tcp haf:5432 did not hold in 1s: refused
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// While the run goes on.
	report = Status("haf", all[:6], steps, nil)
	got = report.Table(t0.Add(time.Minute))
	for _, line := range []string{"no end is recorded", "setup/a  running   59.5s  gone       10/50 Mblocks, 20%: syncing"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
	report.Unobserve(errors.New("down"))
	if got := report.Table(t0); strings.Contains(got, "gone") || !strings.Contains(got, "containers are not shown: down") {
		t.Error(got)
	}
	if got := Status("x", nil, nil, nil).Table(t0); got != "x: no run is recorded\n" {
		t.Error(got)
	}
}

// What a detector container says of its progress is what its wait saw last.
func TestStatusOfWaits(t *testing.T) {
	at := func(seconds int, e events.Event) events.Event {
		e.Run, e.Stack, e.Step, e.Verb, e.Time = "r", "haf", "live", "await", t0.Add(time.Duration(seconds)*time.Second)
		return e
	}
	run := []events.Event{
		{Kind: events.RunStarted, Run: "r", Time: t0},
		at(1, events.Event{Kind: events.StepStarted, Cause: "never ran"}),
		at(2, events.Event{Kind: events.StepProgress, Progress: &events.Progress{Done: 10, Total: 100, Unit: "blocks"}}),
		at(12, events.Event{Kind: events.StepProgress, Progress: &events.Progress{Done: 20, Total: 100, Unit: "blocks"}}),
	}
	got := Status("haf", run, nil, nil).Table(t0.Add(21 * time.Second))
	if want := "live  waiting  20.0s  -          20/100 blocks, 20%, about 1m20s left\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	run = append(run, events.Event{Kind: events.RunEnded, Run: "r", Time: t0.Add(time.Minute), Verdict: events.VerdictDone})
	report := Status("haf", run, nil, nil)
	report.TakenDown = t0.Add(2 * time.Minute)
	if got := report.Table(t0.Add(3 * time.Minute)); !strings.Contains(got, "\n  and was taken down 1m00s ago\n") {
		t.Error(got)
	}
}

// A run that finds all in place is short; what is unexpected in it is shown all the same.
func TestLinesOfARunWithNothingToDo(t *testing.T) {
	var out bytes.Buffer
	l := &Lines{W: &out, Steps: []string{"haf", "api"}}
	step := func(kind events.Kind, id, verb string, outcome events.Outcome) events.Event {
		cause := "recorded by run r0"
		if kind == events.StepStarted {
			cause = "runs already"
		}
		return events.Event{Kind: kind, Step: id, Verb: verb, Outcome: outcome, Cause: cause}
	}
	served := step(events.StepEnded, "api", "start", events.Adopted)
	served.Addresses = []string{"127.0.0.1:8081->8080/tcp"}
	for _, e := range []events.Event{
		{Kind: events.RunStarted, Run: "r", Verb: "up", Plan: map[string]int{"adopt": 2, "skip": 1}},
		{Kind: events.StageStarted, Stage: "haf"},
		step(events.StepEnded, "init", "run", events.Skipped),
		step(events.StepStarted, "haf", "start", ""),
		step(events.StepEnded, "haf", "start", events.Adopted),
		{Kind: events.StageCompleted, Stage: "haf"},
		step(events.StepStarted, "api", "start", ""),
		{Kind: events.StepWaiting, Step: "api", Cause: "http http://api/: refused"},
		served,
		{Kind: events.RunEnded, Verb: "up", Verdict: events.VerdictDone, Elapsed: 20 * time.Millisecond},
	} {
		e.Stack, e.Time = "demo", t0
		if err := l.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := `    0.00  demo  run        r: 3 steps: 2 run already, 1 recorded as done, nothing new to do
    0.00  api   waiting    http http://api/: refused

demo: done after 20ms

  api  http://localhost:8081
  haf  runs, no port published
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCounts(t *testing.T) {
	for want, plan := range map[string]map[string]int{
		"0 steps": nil,
		"1 step: 1 runs already, nothing new to do":                             {"adopt": 1},
		"19 steps: 7 run already, 12 recorded as done, nothing new to do":       {"adopt": 7, "skip": 12},
		"6 steps: 1 to create, 2 to make anew, 1 to start again, 2 to wait for": {"create": 1, "recreate": 2, "start": 1, "wait": 2},
		"3 steps: 1 to call, 1 recorded as done, 1 of a newer writer":           {"call": 1, "skip": 1, "of a newer writer": 1},
	} {
		if got := counts(plan); got != want {
			t.Errorf("%v: %s, want %s", plan, got, want)
		}
	}
}

func TestPS(t *testing.T) {
	label := func(service, app, role string) map[string]string {
		return map[string]string{containers.LabelService: service, containers.LabelApp: app, containers.LabelRole: role}
	}
	list := []containers.Status{
		{Name: "z", State: containers.StateRunning, Labels: label("b-api", "b", containers.RoleService), Health: containers.HealthStarting, Ports: []containers.Binding{
			{HostIP: "0.0.0.0", Host: 8081, Container: 8080, Protocol: "tcp"}, {HostIP: "::", Host: 8081, Container: 8080, Protocol: "tcp"}, {Host: 53, Container: 53, Protocol: "udp"}, {Container: 9}}},
		{Name: "y", State: containers.StateRunning, Labels: label("haf", "", containers.RoleService)},
		{Name: "x", State: containers.StateExited, ExitCode: 3, Labels: label("b-setup", "b", containers.RoleHelper)},
		{Name: "p", State: containers.StateRunning, Labels: label("", "", containers.RoleProbe)},
	}
	want := `SERVICE  APP  STATE               HEALTH    REACHED AT                     CONTAINER
haf      -    running             -         -                              y
b-api    b    running             starting  http://far.example:8081 53/udp  z
b-setup  b    exited (3), helper  -         -                              x
`
	if diff := cmp.Diff(strings.Fields(want), strings.Fields(PSTable(PS(list, "far.example", true)))); diff != "" {
		t.Error(diff)
	}
	if rows := PS(list, "", false); len(rows) != 2 || rows[1].URLs[0] != "http://localhost:8081" {
		t.Errorf("%+v", rows)
	}
}
