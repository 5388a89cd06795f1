package runner_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// chain is db, then a helper, then api, then web; web restarts with api.
func chain() *stackBuilder {
	s := newStack("chain")
	for _, name := range []string{"db", "api", "web"} {
		s.service(name, "forever", nil)
	}
	s.service("migrate", "print done", nil)
	s.stage(stages.Stage{Name: "db", Verb: stages.Start}, "db")
	s.stage(stages.Stage{Name: "migrate", Verb: stages.Run}, "migrate")
	s.stage(stages.Stage{Name: "api", Verb: stages.Start}, "api")
	s.stage(stages.Stage{Name: "web", Verb: stages.Start}, "web")
	web := s.Services["web"]
	web.RestartWith = []string{"api"}
	s.Services["web"] = web
	return s
}

// order is which services were stopped and started, in order, since the nth event.
func (b *bench) order(from int) []string {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	var out []string
	for _, e := range b.book.events[from:] {
		switch {
		case e.Kind == events.ServiceStopped:
			out = append(out, "stopped "+e.Service)
		case e.Kind == events.StepEnded && e.Outcome == events.Done:
			out = append(out, "started "+e.Service)
		case e.Kind == events.StepEnded:
			out = append(out, string(e.Outcome)+" "+e.Service)
		}
	}
	return out
}

func TestControl(t *testing.T) {
	verbs := map[string]func(*bench, *stackBuilder, ...string) error{}
	for verb, act := range map[string]func(b *bench, o runner.ControlOptions) (runner.Result, error){
		"stop":  func(b *bench, o runner.ControlOptions) (runner.Result, error) { return runner.Stop(b.t.Context(), o) },
		"start": func(b *bench, o runner.ControlOptions) (runner.Result, error) { return runner.Start(b.t.Context(), o) },
		"restart": func(b *bench, o runner.ControlOptions) (runner.Result, error) {
			return runner.Restart(b.t.Context(), o)
		},
	} {
		verbs[verb] = func(b *bench, s *stackBuilder, services ...string) error {
			b.runs++
			result, err := act(b, runner.ControlOptions{
				Name: s.Name, Stack: &s.Stack, Services: services, Engine: b.engine, Sink: b.book, Ledger: b.book, Key: b.opts.Key, Run: "run" + string(rune('0'+b.runs)),
			})
			if err == nil && result.Verdict != events.VerdictDone {
				err = errors.New(string(result.Verdict))
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		before [][]string // verb and services
		do     []string
		want   string
	}{
		"stop in reverse":                    {nil, []string{"stop"}, "stopped web, stopped api, stopped db"},
		"stop one":                           {nil, []string{"stop", "api"}, "stopped api"},
		"stop what is stopped":               {[][]string{{"stop"}}, []string{"stop"}, ""},
		"start in order":                     {[][]string{{"stop"}}, []string{"start"}, "started db, started api, started web"},
		"start in order across gaps":         {[][]string{{"stop"}}, []string{"start", "web", "db"}, "started db, started web"},
		"start what runs":                    {nil, []string{"start", "api"}, "adopted api"},
		"restart all":                        {nil, []string{"restart"}, "stopped web, stopped api, stopped db, started db, started api, started web"},
		"restart takes its dependant":        {nil, []string{"restart", "api"}, "stopped web, stopped api, started api, started web"},
		"restart not the other way":          {nil, []string{"restart", "web"}, "stopped web, started web"},
		"restart leaves a stopped dependant": {[][]string{{"stop", "web"}}, []string{"restart", "api"}, "stopped api, started api"},
		"restart starts what was stopped":    {[][]string{{"stop", "db"}}, []string{"restart", "db"}, "started db"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				s := chain()
				wantDone(t, b.up(s))
				for _, words := range c.before {
					if err := verbs[words[0]](b, s, words[1:]...); err != nil {
						t.Fatal(err)
					}
				}
				from := len(b.book.events)
				if err := verbs[c.do[0]](b, s, c.do[1:]...); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(b.order(from), ", "); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if holder, err := b.engine.LeaseHolder(t.Context(), s.Name); !errors.Is(err, containers.ErrNotFound) {
					t.Errorf("the lease is left to %v, %v", holder, err)
				}
				// What stop left is what up goes on with, and no helper runs for it.
				from = len(b.book.events)
				wantDone(t, b.up(s))
				if slices.Contains(b.order(from), "started migrate") {
					t.Error("the helper ran again")
				}
			})
		})
	}
	t.Run("what was never made is not started", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			if err := verbs["start"](b, chain(), "api"); !errors.Is(err, runner.ErrNotMade) {
				t.Errorf("got %v", err)
			}
			if len(b.book.events) > 0 {
				t.Errorf("recorded: %v", b.book.events)
			}
		})
	})
	t.Run("somebody else is at work", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			s := chain()
			wantDone(t, b.up(s))
			lease, err := b.engine.Lease(t.Context(), s.Name, containers.Holder{User: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			before := b.containers()
			for verb, act := range verbs {
				want := verb != "start" // which has nothing to do
				var held *containers.HeldError
				if err := act(b, s); errors.As(err, &held) != want {
					t.Errorf("%s: %v", verb, err)
				}
			}
			if !slices.Equal(before, b.containers()) {
				t.Errorf("changed to %v", b.containers())
			}
			if err := lease.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("a helper that a dead run left holds the volume", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench) {
			s := newStack("held")
			volume := s.volume("data")
			s.service("db", "forever", mount(volume, "/data"))
			s.stage(stages.Stage{Name: "db", Verb: stages.Start, Exclusive: volume}, "db")
			wantDone(t, b.up(s))
			if err := verbs["stop"](b, s); err != nil {
				t.Fatal(err)
			}
			helper := containers.Spec{
				Name: "held-helper-1", Image: image, Command: []string{"forever"},
				Labels: map[string]string{containers.LabelProject: "held", containers.LabelStack: "held", containers.LabelRole: containers.RoleHelper},
			}
			mount(volume, "/data")(&helper)
			if _, err := b.engine.Create(t.Context(), helper); err != nil {
				t.Fatal(err)
			}
			if err := b.engine.Start(t.Context(), helper.Name); err != nil {
				t.Fatal(err)
			}
			if err := verbs["start"](b, s, "db"); !errors.Is(err, containers.ErrConflict) {
				t.Errorf("got %v", err)
			}
			if status, err := b.engine.Status(t.Context(), helper.Name); err != nil || !status.Running() {
				t.Errorf("the helper is %v, %v", status.State, err)
			}
		})
	})
}

