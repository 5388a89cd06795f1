package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/events"
)

// ofApp is the event of a step that deploys the app with so many partitions.
func ofApp(run string, seq int64, kind events.Kind, app, partitions string) events.Event {
	e := event(run, seq, kind)
	e.App, e.Step, e.Descriptor = app, "deploy/"+app, map[string]string{"partitions": partitions}
	if kind == events.StepEnded {
		e.Outcome = events.Done
	}
	return e
}

// appsOf are the stack's apps on engine e1, as "STATE partitions".
func appsOf(t testing.TB, l *Ledger) map[string]string {
	t.Helper()
	apps, err := l.Apps(t.Context(), "haf", "e1")
	if err != nil || apps == nil {
		t.Fatalf("%v, %v", apps, err)
	}
	out := map[string]string{}
	for name, a := range apps {
		if a.Name != name || a.Stack != "haf" || a.Engine != "e1" || a.Run == "" || a.Time.IsZero() {
			t.Errorf("%s is %+v", name, a)
		}
		out[name] = fmt.Sprintf("%s %v", a.State, a.Descriptor)
	}
	return out
}

// changesOf is the history of the stack's apps, as "APP STATE partitions RUN CAUSE".
func changesOf(t testing.TB, l *Ledger) []string {
	t.Helper()
	all, err := l.AppHistory(t.Context(), "haf")
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, c := range all {
		out = append(out, fmt.Sprintf("%s %s %v %s %s", c.Name, c.State, c.Descriptor, c.Run, c.Cause))
	}
	return out
}

func TestApps(t *testing.T) { everywhere(t, testApps) }

