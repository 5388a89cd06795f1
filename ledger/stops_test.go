package ledger

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

func TestStops(t *testing.T) { everywhere(t, testStops) }

// testStops: the latest stop of each step is found, whether anybody saw its end
// or not, and one whose end nobody saw outlives its run's events.
func testStops(t *testing.T, address string) {
	l := openAt(t, address)
	stop := func(run string, seq int64, kind events.Kind, step string) events.Event {
		e := event(run, seq, kind)
		e.Step = step
		return e
	}
	emit(t, l, started("r1", "haf", "e1"),
		stop("r1", 2, events.StepStopping, "seen"), stop("r1", 3, events.ServiceStopped, "seen"),
		stop("r1", 4, events.ServiceStopped, "unseen"), stop("r1", 5, events.StepStopping, "unseen"),
		stop("r1", 6, events.RunEnded, ""))
	emit(t, l, started("r2", "haf", "e2"), stop("r2", 2, events.StepStopping, "elsewhere"), stop("r2", 3, events.RunEnded, ""))
	check := func(want map[string]events.Kind) {
		t.Helper()
		stops, err := l.Stops(t.Context(), "haf", "e1")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]events.Kind{}
		for step, e := range stops {
			got[step] = e.Kind
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check(map[string]events.Kind{"seen": events.ServiceStopped, "unseen": events.StepStopping})
	for i := range 3 {
		whole(t, l, fmt.Sprintf("new-%d", i), "haf", "b")
	}
	if err := l.Prune(t.Context(), "haf", 2); err != nil {
		t.Fatal(err)
	}
	check(map[string]events.Kind{"unseen": events.StepStopping})
	emit(t, l, started("r3", "haf", "e1"), stop("r3", 2, events.StepStopping, "seen"))
	check(map[string]events.Kind{"seen": events.StepStopping, "unseen": events.StepStopping})
}
