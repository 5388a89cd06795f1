package chaos

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/stages"
)

// everyPoint plays a story for each point that the stack's first process
// passes, and says what that came to. The short version tries one in stride,
// and fewer of a stack with many points.
func everyPoint(t *testing.T, stride int, leases bool, tellOf func(stack *stages.Stack, point int) story) {
	for _, file := range stackFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			stack := load(t, file)
			c, began := &court{t: t, want: undisturbed(t, stack, leases)}, time.Now()
			step := 1
			if !long() {
				step = max(1, stride*c.want.points/250)
			}
			for point := 1; point <= c.want.points; point += step {
				s := tellOf(stack, point)
				s.leases = leases
				c.judge(s)
			}
			t.Logf("%d points, %d stories, %d bad, in %s", c.want.points, c.stories, c.bad, time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestKilledAtEveryPoint: the runner dies before or after a write or a call,
// and the same command runs again at once, or when the helpers have ended
// while nobody watched.
func TestKilledAtEveryPoint(t *testing.T) {
	for pause, stride := range map[time.Duration]int{0: 1, 5 * time.Second: 3} {
		t.Run("again after "+pause.String(), func(t *testing.T) {
			everyPoint(t, stride, false, func(stack *stages.Stack, point int) story {
				return story{stack: stack, lives: []life{{Dies: point}}, pause: pause}
			})
		})
	}
	t.Run("with leases", func(t *testing.T) {
		everyPoint(t, 5, true, func(stack *stages.Stack, point int) story {
			return story{stack: stack, lives: []life{{Dies: point}}}
		})
	})
}

// TestKilledTwiceAtEveryPoint: and the second runner dies a little later.
func TestKilledTwiceAtEveryPoint(t *testing.T) {
	everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Dies: point}, {Dies: 1 + point%40}}, pause: 40 * time.Millisecond}
	})
}

// TestInterruptedAtEveryPoint: Ctrl-C, or Ctrl-C twice.
func TestInterruptedAtEveryPoint(t *testing.T) {
	for _, further := range []int{0, 1, 6} {
		t.Run(fmt.Sprintf("again %d points later", further), func(t *testing.T) {
			everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
				l := life{Interrupt: point}
				if further > 0 {
					l.Hard = point + further
				}
				return story{stack: stack, lives: []life{l}, gentle: true}
			})
		})
	}
}

// TestKilledWhileInterrupted: the runner dies on its way out.
func TestKilledWhileInterrupted(t *testing.T) {
	everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Interrupt: point, Dies: point + 1 + point%12}}, gentle: true}
	})
}

// TestSeveredAtEveryPoint: the engine does not answer for a while. The one
// process goes on by itself.
func TestSeveredAtEveryPoint(t *testing.T) {
	everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Severed: point, Outage: 5 * time.Second}}, alone: true}
	})
}

// TestSeveredForLong: longer than the runner's patience. It gives up, and the
// next one ends well.
func TestSeveredForLong(t *testing.T) {
	everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Severed: point, Outage: 10 * time.Minute}}, gentle: true}
	})
}

// TestLeaseLostAtEveryPoint: the engine does not answer for a while, and the lease is gone
// with the connection. The run stops in order, and the next one ends well.
func TestLeaseLostAtEveryPoint(t *testing.T) {
	everyPoint(t, 5, true, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Severed: point, Outage: 5 * time.Second}}, pause: time.Minute, gentle: true}
	})
}

// TestHalfMadeAtEveryPoint: each Create in turn leaves its container half-made, and
// the runner dies at once or does not.
func TestHalfMadeAtEveryPoint(t *testing.T) {
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("dies %v", dies), func(t *testing.T) {
			for _, file := range stackFiles {
				t.Run(file, func(t *testing.T) {
					t.Parallel()
					stack := load(t, file)
					c := &court{t: t, want: undisturbed(t, stack, false)}
					for _, u := range (&world{story: story{stack: stack}}).units() {
						var once sync.Once
						s := story{stack: stack, alone: !dies, lives: []life{{}}}
						if dies {
							s.lives[0].DiesAt = "after Create " + u.container
						}
						s.faults = func(call faults.Call) (f faults.Fault) {
							if call.Method == "Create" && call.Name == u.container {
								once.Do(func() { f.Half = true })
							}
							return f
						}
						c.judge(s)
					}
					t.Logf("%d stories, %d bad", c.stories, c.bad)
				})
			}
		})
	}
}

// lossy drops one response in so many, after the engine acted. The seed makes
// it the same for the same order of calls.
func lossy(seed uint64, oneIn int) func(faults.Call) faults.Fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(faults.Call) faults.Fault {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(oneIn) == 0 {
			return faults.Fault{After: containers.ErrUnavailable}
		}
		return faults.Fault{}
	}
}

// TestResponsesLost: one in twenty, and nobody dies.
func TestResponsesLost(t *testing.T) {
	seeds := 30
	if long() {
		seeds = 300
	}
	for _, file := range stackFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			stack := load(t, file)
			c := &court{t: t, want: undisturbed(t, stack, false)}
			for seed := range seeds {
				c.judge(story{stack: stack, lives: []life{{}}, alone: true, faults: lossy(uint64(seed), 20)})
			}
			t.Logf("%d stories, %d bad", c.stories, c.bad)
		})
	}
}

