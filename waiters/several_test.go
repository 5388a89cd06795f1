package waiters_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

func TestAllAny(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("a", waitertest.Serve(time.Second, nil))
		s.Launch("b", waitertest.Serve(2*time.Second, nil))
		s.Launch("gone", waitertest.After(0, 3))
		time.Sleep(100 * time.Millisecond)
		a, b, gone := conditions.TCP{Address: "a:80"}, conditions.TCP{Address: "b:80"}, conditions.TCP{Address: "gone:80"}
		never := conditions.TCP{Address: "a:9"}
		seen, err := s.Await(waiters.All{a, waiters.Any{gone, b}}, time.Minute)
		want := []string{
			"0 of 2 hold, missing tcp a:80 (refused); any(tcp gone:80, tcp b:80) (none holds: tcp gone:80 (gone has died: exit 3); tcp b:80 (refused))",
			"1 of 2 hold, missing any(tcp gone:80, tcp b:80) (none holds: tcp gone:80 (gone has died: exit 3); tcp b:80 (refused))",
			"all 2 hold",
		}
		if err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen\n%s\nwant\n%s\n%v", strings.Join(seen, "\n"), strings.Join(want, "\n"), err)
		}
		s.Late(waiters.All{a, never}, "1 of 2 hold, missing tcp a:9 (refused)")
		s.Dead(waiters.All{never, gone}, "gone has died: exit 3")
		s.Dead(waiters.Any{gone, waiters.All{gone, a}}, "none holds: tcp gone:80 (gone has died: exit 3); all(tcp gone:80, tcp a:80) (gone has died: exit 3)")
	})
}

// Times of parts count inside all and any.
func TestNestedTimes(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("a", waitertest.Serve(0, nil))
		stable := waiters.Timed{Condition: conditions.TCP{Address: "a:80"}, Pace: waiters.Pace{StableFor: 5 * time.Second}}
		short := waiters.Timed{Condition: conditions.TCP{Address: "a:9"}, Pace: waiters.Pace{Timeout: time.Second, Every: 100 * time.Millisecond}}
		begin := time.Now()
		s.Holds(waiters.All{stable})
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("stable after %s, want a little more than 5 s", took)
		}
		_, err := s.Await(waiters.All{stable, short}, time.Minute)
		if late := (*waiters.TimedOut)(nil); !errors.As(err, &late) || late.Condition != "tcp a:9" || late.After > 2*time.Second {
			t.Errorf("a part's timeout: %v", err)
		}
		s.Holds(waiters.Any{stable, short})
	})
}
