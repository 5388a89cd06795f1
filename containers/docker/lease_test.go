package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

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

// Nothing is lost of the shortest life: who waits listens before the lease's container runs.
func TestWhoWaitsBeforeALeaseRunsHearsAll(t *testing.T) {
	t.Parallel()
	engine := leaseEngine(t)
	name := fmt.Sprintf("le%d-short", os.Getpid())
	ctx := t.Context()
	attached, broken := engine.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("event", "attach"), filters.Arg("label", containers.LabelLease+"="+name))})
	lease, err := engine.Lease(ctx, name, containers.Holder{Run: "short"})
	if err != nil {
		t.Fatal(err)
	}
	lease.Tell([]byte("one"))
	const waiting = 3
	var group sync.WaitGroup
	for range waiting {
		group.Go(func() {
			notes, err := engine.AwaitRelease(ctx, name, lease.Token())
			notes = slices.CompactFunc(notes, bytes.Equal) // one may come twice
			if got := string(bytes.Join(notes, []byte(" "))); err != nil || got != "one two" {
				t.Errorf("notes %q, %v", got, err)
			}
		})
	}
	for range waiting + 1 { // the holder too
		select {
		case <-attached:
		case err := <-broken:
			t.Fatal(err)
		case <-lease.Lost():
			t.Fatalf("lost: %v", lease.Allow(ctx))
		case <-time.After(time.Minute):
			t.Fatal("nobody attaches")
		}
	}
	time.Sleep(time.Second) // who came when it ran already has its log to read
	lease.Tell([]byte("two"))
	if err := lease.Release(ctx); err != nil {
		t.Error(err)
	}
	group.Wait()
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

// stall is a socket in front of the engine's over which, from a moment on,
// nothing comes through any more, and nothing is closed: a host that vanished.
type stall struct {
	path    string
	stalled chan struct{}
}

func newStall(t *testing.T) *stall {
	t.Helper()
	far := socketOfEngine(t)
	folder, err := os.MkdirTemp("", "stall") // not t.TempDir: a socket's path has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	s := &stall{path: filepath.Join(folder, "s"), stalled: make(chan struct{})}
	listener, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var serving sync.WaitGroup
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			select {
			case <-s.stalled:
				<-over
				return
			default:
			}
			if n > 0 {
				_, _ = to.Write(buffer[:n])
			}
			if err != nil {
				_ = to.(*net.UnixConn).CloseWrite()
				return
			}
		}
	}
	serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("unix", far)
			if err != nil {
				_ = near.Close()
				continue
			}
			serving.Go(func() { pass(conn, near) })
			serving.Go(func() { pass(near, conn) })
			serving.Go(func() {
				<-over
				_, _ = near.Close(), conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		close(over)
		serving.Wait()
		_ = os.RemoveAll(folder)
	})
	return s
}

// A holder that the engine does not hear any more counts its lease as lost before
// the engine ends it, and the engine ends it.
func TestAHolderThatIsNotHeardStopsBeforeAnotherBegins(t *testing.T) {
	if testing.Short() {
		t.Skip("takes longer than the TTL")
	}
	t.Parallel()
	direct := leaseEngine(t)
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	socket := newStall(t)
	far, err := Open(t.Context(), Options{Endpoint: "unix://" + socket.path, ProbeBinary: binary})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("le%d-stall", os.Getpid())
	lease, err := far.Lease(t.Context(), name, containers.Holder{Run: "far"})
	if err != nil {
		t.Fatal(err)
	}
	for running := false; !running; time.Sleep(10 * time.Millisecond) {
		status, err := direct.Status(t.Context(), containers.LeaseObject(name))
		if err != nil {
			t.Fatal(err)
		}
		running = status.Running()
	}
	close(socket.stalled)
	began := time.Now()
	free := make(chan time.Time, 1)
	go func() {
		_, err := direct.AwaitRelease(t.Context(), name, lease.Token())
		if err != nil {
			t.Error(err)
		}
		free <- time.Now()
	}()
	select {
	case <-lease.Lost():
	case end := <-free:
		t.Fatalf("free %s after the holder was cut off, and the holder does not know", end.Sub(began))
	}
	known := time.Now()
	end := <-free
	if end.Sub(known) < time.Second || end.Sub(began) > containers.LeaseTTL+10*time.Second {
		t.Errorf("the holder knew after %s, the lease was free after %s", known.Sub(began), end.Sub(began))
	}
	next, err := direct.Lease(t.Context(), name, containers.Holder{Run: "next"})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Release(context.Background()); err != nil {
		t.Error(err)
	}
}
