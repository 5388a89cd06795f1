package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// lifeCases are about one container: making, running, ending, removing.
var lifeCases = []Case{
	{"create and start may be repeated", createRepeats},
	{"create and start may be called by many at once", createConcurrently},
	{"another spec under a name that is taken is a conflict", createConflict},
	{"a missing image is said to be missing and never pulled by create", missingImage},
	{"the exit code is the program's own", exitCodes},
	{"an ended container can be started again and has its new exit code", startAgain},
	{"wait may come before start", waitBeforeStart},
	{"wait, status and their like of nothing is not found", missingContainer},
	{"wait for a container that is destroyed never tells of success", waitVanished},
	{"out of memory is told apart from a kill", outOfMemory},
	{"stop lets a program that traps its signal end cleanly within its grace", stopTrapped},
	{"stop kills when grace is over", stopKills},
	{"stop with no grace kills at once", stopAtOnce},
	{"stop sends the container's own signal", stopOwnSignal},
	{"a signal that is not trapped ends the program with 128 and its number", stopUntrapped},
	{"stop of what has ended is no error", stopEnded},
	{"destroy returns when the name is free", destroyFrees},
	{"destroy and remove of nothing is no error", destroyNothing},
	{"list is complete and sorted", listAll},
	{"a failing program is restarted as often as its policy says", restartOnFailure},
	{"a stopped container is not restarted", restartStopped},
	{"the engine's healthcheck is seen", healthcheck},
	{"environment, arguments, folder and host name arrive", environment},
	{"the image's command is kept, cleared, or dropped with the image's entrypoint", imageCommand},
}

func createRepeats(t *testing.T, h Harness) {
	s := newStage(t, h)
	spec := s.spec("a", "forever")
	first, err := h.Engine.Create(s.ctx, spec)
	s.must(err)
	for range 3 {
		again, err := h.Engine.Create(s.ctx, spec)
		s.must(err)
		equal(s, "ID after another Create", again.ID, first.ID)
	}
	equal(s, "name", first.Name, spec.Name)
	equal(s, "image", first.Image, h.Image)
	if first.ImageID == "" || first.Created.IsZero() {
		t.Errorf("the status lacks the image's ID or the time of creation: %+v", first)
	}
	if !first.Started.IsZero() || !first.Finished.IsZero() {
		t.Errorf("never started, but started %v and finished %v", first.Started, first.Finished)
	}
	for range 3 {
		s.must(h.Engine.Start(s.ctx, spec.Name))
	}
	again, err := h.Engine.Create(s.ctx, spec)
	s.must(err)
	equal(s, "state after Create of a running one", again.State, containers.StateRunning)
	equal(s, "ID after Start", again.ID, first.ID)
	if again.Started.IsZero() {
		t.Error("a running container has no time of start")
	}
}

func createConcurrently(t *testing.T, h Harness) {
	s := newStage(t, h)
	spec := s.spec("a", "attempt /tmp/runs 1 0 then forever")
	var mu sync.Mutex
	ids := map[string]bool{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			status, err := h.Engine.Create(s.ctx, spec)
			s.check(err)
			s.check(h.Engine.Start(s.ctx, spec.Name))
			mu.Lock()
			defer mu.Unlock()
			ids[status.ID] = true
		})
	}
	group.Wait()
	equal(s, "containers", len(ids), 1)
	all, err := h.Engine.List(s.ctx, s.labels)
	s.must(err)
	equal(s, "listed", len(all), 1)
	equal(s, "state", all[0].State, containers.StateRunning)
}

func createConflict(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.create(s.spec("a", "exit 0"))
	before, err := h.Engine.Status(s.ctx, name)
	s.must(err)
	there, err := h.Engine.Create(s.ctx, s.spec("a", "exit 1"))
	s.is("Create", err, containers.ErrConflict)
	equal(s, "ID of what is there", there.ID, before.ID)
	equal(s, "its spec", there.Labels[containers.LabelSpec], before.Labels[containers.LabelSpec])
}

func missingImage(t *testing.T, h Harness) {
	s := newStage(t, h)
	ref := "stagehand-enginetest/no-such-image:" + s.id
	_, err := h.Engine.Create(s.ctx, s.spec("a", "exit 0", func(c *containers.Spec) { c.Image = ref }))
	s.is("Create", err, containers.ErrImage)
	_, err = h.Engine.EnsureImage(s.ctx, ref, "", containers.PullNever, nil)
	s.is("EnsureImage, never pull", err, containers.ErrImage)
	img, err := h.Engine.EnsureImage(s.ctx, h.Image, "", containers.PullMissing, func(string) {})
	s.must(err)
	equal(s, "reference", img.Ref, h.Image)
	if img.ID == "" {
		t.Error("the image has no ID")
	}
	status, err := h.Engine.Create(s.ctx, s.spec("b", "exit 0"))
	s.must(err)
	equal(s, "the container's image ID", status.ImageID, img.ID)
}

