package runner_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// cut is a stack of one app that is cut into so many partitions.
func cut(partitions string) *stackBuilder {
	b := newStack("cut")
	b.service("one/deploy", "print "+partitions, mount(b.volume("data"), "/data"))
	b.stage(stages.Stage{Name: "deploy", Verb: stages.Run}, "one/deploy")
	b.Apps = []stages.App{{Name: "one", Fields: map[string]string{"partitions": partitions}, Descriptor: map[string]string{"partitions": partitions}}}
	return b
}

// TestAnAppIsRecordedBeforeItIsMade: the event that the step begins has the
// record, and is kept before the engine is asked for anything of the app that runs.
func TestAnAppIsRecordedBeforeItIsMade(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.book.fail = func(e events.Event) error {
			if e.Registers() == events.Deploying && b.engine.Calls()["Start"] > 0 {
				t.Error("something was started before the app was recorded")
			}
			return nil
		}
		wantDone(t, b.up(cut("2")))
		var told []events.AppState
		for _, e := range append(b.book.of(events.StepStarted), b.book.of(events.StepEnded)...) {
			told = append(told, e.Registers())
		}
		if len(told) != 2 || told[0] != events.Deploying || told[1] != events.Deployed {
			t.Errorf("told %v", told)
		}
	})
}

// TestAnotherCountIsAConflict: before anything else, and until the app is forgotten.
func TestAnotherCountIsAConflict(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(cut("2")))
		kept := len(b.book.trace())
		_, err := b.try(cut("3"))
		var deployed *runner.DeployedError
		if !errors.As(err, &deployed) || !errors.Is(err, containers.ErrConflict) || !strings.Contains(err.Error(), "NumPartitions=3 but was previously deployed with NumPartitions=2") {
			t.Fatal(err)
		}
		if _, err := runner.Plan(t.Context(), &cut("3").Stack, b.engine, b.book, nil, runner.Wish{}); !errors.As(err, &deployed) {
			t.Errorf("plan: %v", err)
		}
		if err := runner.CheckApps(t.Context(), &cut("3").Stack, b.engine, b.book); !errors.As(err, &deployed) {
			t.Errorf("check: %v", err)
		}
		if err := runner.CheckApps(t.Context(), &cut("2").Stack, b.engine, b.book); err != nil {
			t.Errorf("check of what is deployed: %v", err)
		}
		if now := len(b.book.trace()); now != kept {
			t.Errorf("%d events where there were %d", now, kept)
		}
		o := runner.ForgetOptions{Stack: "cut", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "forget"}
		o.Apps = []string{"one", "two"}
		if _, err := runner.ForgetApps(t.Context(), o); !errors.Is(err, runner.ErrNotDeployed) {
			t.Errorf("one that is not registered: %v", err)
		}
		o.Apps = o.Apps[:1]
		if forgotten, err := runner.ForgetApps(t.Context(), o); err != nil || len(forgotten) != 1 || forgotten[0].Descriptor["partitions"] != "2" {
			t.Fatalf("%v, %v", forgotten, err)
		}
		wantDone(t, b.up(cut("3")))
	})
}

// TestAppsOfAHolderWithAnotherLedger: who waited for a run that keeps another ledger
// has heard what that deployed: another count is refused, the same one is registered here too.
func TestAppsOfAHolderWithAnotherLedger(t *testing.T) {
	for _, partitions := range []string{"2", "3"} {
		t.Run("with "+partitions, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				first, second := cut("2"), cut(partitions)
				for _, s := range []*stackBuilder{first, second} { // time for the second to meet the first
					s.service("long", "sleep 10s", nil)
					s.stage(stages.Stage{Name: "long", Verb: stages.Run}, "long")
				}
				var group sync.WaitGroup
				group.Go(func() { wantDone(t, b.up(first)) })
				time.Sleep(time.Second)
				other := &book{}
				_, err := runner.Up(t.Context(), &second.Stack, runner.Options{
					Engine: b.engine, Sink: other, Ledger: other, Run: "other", Lock: runner.Lock{Timeout: time.Hour},
				})
				group.Wait()
				var deployed *runner.DeployedError
				apps, _ := other.Apps(t.Context(), "cut", "")
				switch {
				case partitions == "3" && (!errors.As(err, &deployed) || len(apps) > 0):
					t.Errorf("%v, registered %v", err, apps)
				case partitions == "2" && (err != nil || apps["one"].State != events.Deployed || apps["one"].Descriptor["partitions"] != "2"):
					t.Errorf("%v, registered %v", err, apps)
				}
			})
		})
	}
}
