package waiters_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

// A container that its restart policy brings back is not dead.
func TestRestartIsNotDeath(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		runs := 0
		s.Launch("flaky", func(ctx context.Context, p *memory.Process) int {
			if runs++; runs < 4 {
				return waitertest.After(time.Second, 1)(ctx, p)
			}
			return waitertest.Serve(0, nil)(ctx, p)
		}, func(spec *containers.Spec) { spec.Restart.Policy = "on-failure" })
		s.Holds(conditions.TCP{Address: "flaky:80"})
		if runs != 4 {
			t.Errorf("%d runs, want 4", runs)
		}
	})
}

func TestReferences(t *testing.T) {
	c := waiters.Timed{Condition: waiters.All{
		conditions.Exit{Service: "e"}, waiters.Any{conditions.TCP{Address: "t:1"}, conditions.HTTP{URL: "http://h:1/"}},
		conditions.SQL{URL: "postgres://u:p@s:5432/d"}, conditions.File{Service: "e"},
	}}
	if got := waiters.References(c); !slices.Equal(got, []string{"e", "h", "s", "t"}) {
		t.Errorf("got %q", got)
	}
}