func exitCodes(t *testing.T, h Harness) {
	s := newStage(t, h)
	codes := []int{0, 1, 3, 42, 125, 126, 137}
	for _, code := range codes {
		s.start(s.spec(fmt.Sprint("exit", code), fmt.Sprint("exit ", code)))
	}
	for _, code := range codes {
		status := s.wait(s.named(fmt.Sprint("exit", code)))
		equal(s, "exit code", status.ExitCode, code)
		equal(s, "out of memory", status.OOMKilled, false)
		// Docker 20.10 notes the start when its own call returns, which is up to
		// 150 ms after a short program has ended.
		if status.Started.IsZero() || status.Finished.Before(status.Started.Add(-time.Second)) {
			t.Errorf("started %v, finished %v", status.Started, status.Finished)
		}
	}
}

func startAgain(t *testing.T, h Harness) {
	s := newStage(t, h)
	spec := s.spec("a", "attempt /tmp/runs 2 7 then exit 9")
	equal(s, "first exit code", s.finish(spec).ExitCode, 7)
	waiting := s.wait(spec.Name) // of an ended one: at once
	equal(s, "exit code again", waiting.ExitCode, 7)
	s.must(h.Engine.Start(s.ctx, spec.Name))
	s.eventually("the second end", func() bool {
		status, err := h.Engine.Status(s.ctx, spec.Name)
		s.must(err)
		return status.Ended() && status.ExitCode == 9
	})
}

func waitBeforeStart(t *testing.T, h Harness) {
	s := newStage(t, h)
	for _, role := range []string{containers.RoleService, containers.RoleHelper} {
		for _, code := range []int{0, 5} {
			spec := s.spec(fmt.Sprint(role, code), fmt.Sprint("exit ", code), func(c *containers.Spec) { c.Labels[containers.LabelRole] = role })
			name := s.create(spec)
			var status containers.Status
			waited := s.async(func(ctx context.Context) (err error) {
				status, err = h.Engine.Wait(ctx, name)
				return err
			})
			// Nothing but time can show that Wait does not return for a created container.
			s.pause(200 * time.Millisecond)
			s.must(h.Engine.Start(s.ctx, name))
			s.must(waited())
			equal(s, "state", status.State, containers.StateExited)
			equal(s, "exit code", status.ExitCode, code)
			equal(s, "exit code of who waits afterwards", s.wait(name).ExitCode, code)
		}
	}
}

func missingContainer(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.named("nothing")
	_, err := h.Engine.Status(s.ctx, name)
	s.is("Status", err, containers.ErrNotFound)
	_, err = h.Engine.Wait(s.ctx, name)
	s.is("Wait", err, containers.ErrNotFound)
	_, err = h.Engine.Stop(s.ctx, name, time.Second)
	s.is("Stop", err, containers.ErrNotFound)
	_, err = h.Engine.Logs(s.ctx, name, containers.LogOptions{})
	s.is("Logs", err, containers.ErrNotFound)
	s.is("Start", h.Engine.Start(s.ctx, name), containers.ErrNotFound)
}

func waitVanished(t *testing.T, h Harness) {
	s := newStage(t, h)
	for _, running := range []bool{false, true} {
		spec := s.spec(fmt.Sprint("a", running), "forever", func(c *containers.Spec) { c.Labels[containers.LabelRole] = containers.RoleHelper })
		s.create(spec)
		if running {
			s.must(h.Engine.Start(s.ctx, spec.Name))
		}
		var status containers.Status
		waited := s.async(func(ctx context.Context) (err error) {
			status, err = h.Engine.Wait(ctx, spec.Name)
			return err
		})
		s.pause(200 * time.Millisecond) // lets Wait begin; either order must hold
		s.must(h.Engine.Destroy(s.ctx, spec.Name))
		switch err := waited(); {
		case running && err == nil && status.Ended() && status.ExitCode == 137: // the kill was seen, and is the truth
		case !errors.Is(err, containers.ErrNotFound):
			t.Errorf("running %t: got %+v and error %v, want ErrNotFound", running, status, err)
		}
	}
}

func outOfMemory(t *testing.T, h Harness) {
	s := newStage(t, h)
	if !h.LimitsMemory {
		t.Skip("the engine cannot limit memory")
	}
	events := s.listen()
	limit := func(c *containers.Spec) { c.Resources.Memory, c.Resources.MemorySwap = 32<<20, 32<<20 }
	// The kernel tells of the lack of memory and of the end by two ways, and
	// Docker 20.10 with control groups v1 forgets the first when the second is
	// faster. So the verdict may now and then be a plain kill, but no more than that.
	const tries = 5
	for try := 1; ; try++ {
		status := s.finish(s.spec(fmt.Sprint("too-much", try), "hold-memory 256m then exit 0", limit))
		equal(s, "exit code", status.ExitCode, 137)
		if status.OOMKilled {
			s.heard(events, status.Name, containers.EventOOM)
			break
		}
		if try == tries {
			t.Fatalf("out of memory %d times, and never said so", tries)
		}
	}
	status := s.finish(s.spec("enough", "hold-memory 2m then exit 0", limit))
	equal(s, "exit code within the limit", status.ExitCode, 0)
	equal(s, "out of memory within the limit", status.OOMKilled, false)
}

