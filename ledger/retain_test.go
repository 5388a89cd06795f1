package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

// rows counts all that is kept, by table.
func rows(t *testing.T, l *Ledger) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, table := range []string{"runs", "events", "forgotten", "fences"} {
		var n int
		if err := l.store.Reader.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[table] = n
	}
	return counts
}

// whole is a run of steps, from its beginning to its end.
func whole(t *testing.T, l *Ledger, run, stack string, steps ...string) {
	t.Helper()
	emit(t, l, started(run, stack, "e1"))
	seq := int64(1)
	for _, step := range steps {
		seq++
		e := ended(run, seq, step, events.Done, run)
		e.Stack = stack
		emit(t, l, e)
	}
	over := event(run, seq+1, events.RunEnded)
	over.Stack, over.Verdict = stack, events.VerdictDone
	emit(t, l, over)
}

func TestPrune(t *testing.T) { everywhere(t, testPrune) }

func testPrune(t *testing.T, address string) {
	l := openAt(t, address)
	code := 0
	whole(t, l, "r1", "haf", "a", "b", "old")
	held := ended("r2", 2, "holder", events.Failed, "s")
	held.Exclusive, held.ExitCode = "data", &code
	emit(t, l, started("r2", "haf", "e1"), held)
	over := event("r2", 3, events.RunEnded)
	emit(t, l, over, started("goes-on", "haf", "e1"))
	emit(t, l, func() events.Event { // killed long ago
		e := started("killed", "haf", "e1")
		e.Time = time.Now().Add(-unended - time.Hour)
		return e
	}())
	young := ended("goes-on", 2, "x", events.Failed, "s")
	begun := started("goes-on-2", "haf", "e1")
	begun.Time = time.Now()
	emit(t, l, young, begun)
	if err := l.Forget(t.Context(), "haf", "e1", "old"); err != nil {
		t.Fatal(err)
	}
	whole(t, l, "hello-1", "hello", "a")
	for i := range 5 {
		whole(t, l, fmt.Sprintf("new-%d", i), "haf", "b")
	}
	recorded, err := l.Recorded(t.Context(), "haf", "e1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // may be repeated
		if err := l.Prune(t.Context(), "haf", 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(recorded)); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("recorded are %v", got)
	}
	again, err := l.Recorded(t.Context(), "haf", "e1")
	if diff := cmp.Diff(recorded, again); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	holders, err := l.Holders(t.Context(), "haf", "e1")
	if err != nil || holders["data"].Run != "r2" {
		t.Errorf("%v, %v", holders, err)
	}
	runs, err := l.Runs(t.Context(), "")
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	if want := []string{"new-4", "new-3", "new-2", "hello-1", "goes-on-2"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("%v, %v", ids, err)
	}
	// 5 runs that are listed with 3 events each (goes-on-2 has 1), and of r1 and r2 one event each.
	if got, want := rows(t, l), (map[string]int{"runs": 7, "events": 15, "forgotten": 0, "fences": 0}); !maps.Equal(got, want) {
		t.Errorf("%v where %v was wanted", got, want)
	}
	left, err := l.Left(t.Context(), "haf")
	if err != nil || len(left) != 2 || left[0].Step != "a" || left[1].Step != "holder" {
		t.Errorf("left: %v, %v", left, err)
	}
	emit(t, l, ended("goes-on-2", 2, "y", events.Done, "s")) // it did
	whole(t, l, "new-5", "haf", "a")
	if err := l.Prune(t.Context(), "haf", 3); err != nil {
		t.Fatal(err)
	}
	if run, ok, err := l.Find(t.Context(), "r1"); err != nil || ok {
		t.Errorf("%v, %v", run, err)
	}
	var r1 int
	if err := l.store.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM runs WHERE id = 'r1'`).Scan(&r1); err != nil || r1 != 0 {
		t.Errorf("the last that counted of r1 is done anew, and %d rows of it are left (%v)", r1, err)
	}
	if err := l.Prune(t.Context(), "haf", 0); err == nil {
		t.Error("kept none")
	}
}

// A run that finds nothing to do writes its beginning and its end.
func TestNewsOfARunThatFindsNothingToDo(t *testing.T) {
	everywhere(t, testNewsOfARunThatFindsNothingToDo)
}

func testNewsOfARunThatFindsNothingToDo(t *testing.T, address string) {
	l := openAt(t, address)
	whole(t, l, "r1", "haf", "a", "b")
	before := rows(t, l)
	news, seq := &News{To: l}, int64(0)
	tell := func(e events.Event) {
		seq++
		e.V, e.Run, e.Seq, e.Stack, e.Time = 1, "r2", seq, "haf", t0
		if err := news.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	begun := events.Event{Kind: events.RunStarted, Engine: "e1", Verb: "up"}
	for i := range 100 {
		begun.Settled = append(begun.Settled, events.Settled{Step: fmt.Sprint("service-", i), Outcome: events.Adopted})
	}
	begun.Settled = append(begun.Settled, events.Settled{Step: "a", Outcome: events.Skipped, Cause: "recorded by run r1"})
	tell(begun)
	tell(events.Event{Kind: events.StepEnded, Stage: "first", Step: "a", Outcome: events.Skipped, Cause: "recorded by run r1"})
	tell(events.Event{Kind: events.StageStarted, Stage: "second"})
	for i := range 100 {
		tell(events.Event{Kind: events.StepStarted, Stage: "second", Step: fmt.Sprint("service-", i), Attempt: 1})
		tell(events.Event{Kind: events.StepEnded, Stage: "second", Step: fmt.Sprint("service-", i), Attempt: 1, Outcome: events.Adopted})
	}
	tell(events.Event{Kind: events.StageCompleted, Stage: "second", Outcome: events.Done})
	tell(events.Event{Kind: events.RunEnded, Verdict: events.VerdictDone})
	before["runs"]++
	before["events"] += 2
	if after := rows(t, l); !maps.Equal(before, after) {
		t.Errorf("%v where %v was wanted", after, before)
	}
}

func TestNews(t *testing.T) {
	settled := []events.Settled{{Step: "a", Outcome: events.Skipped}, {Step: "s", Outcome: events.Adopted}}
	begun := events.Event{Kind: events.RunStarted, Settled: settled}
	stage := events.Event{Kind: events.StageStarted, Stage: "x"}
	start := events.Event{Kind: events.StepStarted, Stage: "x", Step: "s", Attempt: 1}
	adopted := events.Event{Kind: events.StepEnded, Stage: "x", Step: "s", Outcome: events.Adopted}
	completed := events.Event{Kind: events.StageCompleted, Stage: "x"}
	with := func(e events.Event, change func(*events.Event)) events.Event {
		change(&e)
		return e
	}
	waiting := events.Event{Kind: events.StepWaiting, Stage: "x", Step: "s"}
	failed := with(adopted, func(e *events.Event) { e.Outcome, e.Error = events.Failed, "ended at once" })
	missed := events.Event{Kind: events.StepEnded, Stage: "x", Step: "a", Outcome: events.Skipped, Error: "not reached: b failed"}
	other := events.Event{Kind: events.StepStarted, Stage: "x", Step: "other", Attempt: 1}
	for _, c := range []struct {
		name     string
		told     []events.Event
		wantKept []events.Event
	}{
		{"adopted at once", []events.Event{begun, stage, start, adopted, completed}, []events.Event{begun}},
		{"adopted after a wait", []events.Event{begun, stage, start, waiting, adopted, completed}, []events.Event{begun, stage, start, waiting, adopted, completed}},
		{"failed", []events.Event{begun, stage, start, failed}, []events.Event{begun, stage, start, failed}},
		{"not reached", []events.Event{begun, missed}, []events.Event{begun, missed}},
		{"another step of the stage", []events.Event{begun, stage, start, other, adopted, completed}, []events.Event{begun, stage, other, completed}},
		{"a stage that failed", []events.Event{begun, stage, with(completed, func(e *events.Event) { e.Error = "x" })}, []events.Event{begun, stage, with(completed, func(e *events.Event) { e.Error = "x" })}},
		{"a second attempt", []events.Event{begun, with(start, func(e *events.Event) { e.Attempt = 2 })}, []events.Event{begun, with(start, func(e *events.Event) { e.Attempt = 2 })}},
		{"no beginning", []events.Event{stage, start, adopted}, []events.Event{stage, start, adopted}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var kept kept
			news := &News{To: &kept}
			for _, e := range c.told {
				if err := news.Emit(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.wantKept, []events.Event(kept)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type kept []events.Event

func (k *kept) Emit(_ context.Context, e events.Event) error {
	*k = append(*k, e)
	return nil
}
