package steps

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/waiters"
)

// A look that saw a service dead may come in after the run has started that
// service again: then the death is an old one, and the next one counts.
func TestADeathSeenBeforeTheStartIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
		defer engine.Halt()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := engine.Create(ctx, containers.Spec{Name: "svc", Image: "actor", Command: []string{"forever"}})
		must(err)
		must(engine.Start(ctx, "svc"))
		old, err := engine.Stop(ctx, "svc", time.Second)
		must(err)
		must(engine.Start(ctx, "svc"))
		c := New(Options{Engine: engine})
		c.deaths.set(old)
		over := c.deathOf(ctx, []string{"svc"})
		synctest.Wait()
		select {
		case err := <-over:
			t.Fatalf("it runs, and counts as dead: %v", err)
		default:
		}
		time.Sleep(time.Second)
		later, err := engine.Stop(ctx, "svc", time.Second)
		must(err)
		c.deaths.set(later)
		var dead *waiters.Dead
		if err := <-over; !errors.As(err, &dead) || !dead.Status.Finished.Equal(later.Finished) {
			t.Errorf("got %v", err)
		}
	})
}