// testApps: the beginning of a step binds, its end completes, the same again
// writes nothing, another value is refused and its event not kept.
func testApps(t *testing.T, address string) {
	l := openAt(t, address)
	want := func(apps map[string]string, history ...string) {
		t.Helper()
		for _, reader := range []*Ledger{l, openAt(t, address)} {
			if diff := cmp.Diff(apps, appsOf(t, reader)); diff != "" {
				t.Errorf("apps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(append([]string{}, history...), changesOf(t, reader)); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		}
	}
	want(map[string]string{})
	emit(t, l, started("r1", "haf", "e1"), ofApp("r1", 2, events.StepStarted, "one", "2"))
	begun := "one deploying map[partitions:2] r1 "
	want(map[string]string{"one": "deploying map[partitions:2]"}, begun)

	// A step that failed, was not reached or only waits says nothing.
	for i, change := range []func(*events.Event){
		func(e *events.Event) { e.Outcome, e.Error = events.Failed, "exit 1" },
		func(e *events.Event) { e.Outcome, e.Error = events.Skipped, "not reached: x failed" },
		func(e *events.Event) { e.Kind = events.StepWaiting },
		func(e *events.Event) { e.Descriptor = nil },
		func(e *events.Event) { e.App = "" },
	} {
		e := ofApp("r1", int64(3+i), events.StepEnded, "one", "2")
		change(&e)
		emit(t, l, e)
	}
	want(map[string]string{"one": "deploying map[partitions:2]"}, begun)

	// Another value, by whichever run and event: refused, nothing written.
	emit(t, l, started("r2", "haf", "e1"))
	for _, kind := range []events.Kind{events.StepStarted, events.StepEnded} {
		e := ofApp("r2", 2, kind, "one", "3")
		if err := l.Emit(t.Context(), e); !errors.Is(err, ErrDeployed) {
			t.Errorf("%s with 3: %v", kind, err)
		}
	}
	if got, err := l.Events(t.Context(), "r2", 1); err != nil || len(got) > 0 {
		t.Errorf("kept: %v, %v", got, err)
	}
	want(map[string]string{"one": "deploying map[partitions:2]"}, begun)

	done := "one deployed map[partitions:2] r2 "
	emit(t, l, ofApp("r2", 2, events.StepStarted, "one", "2"), ofApp("r2", 3, events.StepEnded, "one", "2"),
		ofApp("r2", 4, events.StepStarted, "one", "2"), ofApp("r2", 5, events.StepEnded, "one", "2"))
	want(map[string]string{"one": "deployed map[partitions:2]"}, begun, done)

	// A further field is added, and the app stays deployed.
	more := ofApp("r2", 6, events.StepStarted, "one", "2")
	more.Descriptor["workspaces"] = "10"
	emit(t, l, more)
	extended := "one deployed map[partitions:2 workspaces:10] r2 "
	want(map[string]string{"one": "deployed map[partitions:2 workspaces:10]"}, begun, done, extended)

	// Another stack and another engine have their own.
	elsewhere := ofApp("r4", 2, events.StepEnded, "one", "5")
	elsewhere.Stack = "hello"
	emit(t, l, started("r3", "haf", "e2"), ofApp("r3", 2, events.StepEnded, "one", "4"), started("r4", "hello", "e1"), elsewhere)
	if got := appsOf(t, l); len(got) != 1 || got["one"] != "deployed map[partitions:2 workspaces:10]" {
		t.Errorf("on e1: %v", got)
	}
	if all, err := l.AppsOf(t.Context(), "haf"); err != nil || len(all) != 2 || all[1].Engine != "e2" {
		t.Errorf("%v, %v", all, err)
	}

	// What is forgotten may come back otherwise; a removal of nothing is none.
	removed := ofApp("r2", 7, events.AppRemoved, "one", "2")
	removed.Cause = "apps remove"
	emit(t, l, removed, func() events.Event { e := removed; e.Seq = 8; return e }(), ofApp("r2", 9, events.StepStarted, "one", "3"))
	want(map[string]string{"one": "deploying map[partitions:3]"}, begun, done, extended,
		"one removed map[partitions:2 workspaces:10] r2 apps remove", "one deploying map[partitions:3] r2 ",
		"one deployed map[partitions:4] r3 ")
}

func TestAppsOutliveTheirRuns(t *testing.T) { everywhere(t, testAppsOutliveTheirRuns) }

func testAppsOutliveTheirRuns(t *testing.T, address string) {
	l := openAt(t, address)
	emit(t, l, started("r1", "haf", "e1"), ofApp("r1", 2, events.StepEnded, "one", "2"), event("r1", 3, events.RunEnded))
	for i := range 3 {
		whole(t, l, fmt.Sprintf("new-%d", i), "haf", "b")
	}
	if err := l.Forget(t.Context(), "haf", "e1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Prune(t.Context(), "haf", 1); err != nil {
		t.Fatal(err)
	}
	if got := appsOf(t, l); got["one"] != "deployed map[partitions:2]" || len(changesOf(t, l)) != 1 {
		t.Errorf("%v, %v", got, changesOf(t, l))
	}
}

func TestTheSameEventRegistersOnce(t *testing.T) { everywhere(t, testTheSameEventRegistersOnce) }

// testTheSameEventRegistersOnce: an event whose commit's answer got lost is emitted again.
func testTheSameEventRegistersOnce(t *testing.T, address string) {
	l := openAt(t, address)
	e := ofApp("r1", 2, events.StepEnded, "one", "2")
	emit(t, l, started("r1", "haf", "e1"), e, e)
	if got := changesOf(t, l); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestManyDeployOneApp(t *testing.T) { everywhere(t, testManyDeployOneApp) }

// testManyDeployOneApp: of processes that deploy one app with two counts at one
// time, those of one count get through and all others are refused; one record, one history.
func testManyDeployOneApp(t *testing.T, address string) {
	openAt(t, address)
	const processes = 8
	var group errgroup.Group
	refused := make([]bool, processes)
	for p := range processes {
		group.Go(func() error {
			l, err := Open(t.Context(), address)
			if err != nil {
				return err
			}
			defer l.Close()
			run := fmt.Sprint("run-", p)
			if err := l.Emit(t.Context(), started(run, "haf", "e1")); err != nil {
				return err
			}
			err = l.Emit(t.Context(), ofApp(run, 2, events.StepEnded, "one", fmt.Sprint(2+p%2)))
			refused[p] = errors.Is(err, ErrDeployed)
			if refused[p] {
				err = nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for p := range processes {
		if refused[p] != refused[p%2] || refused[0] == refused[1] {
			t.Fatalf("refused: %v", refused)
		}
	}
	if got, history := appsOf(t, openAt(t, address)), changesOf(t, openAt(t, address)); len(got) != 1 || len(history) != 1 {
		t.Errorf("%v, %v", got, history)
	}
}

func TestAppsOfAnOlderLedger(t *testing.T) {
	// One that was made before there was a registry: it is added, and what was there stays.
	path := places["sqlite"](t)
	l := openAt(t, path)
	emit(t, l, started("r1", "haf", "e1"))
	older(t, l, 2)
	again := openAt(t, path)
	emit(t, again, ofApp("r1", 2, events.StepEnded, "one", "2"))
	if got := appsOf(t, again); got["one"] != "deployed map[partitions:2]" {
		t.Errorf("%v", got)
	}
}

// TestNewsOfApps: that a recorded step was skipped and a service adopted is news where it registers an app.
func TestNewsOfApps(t *testing.T) {
	var kept kinds
	n := &News{To: &kept}
	first := started("r1", "haf", "e1")
	first.Settled = []events.Settled{{Step: "deploy/one", Outcome: events.Skipped}, {Step: "deploy/two", Outcome: events.Adopted}, {Step: "x", Outcome: events.Skipped}}
	skipped := ofApp("r1", 2, events.StepEnded, "one", "2")
	skipped.Outcome = events.Skipped
	begun, adopted := ofApp("r1", 3, events.StepStarted, "two", "2"), ofApp("r1", 4, events.StepEnded, "two", "2")
	begun.Attempt, adopted.Outcome = 1, events.Adopted
	other := ended("r1", 5, "x", events.Skipped, "")
	for _, e := range []events.Event{first, skipped, begun, adopted, other} {
		if err := n.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(kinds{events.RunStarted, events.StepEnded, events.StepStarted, events.StepEnded}, kept); diff != "" {
		t.Error(diff)
	}
}

type kinds []events.Kind

func (k *kinds) Emit(_ context.Context, e events.Event) error {
	*k = append(*k, e.Kind)
	return nil
}
