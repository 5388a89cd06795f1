package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
)

func leaseEngine(t *testing.T) *Engine {
	t.Helper()
	needActor(t)
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	return openEngine(t, Options{ProbeBinary: binary})
}

// What a runner leaves that died between the creation of its lease's container and the
// start of it does not keep others out; nor does one that has ended.
func TestALeaseThatNobodyKeepsIsTaken(t *testing.T) {
	t.Parallel()
	for _, started := range []bool{false, true} {
		t.Run(fmt.Sprintf("started=%v", started), func(t *testing.T) {
			t.Parallel()
			engine := leaseEngine(t)
			name := fmt.Sprintf("le%d-left-%v", os.Getpid(), started)
			ctx := t.Context()
			made, err := engine.api.ContainerCreate(ctx, &container.Config{
				Image: actorImage, Cmd: []string{"exit", "0"}, Labels: map[string]string{containers.LabelLease: name},
			}, &container.HostConfig{NetworkMode: "none"}, nil, nil, containers.LeaseObject(name))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Destroy(context.Background(), made.ID) }()
			if started {
				if err := engine.Start(ctx, made.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := engine.Wait(ctx, made.ID); err != nil {
					t.Fatal(err)
				}
			}
			lease, err := engine.Lease(ctx, name, containers.Holder{Run: "new"})
			if err != nil {
				t.Fatal(err)
			}
			if err := lease.Release(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// A container that only has the name is not taken for a lease, and not removed.
func TestAForeignContainerIsNoLease(t *testing.T) {
	t.Parallel()
	engine := leaseEngine(t)
	name := fmt.Sprintf("le%d-foreign", os.Getpid())
	made, err := engine.api.ContainerCreate(t.Context(), &container.Config{Image: actorImage, Cmd: []string{"exit", "0"}},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, containers.LeaseObject(name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Destroy(context.Background(), made.ID) }()
	if _, err := engine.Lease(t.Context(), name, containers.Holder{Run: "new"}); !errors.Is(err, containers.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := engine.Status(t.Context(), made.ID); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// A lease that is kept lives on past its TTL, over a connection that stays.
func TestALeaseOutlivesItsTTLWhileItIsKept(t *testing.T) {
	if testing.Short() {
		t.Skip("takes longer than the TTL")
	}
	t.Parallel()
	engine := leaseEngine(t)
	name := fmt.Sprintf("le%d-long", os.Getpid())
	lease, err := engine.Lease(t.Context(), name, containers.Holder{Run: "long"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-lease.Lost():
		t.Error("lost")
	case <-time.After(containers.LeaseTTL + 2*time.Second):
	}
	if holder, err := engine.LeaseHolder(t.Context(), name); err != nil || holder.Run != "long" {
		t.Errorf("held by %v, %v", holder, err)
	}
	if err := lease.Release(context.Background()); err != nil {
		t.Error(err)
	}
}
