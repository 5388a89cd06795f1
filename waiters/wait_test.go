package waiters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

// script is a condition that does what it is told, by the time since its first look.
type script struct {
	begin time.Time
	looks []time.Duration
	do    func(ctx context.Context, since time.Duration) (waiters.Observation, error)
}

func (s *script) Look(ctx context.Context, _ waiters.World) (waiters.Observation, error) {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	s.looks = append(s.looks, time.Since(s.begin))
	return s.do(ctx, time.Since(s.begin))
}

func (s *script) String() string { return "script" }

// from holds from the given time on.
func from(d time.Duration) func(context.Context, time.Duration) (waiters.Observation, error) {
	return func(_ context.Context, since time.Duration) (waiters.Observation, error) {
		return waiters.Observation{Holds: since >= d, Detail: fmt.Sprint(since >= d)}, nil
	}
}

func TestPace(t *testing.T) {
	ms := func(n ...int) (d []time.Duration) {
		for _, n := range n {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	for _, c := range []struct {
		name  string
		pace  waiters.Pace
		cost  time.Duration // of one look
		holds time.Duration
		looks []time.Duration // rounded down to milliseconds
	}{
		{"at once", waiters.Pace{}, 0, 0, ms(0)},
		{"every 10 ms where a look costs nothing", waiters.Pace{}, 0, 45 * time.Millisecond, ms(0, 10, 20, 30, 40, 50)},
		{"up to three times a look's cost", waiters.Pace{}, time.Second / 100, 200 * time.Millisecond, ms(0, 20, 45, 77, 117, 157, 197, 237)},
		{"backing off by half where a look may be a process", waiters.Pace{}, time.Second / 50, 250 * time.Millisecond, ms(0, 30, 65, 107, 161, 231, 327)},
		{"up to 250 ms", waiters.Pace{}, time.Second, 4 * time.Second, ms(0, 1010, 2025, 3047, 4081)},
		{"every", waiters.Pace{Every: time.Second}, 0, 2500 * time.Millisecond, ms(0, 1000, 2000, 3000)},
		{"stable", waiters.Pace{Every: time.Second, StableFor: 1500 * time.Millisecond}, 0, time.Second, ms(0, 1000, 2000, 2500)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				holds := from(c.holds)
				s := &script{do: func(ctx context.Context, since time.Duration) (waiters.Observation, error) {
					time.Sleep(c.cost)
					return holds(ctx, since)
				}}
				if err := waiters.Wait(t.Context(), waiters.World{}, waiters.Timed{Condition: s, Pace: c.pace}, nil); err != nil {
					t.Fatal(err)
				}
				for i := range s.looks {
					s.looks[i] = s.looks[i].Truncate(time.Millisecond)
				}
				if !slices.Equal(s.looks, c.looks) {
					t.Errorf("looked at %v, want %v", s.looks, c.looks)
				}
			})
		})
	}
}

// However long a wait has taken, what it waits for is noticed within a
// two-hundredth of that and one look.
func TestLagIsSmallBesideTheWait(t *testing.T) {
	for _, holds := range []time.Duration{time.Second, 10 * time.Second, 40 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			if err := waiters.Wait(t.Context(), waiters.World{}, &script{do: from(holds)}, nil); err != nil {
				t.Fatal(err)
			}
			if lag := time.Since(begin) - holds; lag > max(10*time.Millisecond, holds/199) || lag > 250*time.Millisecond {
				t.Errorf("true after %s, noticed %s later", holds, lag)
			}
		})
	}
}

// A condition that breaks begins its stable time anew.
func TestStableAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{do: func(_ context.Context, since time.Duration) (waiters.Observation, error) {
			broken := since >= 3*time.Second && since < 4*time.Second
			return waiters.Observation{Holds: !broken}, nil
		}}
		begin := time.Now()
		if err := waiters.Wait(t.Context(), waiters.World{}, waiters.Timed{Condition: s, Pace: waiters.Pace{StableFor: 5 * time.Second}}, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 9*time.Second || took > 9250*time.Millisecond {
			t.Errorf("took %s, want 9 s and at most one pause", took)
		}
	})
}