// TestInterruptedBeforeAnythingIsStopped shows that what was not begun does not count as done.
func TestInterruptedBeforeAnythingIsStopped(t *testing.T) {
	for verb, act := range map[string]func(context.Context, *bench, *stackBuilder) (runner.Result, error){
		"stop": func(ctx context.Context, b *bench, s *stackBuilder) (runner.Result, error) {
			return runner.Stop(ctx, runner.ControlOptions{Name: s.Name, Stack: &s.Stack, Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "later"})
		},
		"down": func(ctx context.Context, b *bench, s *stackBuilder) (runner.Result, error) {
			err := runner.Down(ctx, runner.DownOptions{Stack: s.Name, Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "later", Order: &s.Stack})
			return runner.Result{Verdict: events.VerdictInterrupted}, err
		},
	} {
		t.Run(verb, func(t *testing.T) {
			for range 20 { // whether a free place or the end of ctx is seen first is chance
				inBubble(t, func(t *testing.T, b *bench) {
					s := newStack("s")
					s.service("web", "forever", nil)
					s.stage(stages.Stage{Name: "web", Verb: stages.Start}, "web")
					wantDone(t, b.up(s))
					standing := b.containers()
					ctx, cancel := context.WithCancel(t.Context())
					b.book.fail = func(e events.Event) error {
						if e.Kind == events.RunStarted {
							cancel()
						}
						return nil
					}
					if result, err := act(ctx, b, s); !errors.Is(err, context.Canceled) || result.Verdict != events.VerdictInterrupted {
						t.Errorf("%s, %v", result.Verdict, err)
					}
					if got := b.containers(); !slices.Equal(got, standing) {
						t.Errorf("containers: %v", got)
					}
				})
			}
		})
	}
}
