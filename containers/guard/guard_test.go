package guard_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/guard"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

// bench is an engine, guarded by a lease on it, with a container that ignores
// its stop signal.
func bench(t *testing.T) (raw *memory.Engine, guarded containers.Engine) {
	t.Helper()
	raw = memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	lease, err := raw.Lease(t.Context(), "s", containers.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	life, cancel := context.WithCancel(t.Context())
	go func() {
		select {
		case <-lease.Lost():
		case <-t.Context().Done():
		}
		cancel()
	}()
	guarded = guard.Wrap(life, raw, lease)
	if _, err := guarded.Create(t.Context(), containers.Spec{Name: "c", Image: "actor", Command: []string{"trap", "SIGTERM", "1h", "exit", "0"}}); err != nil {
		t.Fatal(err)
	}
	if err := guarded.Start(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // it waits for its signal by now
	t.Cleanup(raw.Halt)
	return raw, guarded
}

func lose(t *testing.T, raw *memory.Engine) {
	t.Helper()
	if err := raw.Destroy(t.Context(), containers.LeaseObject("s")); err != nil {
		t.Fatal(err)
	}
}

func TestEveryChangeIsRefusedOnceTheLeaseIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, g := bench(t)
		lose(t, raw)
		before := raw.Calls()
		ctx := t.Context()
		errs := map[string]error{}
		_, errs["EnsureImage"] = g.EnsureImage(ctx, "actor", "", containers.PullMissing, nil)
		errs["EnsureNetwork"] = g.EnsureNetwork(ctx, containers.Network{Name: "n"})
		_, errs["EnsureVolume"] = g.EnsureVolume(ctx, containers.Volume{Name: "v"})
		errs["RemoveNetwork"] = g.RemoveNetwork(ctx, "n")
		errs["RemoveVolume"] = g.RemoveVolume(ctx, "v")
		_, errs["Create"] = g.Create(ctx, containers.Spec{Name: "d", Image: "actor"})
		errs["Start"] = g.Start(ctx, "c")
		_, errs["Stop"] = g.Stop(ctx, "c", 0)
		errs["Destroy"] = g.Destroy(ctx, "c")
		_, errs["Exec"] = g.(containers.Execer).Exec(ctx, "c", []string{"exit", "0"}, nil)
		errs["CopyIn"] = g.(containers.Copier).CopyIn(ctx, "c", nil)
		for call, err := range errs {
			if !errors.Is(err, containers.ErrLeaseLost) {
				t.Errorf("%s: %v", call, err)
			}
		}
		for call, n := range raw.Calls() {
			if n != before[call] {
				t.Errorf("%s reached the engine", call)
			}
		}
		// Looking goes on.
		if status, err := g.Status(ctx, "c"); err != nil || !status.Running() {
			t.Errorf("status: %v, %v", status.State, err)
		}
		if _, err := g.EnsureImage(ctx, "actor", "", containers.PullNever, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestAChangeUnderWayIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, g := bench(t)
		began := time.Now()
		result := make(chan error, 1)
		go func() {
			_, err := g.Stop(t.Context(), "c", time.Hour)
			result <- err
		}()
		time.Sleep(time.Minute)
		lose(t, raw)
		if err := <-result; !errors.Is(err, containers.ErrLeaseLost) || time.Since(began) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