func stopTrapped(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGTERM 500ms exit 0"))
	begin := time.Now()
	status, err := h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	equal(s, "state", status.State, containers.StateExited)
	equal(s, "exit code", status.ExitCode, 0)
	if took := time.Since(begin); took < 500*time.Millisecond || took >= s.Slack {
		t.Errorf("took %v: the program ends after 500ms", took)
	}
}

func stopKills(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGTERM 1h exit 0"))
	begin := time.Now()
	status, err := h.Engine.Stop(s.ctx, name, time.Second)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 137)
	equal(s, "out of memory", status.OOMKilled, false)
	if took := time.Since(begin); took < time.Second {
		t.Errorf("killed after %v, grace was 1s", took)
	}
	if text := s.logs(name, containers.LogOptions{}); text != "ready\ngot SIGTERM\n" {
		t.Errorf("the program printed %q", text)
	}
}

func stopAtOnce(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGTERM 0s exit 0"))
	status, err := h.Engine.Stop(s.ctx, name, 0)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 137)
}

func stopOwnSignal(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGINT 0s exit 7", func(c *containers.Spec) { c.StopSignal = "SIGINT" }))
	status, err := h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 7)
}

func stopUntrapped(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "print ready then forever"))
	status, err := h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 143)
}

func stopEnded(t *testing.T, h Harness) {
	s := newStage(t, h)
	first := s.finish(s.spec("a", "exit 4"))
	status, err := h.Engine.Stop(s.ctx, first.Name, time.Second)
	s.must(err)
	equal(s, "exit code", status.ExitCode, 4)
	equal(s, "finished", status.Finished.Equal(first.Finished), true)
}

func destroyFrees(t *testing.T, h Harness) {
	s := newStage(t, h)
	seen := map[string]bool{}
	for i := range 20 {
		// Each round is another spec, so that a leftover would be a conflict.
		spec := s.spec("a", fmt.Sprint("print ", i, " then forever"))
		status, err := h.Engine.Create(s.ctx, spec)
		s.must(err)
		if seen[status.ID] {
			t.Fatalf("round %d got a container of a round before", i)
		}
		seen[status.ID] = true
		if i%4 == 0 {
			s.must(h.Engine.Start(s.ctx, spec.Name))
		}
		s.must(h.Engine.Destroy(s.ctx, spec.Name))
	}
}

func destroyNothing(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.named("nothing")
	s.check(h.Engine.Destroy(s.ctx, name))
	s.check(h.Engine.RemoveNetwork(s.ctx, name))
	s.check(h.Engine.RemoveVolume(s.ctx, name))
	spec := s.spec("a", "forever")
	s.start(spec)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { s.check(h.Engine.Destroy(s.ctx, spec.Name)) })
	}
	group.Wait()
	s.check(h.Engine.Destroy(s.ctx, spec.Name))
	_, err := h.Engine.Status(s.ctx, spec.Name)
	s.is("Status after Destroy", err, containers.ErrNotFound)
}