func TestTimeout(t *testing.T) {
	for name, do := range map[string]func(context.Context, time.Duration) (waiters.Observation, error){
		"never holds": from(time.Hour),
		"hangs": func(ctx context.Context, since time.Duration) (waiters.Observation, error) {
			if since > 0 {
				<-ctx.Done()
				return waiters.Observation{}, ctx.Err()
			}
			return waiters.Observation{Detail: "false"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				err := waiters.Wait(t.Context(), waiters.World{}, waiters.Timed{Condition: &script{do: do}, Pace: waiters.Pace{Timeout: 5 * time.Second}}, nil)
				late := (*waiters.TimedOut)(nil)
				if !errors.As(err, &late) || *late != (waiters.TimedOut{Condition: "script", After: 5 * time.Second, Last: waiters.Observation{Detail: "false"}}) {
					t.Errorf("got %v", err)
				}
				if time.Since(begin) != 5*time.Second {
					t.Errorf("took %s", time.Since(begin))
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, do := range []func(context.Context, time.Duration) (waiters.Observation, error){
			from(time.Hour),
			func(ctx context.Context, _ time.Duration) (waiters.Observation, error) {
				<-ctx.Done()
				return waiters.Observation{}, fmt.Errorf("cut off: %w", ctx.Err())
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			begin := time.Now()
			err := waiters.Wait(ctx, waiters.World{}, waiters.Timed{Condition: &script{do: do}, Pace: waiters.Pace{Timeout: time.Minute}}, nil)
			if cancel(); err != context.DeadlineExceeded || time.Since(begin) != 3*time.Second {
				t.Errorf("got %v after %s", err, time.Since(begin))
			}
		}
	})
}

// Each change is told once, in order.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{do: func(_ context.Context, since time.Duration) (waiters.Observation, error) {
			return waiters.Observation{Holds: since > 3*time.Second, Detail: since.Truncate(time.Second).String()}, nil
		}}
		var seen []string
		err := waiters.Wait(t.Context(), waiters.World{}, s, func(o waiters.Observation) { seen = append(seen, o.Detail) })
		if want := []string{"0s", "1s", "2s", "3s"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("told %q, want %q; %v", seen, want, err)
		}
	})
}

// An engine that does not answer is asked again for 30 s; any other error ends
// the wait.
func TestBrokenEngine(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("a", waitertest.Serve(20*time.Second, nil))
		s.Sever()
		back := time.AfterFunc(15*time.Second, s.Restore)
		defer back.Stop()
		seen, err := s.Await(conditions.TCP{Address: "a:80"}, time.Minute)
		if err != nil || len(seen) != 3 || seen[1] != "refused" || seen[2] != "connected" {
			t.Errorf("seen %q, %v", seen, err)
		}
		s.Sever()
		begin := time.Now()
		_, err = s.Await(conditions.TCP{Address: "a:80"}, time.Hour)
		if !errors.Is(err, containers.ErrUnavailable) || time.Since(begin) < 30*time.Second || time.Since(begin) > 31*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		_, err = s.Await(conditions.Exit{Service: "a"}, time.Second)
		if !errors.Is(err, containers.ErrUnavailable) {
			t.Errorf("a time-out while the engine does not answer: %v", err)
		}
	})
	broken := errors.New("out of order")
	w := waitertest.WorldOf(waitertest.Stub{OnStatus: func(context.Context, string) (containers.Status, error) { return containers.Status{}, broken }},
		map[string]waiters.Instance{"a": {Container: "a"}})
	if err := waiters.Wait(t.Context(), w, conditions.Exit{Service: "a"}, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// An engine that takes a call and never answers it does not answer.
func TestSilentEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := waitertest.WorldOf(waitertest.Stub{OnStatus: func(ctx context.Context, _ string) (containers.Status, error) {
			<-ctx.Done()
			return containers.Status{}, ctx.Err()
		}}, map[string]waiters.Instance{"a": {Container: "a"}})
		begin := time.Now()
		err := waiters.Wait(t.Context(), w, waiters.Any{conditions.Exit{Service: "a"}}, nil)
		if !errors.Is(err, containers.ErrUnavailable) || time.Since(begin) > 45*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}
