package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

func TestAttempts(t *testing.T) { everywhere(t, testAttempts) }

// testAttempts: of each step the latest attempt is found that was no success, whatever came to nothing since
// before it was begun, until it is forgotten.
func testAttempts(t *testing.T, address string) {
	l := openAt(t, address)
	seq := map[string]int64{}
	tell := func(run string, kind events.Kind, step string, outcome events.Outcome, failure string) {
		t.Helper()
		seq[run]++
		e := event(run, seq[run]+1, kind)
		e.Step, e.Outcome, e.Error = step, outcome, failure
		emit(t, l, e)
	}
	check := func(engine string, want map[string]string) {
		t.Helper()
		attempts, err := l.Attempts(t.Context(), "haf", engine)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for step, e := range attempts {
			got[step] = e.Run + " " + string(e.Kind) + " " + e.Error
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	emit(t, l, started("r1", "haf", "e1"))
	for _, step := range []string{"failed", "late", "stopped", "lost", "again"} {
		tell("r1", events.StepStarted, step, "", "")
	}
	tell("r1", events.StepEnded, "failed", events.Failed, "exit 9")
	tell("r1", events.StepEnded, "late", events.TimedOut, "timed out")
	tell("r1", events.StepEnded, "stopped", events.Skipped, "stopped: late timed out")
	tell("r1", events.StepEnded, "again", events.Failed, `like "error":"stopped: x"`)
	tell("r1", events.StepEnded, "never", events.Skipped, "not reached: late timed out")
	tell("r1", events.StepEnded, "settled", events.Skipped, "")
	tell("r1", events.StepEnded, "quoted", events.Skipped, `not reached: "error":"stopped: x"`)
	first := map[string]string{
		"failed": "r1 step.ended exit 9", "late": "r1 step.ended timed out", "stopped": "r1 step.ended stopped: late timed out",
		"lost": "r1 step.started ", "again": `r1 step.ended like "error":"stopped: x"`,
	}
	check("e1", first)
	// Steps that the next run did not reach have not been tried again.
	emit(t, l, started("r2", "haf", "e1"))
	tell("r2", events.StepEnded, "failed", events.Skipped, "not reached: again failed")
	tell("r2", events.StepStarted, "again", "", "")
	tell("r2", events.StepEnded, "again", events.Failed, "exit 1")
	first["again"] = "r2 step.ended exit 1"
	check("e1", first)
	check("e2", map[string]string{})
	if err := l.Forget(t.Context(), "haf", "e1", "again"); err != nil {
		t.Fatal(err)
	}
	delete(first, "again")
	check("e1", first)
	if err := l.Forget(t.Context(), "haf", "e1"); err != nil {
		t.Fatal(err)
	}
	check("e1", map[string]string{})
}
