package runner_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

const holder = "s-namespace-s_default"

// dialling is a service, and helpers behind it that dial it from one network.
func dialling() *stackBuilder {
	s := newStack("s")
	s.service("db", "listen :80 hello", nil)
	s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
	for _, name := range []string{"one", "two", "three"} {
		s.service(name, "sleep 1s then dial db:80", nil) // it listens by then
	}
	s.stage(stages.Stage{Name: "first", Verb: stages.Run}, "one", "two")
	s.stage(stages.Stage{Name: "second", Verb: stages.Await}, "three")
	share(s, true)
	return s
}

// share has all helpers share a network, or none.
func share(s *stackBuilder, shared bool) {
	for _, stage := range s.Stages {
		for i := range stage.Units {
			stage.Units[i].SharedNetwork = shared && stage.Verb != stages.Start
		}
	}
}

func TestHelpersShareANetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		made := calls(b)
		wantDone(t, b.up(dialling()))
		order := made()
		if n := len(slices.DeleteFunc(slices.Clone(order), func(c string) bool { return c != "Create "+holder })); n != 1 {
			t.Errorf("the namespace was made %d times: %v", n, order)
		}
		before(t, order, "Start "+holder, "Create s-one-1")
		before(t, order, "Destroy s-three-1", "Destroy "+holder)
		if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
			t.Errorf("containers: %v", got)
		}
		own := dialling()
		share(own, false)
		if result := b.up(own); result.Plan.Counts()["skip"] != 3 {
			t.Errorf("with networks of their own they run again: %v", result.Plan.Counts())
		}
	})
}

// TestWhoSharesANetworkSharesItsPorts shows that it is one, and that without the key it is not.
func TestWhoSharesANetworkSharesItsPorts(t *testing.T) {
	for shared, want := range map[bool]map[string]events.Outcome{
		true:  {"a": events.TimedOut, "b": events.Failed},
		false: {"a": events.TimedOut, "b": events.TimedOut},
	} {
		inBubble(t, func(t *testing.T, b *bench) {
			s := newStack("s")
			s.service("a", "listen :80 hello", nil)
			s.service("b", "sleep 1s then listen :80 hello", nil)
			s.stage(stages.Stage{Name: "both", Verb: stages.Run, Timeout: 5 * time.Second, OnFailure: stages.Continue}, "a", "b")
			share(s, shared)
			b.up(s)
			got := b.book.outcomes()
			for step, outcome := range want {
				if got["both/"+step] != outcome {
					t.Errorf("shared %t: %s %s, want %s", shared, step, got["both/"+step], outcome)
				}
			}
		})
	}
}

// brokenOff is a bench on which a run broke off between the record of a helper and what comes after it.
func brokenOff(t *testing.T, b *bench, step string) {
	t.Helper()
	b.book.fail = func(e events.Event) error {
		if e.Kind == events.HelperDestroyed && e.Step == step {
			return errPlanned
		}
		return nil
	}
	if _, err := b.try(dialling()); !errors.Is(err, errPlanned) {
		t.Fatalf("got %v", err)
	}
	b.book.fail = nil
	if got := b.containers(); !slices.Contains(got, holder+" running") {
		t.Fatalf("containers: %v", got)
	}
}

func TestTheNetworkOfADeadRunsHelpers(t *testing.T) {
	t.Run("is taken over", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			brokenOff(t, b, "first/one")
			wantDone(t, b.up(dialling()))
			if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
				t.Errorf("containers: %v", got)
			}
		})
	})
	t.Run("is taken over where it has ended", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			brokenOff(t, b, "first/one")
			if _, err := b.engine.Stop(t.Context(), holder, time.Second); err != nil {
				t.Fatal(err)
			}
			wantDone(t, b.up(dialling()))
			if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
				t.Errorf("containers: %v", got)
			}
		})
	})
	t.Run("goes where nobody needs it", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			brokenOff(t, b, "second")
			p, err := runner.Plan(t.Context(), &dialling().Stack, b.engine, b.book, nil, runner.Wish{})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Sweep) != 1 || p.Sweep[0].Container != holder {
				t.Errorf("to be removed: %v", p.Sweep)
			}
			wantDone(t, b.up(dialling()))
			if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
				t.Errorf("containers: %v", got)
			}
			if again := b.up(dialling()); len(again.Plan.Sweep) > 0 {
				t.Errorf("to be removed again: %v", again.Plan.Sweep)
			}
		})
	})
	t.Run("goes with the stack, unrecorded", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			brokenOff(t, b, "second")
			o := runner.DownOptions{Stack: "s", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "down"}
			stopped := len(b.book.of(events.ServiceStopped))
			if err := runner.Down(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if got := b.containers(); len(got) > 0 {
				t.Errorf("containers: %v", got)
			}
			if n := len(b.book.of(events.ServiceStopped)) - stopped; n > 1 { // the book forgets all but what comes after
				t.Errorf("%d services stopped", n)
			}
		})
	})
}

// TestAFurtherAttemptHasANetwork: the namespace may be why the one before failed.
func TestAFurtherAttemptHasANetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("db", "listen :80 hello", nil)
		s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
		s.service("setup", "sleep 5s then dial db:80", nil)
		s.stage(stages.Stage{Name: "setup", Verb: stages.Run, Retries: stages.Retries{Count: 1, Backoff: time.Second}}, "setup")
		share(s, true)
		var stopping sync.WaitGroup
		stopping.Go(func() {
			time.Sleep(2 * time.Second)
			for _, name := range []string{holder, "s-setup-1"} {
				if _, err := b.engine.Stop(t.Context(), name, 0); err != nil {
					t.Error(err)
				}
			}
		})
		wantDone(t, b.up(s))
		stopping.Wait()
		if n := len(b.book.of(events.StepRetrying)); n != 1 {
			t.Errorf("%d attempts failed", n)
		}
	})
}

// TestTheNamespaceOfAnotherVersion of stagehand is as good as one of this.
func TestTheNamespaceOfAnotherVersion(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := dialling()
		if err := b.engine.EnsureNetwork(t.Context(), s.Networks[0]); err != nil {
			t.Fatal(err)
		}
		labels := containers.Namespaces(s.Name)
		labels[containers.LabelSpec] = "another"
		other := containers.Spec{Name: holder, Image: image, Command: []string{"forever"}, Labels: labels, Networks: []containers.Attachment{{Network: s.DefaultNetwork}}}
		if _, err := b.engine.Create(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		wantDone(t, b.up(s))
		if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
			t.Errorf("containers: %v", got)
		}
	})
}

// TestSomebodyElsesContainerOfTheNamespacesName is in the way, and stays.
func TestSomebodyElsesContainerOfTheNamespacesName(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		if _, err := b.engine.Create(t.Context(), containers.Spec{Name: holder, Image: image, Command: []string{"forever"}}); err != nil {
			t.Fatal(err)
		}
		result := b.up(dialling())
		if result.Verdict != events.VerdictFailed || !strings.Contains(failuresOf(result)["first/one"], "share") {
			t.Errorf("%s, %v", result.Verdict, failuresOf(result))
		}
		if got := b.containers(); !slices.Contains(got, holder+" created") {
			t.Errorf("containers: %v", got)
		}
	})
}

// plain is an engine that can do what every one must, and nothing else.
type plain struct{ containers.Engine }

func TestAnEngineWithoutIdleContainersGivesEachHelperANetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Engine = plain{b.engine}
		wantDone(t, b.up(dialling()))
		if got := b.containers(); !slices.Equal(got, []string{"s-db-1 running"}) {
			t.Errorf("containers: %v", got)
		}
	})
}