func listAll(t *testing.T, h Harness) {
	s := newStage(t, h)
	labelled := func(c *containers.Spec) { c.Labels["color"] = "blue" }
	s.ready(s.spec("c", "print ready then forever"))
	s.create(s.spec("a", "exit 0", labelled))
	s.finish(s.spec("b", "exit 3", labelled))
	all, err := h.Engine.List(s.ctx, s.labels)
	s.must(err)
	var got []string
	for _, c := range all {
		got = append(got, fmt.Sprintf("%s %s %d", c.Name, c.State, c.ExitCode))
		alone, err := h.Engine.Status(s.ctx, c.Name)
		s.must(err)
		if c.ID != alone.ID || c.ImageID != alone.ImageID || !c.Created.Equal(alone.Created) || !c.Started.Equal(alone.Started) ||
			!c.Finished.Equal(alone.Finished) || c.Labels[containers.LabelSpec] != alone.Labels[containers.LabelSpec] {
			t.Errorf("List says\n%+v, Status says\n%+v", c, alone)
		}
	}
	want := []string{s.named("a") + " created 0", s.named("b") + " exited 3", s.named("c") + " running 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	blue, err := h.Engine.List(s.ctx, map[string]string{label: s.id, "color": "blue"})
	s.must(err)
	equal(s, "with both labels", len(blue), 2)
	none, err := h.Engine.List(s.ctx, map[string]string{label: s.id, "color": "red"})
	s.must(err)
	equal(s, "with another value", len(none), 0)
}

func restartOnFailure(t *testing.T, h Harness) {
	s := newStage(t, h)
	policy := func(c *containers.Spec) { c.Restart = containers.Restart{Policy: "on-failure", Retries: 5} }
	status := s.finish(s.spec("recovers", "attempt /tmp/runs 3 1 then exit 0", policy))
	equal(s, "exit code of the last run", status.ExitCode, 0)
	equal(s, "restarts", status.Restarts, 2)
	policy = func(c *containers.Spec) { c.Restart = containers.Restart{Policy: "on-failure", Retries: 2} }
	status = s.finish(s.spec("never", "print again then exit 6", policy))
	equal(s, "exit code of the last run", status.ExitCode, 6)
	equal(s, "restarts", status.Restarts, 2)
	equal(s, "log of all runs", s.logs(status.Name, containers.LogOptions{}), strings.Repeat("again\n", 3))
}

func restartStopped(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "trap SIGTERM 0s exit 1", func(c *containers.Spec) { c.Restart.Policy = "always" }))
	status, err := h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	equal(s, "state after Stop", status.State, containers.StateExited)
	equal(s, "exit code", status.ExitCode, 1)
	s.pause(500 * time.Millisecond) // longer than the first pause before a restart
	status, err = h.Engine.Status(s.ctx, name)
	s.must(err)
	equal(s, "state later", status.State, containers.StateExited)
}

func healthcheck(t *testing.T, h Harness) {
	s := newStage(t, h)
	events := s.listen()
	check := func(c *containers.Spec) {
		c.Health = &containers.Healthcheck{
			Test:     []string{"CMD", "/actor", "cat", "/tmp/well"},
			Interval: 300 * time.Millisecond, Timeout: 10 * time.Second, Retries: 1,
		}
	}
	reaches := func(name string, want containers.Health) containers.Status {
		var status containers.Status
		s.eventually("health "+string(want), func() (done bool) {
			var err error
			status, err = h.Engine.Status(s.ctx, name)
			s.must(err)
			return status.Health == want
		})
		return status
	}
	ill := s.start(s.spec("ill", "forever", check))
	well := s.start(s.spec("well", "write /tmp/well yes then forever", check))
	none := s.start(s.spec("none", "forever"))
	reaches(well, containers.HealthHealthy)
	status := reaches(ill, containers.HealthUnhealthy)
	if !strings.Contains(status.HealthLog, "/tmp/well") {
		t.Errorf("the health log does not say what the check printed: %q", status.HealthLog)
	}
	equal(s, "an unhealthy container runs on", status.State, containers.StateRunning)
	reaches(none, containers.HealthNone)
	for name, want := range map[string]containers.Health{ill: containers.HealthUnhealthy, well: containers.HealthHealthy} {
		heard := s.heard(events, name, containers.EventHealth)
		equal(s, name+": health event", heard[len(heard)-1].Health, want)
	}
}

func environment(t *testing.T, h Harness) {
	s := newStage(t, h)
	status := s.finish(s.spec("a", "env COLOR then pwd then hostname then args", func(c *containers.Spec) {
		c.Env = []string{"COLOR=light blue", "EMPTY="}
		c.WorkingDir, c.Hostname = "/tmp", "stage-door"
	}))
	equal(s, "log", s.logs(status.Name, containers.LogOptions{}),
		"light blue\n/tmp\nstage-door\nenv COLOR then pwd then hostname then args\n")
	status = s.finish(s.spec("b", "two words", func(c *containers.Spec) { c.Entrypoint = []string{"/actor", "print", "one"} }))
	equal(s, "log with an entrypoint", s.logs(status.Name, containers.LogOptions{}), "one two words\n")
}

func imageCommand(t *testing.T, h Harness) {
	s := newStage(t, h)
	one := []string{"/actor", "print", "one"}
	for _, c := range []struct {
		name                string
		entrypoint, command []string
		want                string
	}{
		{"kept", nil, nil, "the image's own command\n"},
		{"cleared", nil, []string{}, ""},
		{"replaced", nil, []string{"print", "two"}, "two\n"},
		{"dropped", one, nil, "one\n"},
		{"none beside an entrypoint", one, []string{}, "one\n"},
	} {
		spec := s.spec(strings.ReplaceAll(c.name, " ", "-"), "")
		spec.Entrypoint, spec.Command = c.entrypoint, c.command
		status := s.finish(spec)
		equal(s, c.name, s.logs(status.Name, containers.LogOptions{}), c.want)
		equal(s, c.name+": exit code", status.ExitCode, 0)
	}
}
