package runner_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestGracesRunSideBySide: however many containers use their grace, nobody's begins when another's is over.
func TestGracesRunSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("slow")
		var names []string
		for i := range 40 {
			name := "app" + string(rune('a'+i/10)) + string(rune('0'+i%10))
			s.service(name, "trap SIGTERM 1h print late", nil)
			names = append(names, name)
		}
		s.stage(stages.Stage{Name: "all", Verb: stages.Start}, names...)
		wantDone(t, b.up(s))
		synctest.Wait() // each heeds the signal by now
		began := time.Now()
		o := runner.DownOptions{Stack: "slow", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "down", Order: &s.Stack}
		if err := runner.Down(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < containers.DefaultGrace || took >= 2*containers.DefaultGrace { // by the bubble's clock
			t.Errorf("took %s", took)
		}
		if left := b.containers(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestDownOfWhatComposeMade: without a file its labels tell the order.
func TestDownOfWhatComposeMade(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for _, c := range []struct{ service, needs string }{
			{"web", "api:service_started:false,gone:service_started:false"}, {"api", "migrate:service_completed_successfully:false"},
			{"migrate", "db:service_healthy:false"}, {"db", ""},
		} {
			spec := containers.Spec{
				Name: "theirs-" + c.service + "-1", Image: image, Command: []string{"forever"},
				Labels: map[string]string{
					containers.LabelProject: "theirs", containers.LabelService: c.service, containers.LabelOneoff: "False",
					containers.LabelDependsOn: c.needs, containers.LabelNumber: "1",
				},
			}
			if _, err := b.engine.Create(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
			if err := b.engine.Start(t.Context(), spec.Name); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		b.book.fail = func(e events.Event) error { // all is forgotten in the end
			if e.Kind == events.ServiceStopped {
				got = append(got, e.Service)
			}
			return nil
		}
		o := runner.DownOptions{Stack: "theirs", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "down"}
		if err := runner.Down(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if want := []string{"web", "api", "migrate", "db"}; !slices.Equal(got, want) {
			t.Errorf("stopped %v, want %v", got, want)
		}
	})
}