// TestResponsesLostAndKilled: one in twenty, and the runner dies.
func TestResponsesLostAndKilled(t *testing.T) {
	everyPoint(t, 5, false, func(stack *stages.Stack, point int) story {
		return story{stack: stack, lives: []life{{Dies: point}}, faults: lossy(uint64(point), 20)}
	})
}

// TestRandomStories: two to four runners die one after another, at points that
// nobody chose, with responses lost and containers half-made now and then.
func TestRandomStories(t *testing.T) {
	checks := "100"
	if long() {
		checks = "2000"
	}
	if given := flag.Lookup("rapid.checks"); given.Value.String() == given.DefValue {
		if err := flag.Set("rapid.checks", checks); err != nil {
			t.Fatal(err)
		}
	}
	var stacks []*stages.Stack
	var wants []verdict
	for _, file := range stackFiles {
		stacks = append(stacks, load(t, file))
		wants = append(wants, undisturbed(t, stacks[len(stacks)-1], false))
	}
	told := 0
	rapid.Check(t, func(r *rapid.T) {
		told++
		which := rapid.IntRange(0, len(stacks)-1).Draw(r, "stack")
		s := story{stack: stacks[which], pause: rapid.SampledFrom([]time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second}).Draw(r, "pause")}
		for range rapid.IntRange(2, 4).Draw(r, "deaths") {
			s.lives = append(s.lives, life{Dies: rapid.IntRange(1, wants[which].points).Draw(r, "dies")})
		}
		if rapid.Bool().Draw(r, "lossy") {
			s.faults = lossy(rapid.Uint64().Draw(r, "seed"), 20)
		}
		v := tell(t, s)
		if bad := v.complaints(wants[which]); len(bad) > 0 {
			r.Fatalf("%s: %v\n%v", v.deaths, bad, v.history)
		}
	})
	t.Logf("%d stories", told)
}

// TestKilledWhileChanging: one helper's argument has changed. Wherever the
// runner dies, that one and what depends on it run again, and nothing else.
func TestKilledWhileChanging(t *testing.T) {
	first, second := load(t, stackFiles[0]), load(t, stackFiles[0])
	changed := second.Services["bob-setup"]
	changed.Spec.Command = append(slices.Clone(changed.Spec.Command), "then", "print", "changed")
	second.Services["bob-setup"] = changed
	want := tell(t, story{stack: second, first: first})
	if len(want.bad) > 0 {
		t.Fatalf("undisturbed: %v", want.bad)
	}
	ran := func(v verdict) map[string]int {
		out := map[string]int{}
		for name, c := range v.tallies {
			if c.started > 0 {
				out[name] = c.completed
			}
		}
		return out
	}
	if again := slices.Sorted(maps.Keys(ran(want))); !slices.Equal(again, []string{"ch-haf-bob-detector-1", "ch-haf-bob-setup-1"}) {
		t.Fatalf("undisturbed, these ran again: %v", again)
	}
	c := &court{t: t, want: want}
	for _, pause := range []time.Duration{0, 5 * time.Second} {
		step := 1
		if !long() {
			step = 3
		}
		for point := 1; point <= want.points; point += step {
			v := c.judge(story{stack: second, first: first, lives: []life{{Dies: point}}, pause: pause})
			if !maps.Equal(ran(v), ran(want)) || !maps.Equal(v.lines, want.lines) {
				t.Errorf("died %q: ran again %v and effects %v, want %v and %v", v.deaths, ran(v), v.lines, ran(want), want.lines)
			}
		}
	}
	t.Logf("%d points, %d stories, %d bad", want.points, c.stories, c.bad)
}

// TestKilledWhileTakenDown: down, with its volumes, dies anywhere; up brings
// the stack from there to where it was.
func TestKilledWhileTakenDown(t *testing.T) {
	for _, file := range stackFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			stack := load(t, file)
			want := tell(t, story{stack: stack, down: true, lives: []life{{}}})
			if len(want.bad) > 0 {
				t.Fatalf("undisturbed: %v", want.bad)
			}
			c := &court{t: t, want: undisturbed(t, stack, false)}
			for point := 1; point <= want.points; point++ {
				c.judge(story{stack: stack, down: true, lives: []life{{Dies: point}}})
			}
			t.Logf("%d points, %d stories, %d bad", want.points, c.stories, c.bad)
		})
	}
}

// TestPreStartKilledAtEveryPoint: the runner dies before or after what comes before a service's start. It is
// done anew then, as the service has not been started; nothing of it stays.
func TestPreStartKilledAtEveryPoint(t *testing.T) {
	stack := load(t, "testdata/prestart.yaml")
	for _, gentle := range []bool{false, true} {
		c := &court{t: t, want: undisturbed(t, stack, false)}
		for point := 1; point <= c.want.points; point++ {
			l := life{Dies: point}
			if gentle {
				l = life{Interrupt: point}
			}
			c.judge(story{stack: stack, lives: []life{l}, gentle: gentle})
		}
		t.Logf("%d points, %d stories, %d bad", c.want.points, c.stories, c.bad)
	}
}
