package runner_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

// calls makes b's engine write down what it is asked to make, start and remove.
func calls(b *bench) func() []string {
	var mu sync.Mutex
	var made []string
	b.opts.Engine = faults.New(b.engine, faults.Options{Hook: func(p faults.Point) {
		if p.Moment == faults.BeforeAct && slices.Contains([]string{"Create", "Start", "Destroy"}, p.Call.Method) {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, p.Call.Method+" "+p.Call.Name)
		}
	}})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(made)
	}
}

// inARow is three helpers one after another, then a service.
func inARow(change func(name string, spec *containers.Spec)) *stackBuilder {
	s := newStack("s")
	for _, name := range []string{"one", "two", "three"} {
		s.service(name, "sleep 1s", func(spec *containers.Spec) { change(name, spec) })
		s.stage(stages.Stage{Name: name, Verb: stages.Run}, name)
	}
	s.service("web", "listen :80 hello", func(spec *containers.Spec) { change("web", spec) })
	s.stage(stages.Stage{Name: "web", Verb: stages.Start}, "web")
	return s
}

func as(string, *containers.Spec) {}

func TestTheNextStageIsMadeWhileThisOneRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		made := calls(b)
		began := time.Now()
		result := b.up(inARow(as))
		wantDone(t, result)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
		order := made()
		for _, pair := range [][2]string{
			{"Create s-two-1", "Destroy s-one-1"}, {"Create s-three-1", "Destroy s-two-1"}, {"Create s-web-1", "Destroy s-three-1"},
			{"Start s-one-1", "Create s-three-1"}, // one stage ahead, no more
		} {
			before(t, order, pair[0], pair[1])
		}
		for _, name := range []string{"one", "two", "three", "web"} {
			if n := len(slices.DeleteFunc(slices.Clone(order), func(c string) bool { return c != "Create s-"+name+"-1" })); n != 1 {
				t.Errorf("%s was made %d times", name, n)
			}
		}
		if got := b.containers(); !slices.Equal(got, []string{"s-web-1 running"}) {
			t.Errorf("containers: %v", got)
		}
	})
}

// TestWhatIsMadeAheadInVainIsRemoved: its turn never came, because what stands
// before it failed, or the user has had enough.
func TestWhatIsMadeAheadInVainIsRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		made := calls(b)
		s := inARow(func(name string, spec *containers.Spec) {
			if name == "two" {
				spec.Command = []string{"sleep", "1s", "then", "exit", "3"}
			}
		})
		result := b.up(s)
		if result.Verdict != events.VerdictFailed {
			t.Fatalf("verdict %s", result.Verdict)
		}
		before(t, made(), "Create s-three-1", "Destroy s-three-1")
		if got := b.containers(); len(got) > 0 {
			t.Errorf("left: %v", got)
		}
	})
	inBubble(t, func(t *testing.T, b *bench) {
		interrupt := make(chan struct{})
		b.opts.Interrupt = interrupt
		go func() {
			time.Sleep(500 * time.Millisecond)
			close(interrupt)
		}()
		if result := b.up(inARow(as)); result.Verdict != events.VerdictInterrupted {
			t.Fatalf("verdict %s", result.Verdict)
		}
		if got := b.containers(); len(got) > 0 {
			t.Errorf("left: %v", got)
		}
	})
}

// TestWhatIsMadeAheadByADeadRunIsTaken: the next run starts what the dead one made.
func TestWhatIsMadeAheadByADeadRunIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.book.fail = func(e events.Event) error {
			if e.Kind == events.StepEnded && e.Step == "one" {
				return errPlanned
			}
			return nil
		}
		if _, err := b.try(inARow(as)); err == nil {
			t.Fatal("the run did not stop")
		}
		synctest.Wait()
		if got := b.containers(); !slices.Contains(got, "s-two-1 created") {
			t.Fatalf("containers: %v", got)
		}
		b.book.fail = nil
		made := calls(b)
		wantDone(t, b.up(inARow(as)))
		if slices.Contains(made(), "Destroy s-two-1") && slices.Index(made(), "Destroy s-two-1") < slices.Index(made(), "Start s-two-1") {
			t.Errorf("what was made was thrown away: %v", made())
		}
	})
}

// TestWhatItsMakingTouchesIsNotMadeAhead: the image's files go into a new volume with
// whoever mounts it first, so the helper before it must be that.
func TestWhatItsMakingTouchesIsNotMadeAhead(t *testing.T) {
	for name, change := range map[string]func(*containers.Spec){
		"named volume": mount("s_v", "/v"),
		"made bind": func(s *containers.Spec) {
			s.Mounts = []containers.Mount{{Kind: containers.MountBind, Source: "/x", Target: "/x", CreateHostPath: true}}
		},
		"another's network": func(s *containers.Spec) { s.Networks, s.NetworkMode = nil, "container:s-one-1" },
		"pulled each time":  func(s *containers.Spec) { s.Pull = containers.PullAlways },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				began, made := time.Now(), time.Duration(0)
				b.opts.Engine = faults.New(b.engine, faults.Options{Hook: func(p faults.Point) {
					if p.Call.Method == "Create" && p.Call.Name == "s-two-1" && made == 0 {
						made = time.Since(began)
					}
				}})
				s := inARow(func(name string, spec *containers.Spec) {
					if name == "two" {
						change(spec)
					}
				})
				s.volume("v")
				_, _ = b.try(s) // whether this engine can do all of it is not the question
				if made < time.Second {
					t.Errorf("made after %s, while the helper before it ran", made)
				}
			})
		})
	}
}

// TestAnInterruptDoesNotWaitForAnImageAhead: nobody needs it any more.
func TestAnInterruptDoesNotWaitForAnImageAhead(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Engine = &slowImages{Engine: b.engine}
		interrupt := make(chan struct{})
		b.opts.Interrupt = interrupt
		go func() {
			time.Sleep(500 * time.Millisecond)
			close(interrupt)
		}()
		began := time.Now()
		s := inARow(func(name string, spec *containers.Spec) {
			if name == "two" {
				spec.Image = "slow"
			}
		})
		if result := b.up(s); result.Verdict != events.VerdictInterrupted {
			t.Fatalf("verdict %s", result.Verdict)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// slowImages fetches the image "slow" for an hour.
type slowImages struct{ containers.Engine }

func (s *slowImages) EnsureImage(ctx context.Context, ref, platform string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	if ref != "slow" || policy == containers.PullNever {
		return s.Engine.EnsureImage(ctx, ref, platform, policy, progress)
	}
	select {
	case <-ctx.Done():
		return containers.Image{}, ctx.Err()
	case <-time.After(time.Hour):
		return containers.Image{ID: "slow"}, nil
	}
}
