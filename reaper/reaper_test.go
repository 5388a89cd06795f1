package reaper

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const image = "actor:test"

// inBubble runs a test with its own clock and engine.
func inBubble(t *testing.T, test func(t *testing.T, e *memory.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := memory.New(memory.Options{Images: map[string]memory.Program{image: actor.Main}})
		defer e.Halt()
		test(t, e)
	})
}

// labels are stack, run and further pairs.
func labels(stack, run string, more ...string) map[string]string {
	out := map[string]string{containers.LabelStack: stack}
	if run != "" {
		out[containers.LabelRun] = run
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func create(t *testing.T, e containers.Engine, name string, l map[string]string, command ...string) {
	t.Helper()
	spec := containers.Spec{Name: name, Image: image, Command: command, Labels: l}
	if _, err := e.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// start creates and starts, and with an end waits for it.
func start(t *testing.T, e containers.Engine, name string, l map[string]string, end bool, command ...string) {
	t.Helper()
	create(t, e, name, l, command...)
	if err := e.Start(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if end {
		if _, err := e.Wait(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

func volume(t *testing.T, e containers.Engine, name string, l map[string]string) {
	t.Helper()
	if _, err := e.EnsureVolume(t.Context(), containers.Volume{Name: name, Labels: l}); err != nil {
		t.Fatal(err)
	}
}

func network(t *testing.T, e containers.Engine, name string, l map[string]string) {
	t.Helper()
	if err := e.EnsureNetwork(t.Context(), containers.Network{Name: name, Labels: l}); err != nil {
		t.Fatal(err)
	}
}

// standing is all that is on the engine, as "kind name".
func standing(t *testing.T, e containers.Engine) []string {
	t.Helper()
	var out []string
	list, err := e.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		out = append(out, "container "+c.Name)
	}
	networks, err := e.ListNetworks(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		if n != "bridge" {
			out = append(out, "network "+n)
		}
	}
	volumes, err := e.ListVolumes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		out = append(out, "volume "+v.Name)
	}
	return out
}

func wantStanding(t *testing.T, e containers.Engine, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, standing(t, e)); diff != "" {
		t.Errorf("on the engine (-want +got):\n%s", diff)
	}
}

func TestAllThatIsMadeThroughTheViewCarriesTheRun(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		mine, theirs := Own(e, "r1"), Own(e, "r2")
		network(t, mine, "n", map[string]string{containers.LabelStack: "s"})
		volume(t, mine, "v", nil)
		create(t, mine, "c", map[string]string{containers.LabelStack: "s"}, "forever")
		create(t, mine, "c", map[string]string{containers.LabelStack: "s"}, "forever") // repeated: no error
		network(t, mine, "n", nil)
		volume(t, mine, "v", nil)
		for _, view := range []containers.Engine{mine, theirs} {
			list, _ := view.List(t.Context(), nil)
			networks, _ := view.ListNetworks(t.Context(), map[string]string{containers.LabelEphemeral: "true"})
			volumes, _ := view.ListVolumes(t.Context(), nil)
			want := 1
			if view == theirs {
				want = 0
			}
			if len(list) != want || len(networks) != want || len(volumes) != want {
				t.Errorf("lists show %d, %d and %d where %d is the run's", len(list), len(networks), len(volumes), want)
			}
		}
		if _, ok := mine.(containers.Execer); !ok {
			t.Error("the view lost the engine's Exec")
		}
		if _, ok := mine.(containers.Copier); !ok {
			t.Error("the view lost the engine's CopyIn")
		}
	})
}

func TestTheViewLeavesAloneWhatIsNotTheRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		network(t, e, "n", labels("other", ""))
		volume(t, e, "v", labels("other", "r0"))
		start(t, e, "c", labels("other", "r0"), false, "forever")
		own := Own(e, "r1")
		ctx := t.Context()
		_, volumeErr := own.EnsureVolume(ctx, containers.Volume{Name: "v"})
		_, createErr := own.Create(ctx, containers.Spec{Name: "c", Image: image, Command: []string{"forever"}})
		_, stopErr := own.Stop(ctx, "c", 0)
		for what, err := range map[string]error{
			"network": own.EnsureNetwork(ctx, containers.Network{Name: "n"}), "volume": volumeErr, "create": createErr,
			"stop": stopErr, "destroy": own.Destroy(ctx, "c"),
		} {
			if !errors.Is(err, containers.ErrConflict) {
				t.Errorf("%s: %v, want a conflict", what, err)
			}
		}
		if volumeErr == nil || !strings.Contains(volumeErr.Error(), "stack other, run r0") {
			t.Errorf("the conflict does not say whose it is: %v", volumeErr)
		}
		if err := own.Destroy(ctx, "nothing"); err != nil {
			t.Errorf("a free name: %v", err)
		}
		if err := own.EnsureNetwork(ctx, containers.Network{Name: "n", External: true}); err != nil {
			t.Errorf("an external network: %v", err)
		}
		if _, err := own.EnsureVolume(ctx, containers.Volume{Name: "v", External: true}); err != nil {
			t.Errorf("an external volume: %v", err)
		}
		wantStanding(t, e, "container c", "network n", "volume v")
		if status, _ := e.Status(ctx, "c"); !status.Running() {
			t.Error("somebody else's container was stopped")
		}
	})
}

// make is a run's worth of objects.
func makeRun(t *testing.T, e *memory.Engine, run string) {
	t.Helper()
	own := Own(e, run)
	network(t, own, run+"_n", labels(run, ""))
	volume(t, own, run+"_v", labels(run, ""))
	spec := containers.Spec{
		Name: run + "-svc", Image: image, Command: []string{"forever"}, Labels: labels(run, ""),
		Mounts:   []containers.Mount{{Kind: containers.MountVolume, Source: run + "_v", Target: "/data"}},
		Networks: []containers.Attachment{{Network: run + "_n"}},
	}
	if _, err := own.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := own.Start(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
}

// watched is a watching process in this one. hang ends its input as the
// runner's death does.
type watched struct {
	guard  *Guard
	report Report
	err    error
	buried int
}

func watchRun(t *testing.T, e *memory.Engine, run string) *watched {
	t.Helper()
	w := &watched{}
	var err error
	w.guard, err = InProcess(t.Context(), Request{Run: run, Stack: "s", EngineID: "memory"}, func(in io.Reader, out io.Writer) error {
		w.report, w.err = Watch(context.Background(), in, out, Hands{
			Open: func(context.Context, Request) (containers.Engine, error) { return e, nil },
			Bury: func(context.Context, Request) error { w.buried++; return nil },
		})
		return w.err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestNothingIsRemovedWhenTheRunnerSaysDone(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		makeRun(t, e, "r1")
		w := watchRun(t, e, "r1")
		w.guard.Done()
		if w.report.Died || w.buried != 0 || w.err != nil {
			t.Errorf("report %+v, buried %d, %v", w.report, w.buried, w.err)
		}
		wantStanding(t, e, "container r1-svc", "network r1_n", "volume r1_v")
	})
}

func TestADeadRunnersThingsGoAndNoOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		makeRun(t, e, "r1")
		makeRun(t, e, "r2")
		start(t, e, "lasting", labels("s", "r1"), false, "forever") // not ephemeral, whatever run it says
		w := watchRun(t, e, "r1")
		died := time.Now()
		w.guard.Abandon()
		time.Sleep(5 * time.Second)
		rest := []string{"container lasting", "container r2-svc", "network r2_n", "volume r2_v"}
		wantStanding(t, e, rest...)
		<-w.guard.Lost()
		if want := (Removed{1, 1, 1}); !w.report.Died || w.report.Removed != want || w.buried != 1 || w.err != nil {
			t.Errorf("report %+v, buried %d, %v", w.report, w.buried, w.err)
		}
		if took := time.Since(died); took < quiet || took > quiet+5*time.Second {
			t.Errorf("it watched for another %s", took)
		}
		wantStanding(t, e, rest...)
	})
}

func TestWhatTheEngineMakesAfterTheRunnersDeathGoesToo(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		w := watchRun(t, e, "r1")
		w.guard.Abandon()
		time.Sleep(quiet - time.Second)
		makeRun(t, e, "r1")
		time.Sleep(5 * time.Second)
		wantStanding(t, e)
		<-w.guard.Lost()
		if w.err != nil || w.report.Removed.Containers != 1 {
			t.Errorf("%+v, %v", w.report, w.err)
		}
	})
}

// A runner that died while it took its lease leaves a container that nobody
// starts any more. The lease of another stack is not its affair.
func TestALeaseThatTheRunnerDidNotComeToStartGoesToo(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		for _, stack := range []string{"s", "other"} {
			labels := map[string]string{containers.LabelRole: containers.RoleLease, containers.LabelLease: stack}
			if _, err := e.Create(t.Context(), containers.Spec{Name: containers.LeaseObject(stack), Image: image, Labels: labels}); err != nil {
				t.Fatal(err)
			}
		}
		w := watchRun(t, e, "r1")
		w.guard.Abandon()
		time.Sleep(5 * time.Second)
		wantStanding(t, e, "container "+containers.LeaseObject("other"))
		<-w.guard.Lost()
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

func TestAnEngineThatIsAwayIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		makeRun(t, e, "r1")
		w := watchRun(t, e, "r1")
		e.Sever()
		w.guard.Abandon()
		time.Sleep(20 * time.Minute)
		e.Restore()
		time.Sleep(5 * time.Second)
		wantStanding(t, e)
		<-w.guard.Lost()
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

func TestAnEngineThatNeverComesBackIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		w := watchRun(t, e, "r1")
		e.Sever()
		w.guard.Abandon()
		<-w.guard.Lost()
		if !errors.Is(w.err, containers.ErrUnavailable) {
			t.Errorf("%v, want that the engine does not answer", w.err)
		}
	})
}

func TestAnEngineThatGoesAwayWhenAllIsGoneIsGivenUpSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		makeRun(t, e, "r1")
		w := watchRun(t, e, "r1")
		w.guard.Abandon()
		time.Sleep(quiet / 2)
		wantStanding(t, e)
		e.Sever()
		left := time.Now()
		<-w.guard.Lost()
		if took := time.Since(left); took < giveUpClean/2 || took > 2*giveUpClean || !errors.Is(w.err, containers.ErrUnavailable) {
			t.Errorf("given up after %s: %v", took, w.err)
		}
	})
}

func TestWatchRefusesWhatItCannotWatch(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		open error
		said string
	}{
		"nothing":        {"", nil, ""},
		"not an object":  {"hello\n", nil, ""},
		"no run":         {"{}\n", nil, ""},
		"half an object": {`{"run":"r1"`, nil, ""},
		"no engine":      {`{"run":"r1","engine_id":"memory"}` + "\n", errors.New("nobody\nis there"), "nobody is there\n"},
		"another engine": {`{"run":"r1","engine_id":"e2"}` + "\n", nil, "memory://memory is not the engine that the runner uses\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := memory.New(memory.Options{Images: map[string]memory.Program{image: actor.Main}})
			makeRun(t, e, "r1")
			defer e.Halt()
			var out strings.Builder
			report, err := Watch(t.Context(), strings.NewReader(c.in), &out, Hands{
				Open: func(context.Context, Request) (containers.Engine, error) {
					if c.open != nil {
						return nil, c.open
					}
					return e, nil
				},
			})
			if err == nil || report.Died || out.String() != c.said {
				t.Errorf("%v, died %t, said %q, want %q", err, report.Died, out.String(), c.said)
			}
			wantStanding(t, e, "container r1-svc", "network r1_n", "volume r1_v")
		})
	}
}

func TestAGuardThatCannotWatchIsAnErrorThatSaysWhy(t *testing.T) {
	_, err := InProcess(t.Context(), Request{Run: "r1", EngineID: "x"}, func(in io.Reader, out io.Writer) error {
		_, err := Watch(context.Background(), in, out, Hands{Open: func(context.Context, Request) (containers.Engine, error) {
			return nil, errors.New("no way in")
		}})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "no way in") {
		t.Errorf("%v, want the reason", err)
	}
	if _, err := Start(t.Context(), Request{Run: "r1"}, "/bin/false"); err == nil {
		t.Error("a program that ends at once is no guard")
	}
	if _, err := Start(t.Context(), Request{Run: "r1"}, "/nonexistent"); err == nil {
		t.Error("a program that is not there is no guard")
	}
}

func found(list []Leftover) []string {
	out := []string{}
	for _, l := range list {
		out = append(out, string(l.Kind)+" "+l.Name)
	}
	slices.Sort(out)
	return out
}

// deadRuns fills the engine with something of each kind. On stacks "alive" and
// "rlive" a runner works.
func deadRuns(t *testing.T, e *memory.Engine) {
	t.Helper()
	helper := []string{containers.LabelRole, containers.RoleHelper}
	with := func(more ...string) []string { return append(slices.Clone(helper), more...) }
	start(t, e, "foreign", nil, true, "exit", "0")
	volume(t, e, "foreign-v", nil)
	network(t, e, "foreign-n", map[string]string{containers.LabelStack: "s"}) // a lasting run's
	start(t, e, "service", labels("s", "r0", containers.LabelRole, containers.RoleService), true, "exit", "0")
	start(t, e, "ended", labels("s", "r0", helper...), true, "exit", "3")
	create(t, e, "half", labels("s", "r0", helper...), "forever")
	start(t, e, "running", labels("s", "r0", helper...), false, "forever")
	start(t, e, "kept", labels("s", "r0", with(containers.LabelKeep, "1h0m0s")...), true, "exit", "0")
	start(t, e, "overdue", labels("s", "r0", with(containers.LabelKeep, "1s")...), true, "exit", "0")
	start(t, e, "always", labels("s", "r0", with(containers.LabelKeep, "always")...), true, "exit", "0")
	start(t, e, "kept-failed", labels("s", "r0", with(containers.LabelKeep, "on_failure")...), true, "exit", "1")
	start(t, e, "done-unrecorded", labels("s", "r0", with(containers.LabelKeep, "on_failure")...), true, "exit", "0")
	start(t, e, "alive-ended", labels("alive", "r9", helper...), true, "exit", "0")
	start(t, e, "alive-overdue", labels("alive", "r9", with(containers.LabelKeep, "1s")...), true, "exit", "0")
	start(t, e, "probe", labels("s", "", containers.LabelRole, containers.RoleProbe), false, "forever")
	namespace := []string{containers.LabelRole, containers.RoleNamespace}
	start(t, e, "lends", labels("s", "r0", namespace...), false, "forever") // "running" is in it
	start(t, e, "lent", labels("over", "r0", namespace...), false, "forever")
	start(t, e, "alive-lends", labels("alive", "r9", namespace...), false, "forever")
	lease := func(name string) map[string]string {
		return map[string]string{containers.LabelRole: containers.RoleLease, containers.LabelLease: name}
	}
	start(t, e, "lease-of-s", lease("s"), true, "exit", "0")
	start(t, e, "lease-of-alive", lease("alive"), false, "forever")
	makeRun(t, e, "rdead")
	makeRun(t, e, "rlive")
}

func search(e containers.Engine) Search {
	return Search{Engine: e, Alive: func(_ context.Context, stack string) (bool, error) {
		return stack == "alive" || stack == "rlive", nil
	}}
}

func TestFindTellsLeftoversFromWhatIsNeeded(t *testing.T) {
	zero, hour := time.Duration(0), time.Hour
	dead := []string{"container done-unrecorded", "container ended", "container half", "container lease-of-s", "container lent", "container overdue", "container probe",
		"container rdead-svc", "network rdead_n", "volume rdead_v"}
	for name, c := range map[string]struct {
		change           func(*Search)
		leftover, spared []string
	}{
		"all":       {func(*Search) {}, dead, []string{"container lends", "container running"}},
		"one stack": {func(s *Search) { s.Stack = "alive" }, []string{}, []string{}},
		"older 0s":  {func(s *Search) { s.Older = &zero }, slices.Sorted(slices.Values(append(slices.Clone(dead), "container lends", "container running"))), []string{}},
		// the memory engine does not know how old a network is
		"older 1h": {func(s *Search) { s.Older = &hour }, []string{"network rdead_n"},
			[]string{"container done-unrecorded", "container ended", "container half", "container lease-of-s", "container lends", "container lent", "container overdue", "container probe", "container rdead-svc", "container running", "volume rdead_v"}},
		"all alive": {func(s *Search) {
			s.Alive = func(context.Context, string) (bool, error) { return true, nil }
		}, []string{}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, e *memory.Engine) {
				deadRuns(t, e)
				time.Sleep(2 * time.Minute)
				before := standing(t, e)
				s := search(e)
				c.change(&s)
				f, err := Find(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.leftover, found(f.Leftovers)); diff != "" {
					t.Errorf("leftovers (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.spared, found(f.Spared)); diff != "" {
					t.Errorf("spared (-want +got):\n%s", diff)
				}
				wantStanding(t, e, before...) // to look changes nothing
			})
		})
	}
}

func TestRemoveTakesLeftoversAndNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		deadRuns(t, e)
		time.Sleep(2 * time.Minute)
		s := search(e)
		f, err := Find(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(standing(t, e), func(name string) bool { return slices.Contains(found(f.Leftovers), name) })
		told := 0
		if err := Remove(t.Context(), s, f.Leftovers, func(_ Leftover, err error) {
			if err == nil {
				told++
			}
		}); err != nil {
			t.Fatal(err)
		}
		if told != len(f.Leftovers) {
			t.Errorf("%d of %d were told", told, len(f.Leftovers))
		}
		wantStanding(t, e, want...)
		if f, err = Find(t.Context(), s); err != nil || len(f.Leftovers) > 0 {
			t.Errorf("found again: %v, %v", found(f.Leftovers), err)
		}
	})
}

func TestRemoveLeavesWhatARunnerHasTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		helper := labels("s", "r0", containers.LabelRole, containers.RoleHelper)
		start(t, e, "a", helper, true, "exit", "0")
		start(t, e, "b", helper, true, "exit", "0")
		s := search(e)
		f, err := Find(t.Context(), s)
		if err != nil || len(f.Leftovers) != 2 {
			t.Fatal(f, err)
		}
		// b was made anew since, and then a runner came to life.
		if err := e.Destroy(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		create(t, e, "b", helper, "forever")
		if err := Remove(t.Context(), s, f.Leftovers[1:], func(Leftover, error) {}); !errors.Is(err, ErrTaken) {
			t.Errorf("another container of that name: %v", err)
		}
		s.Alive = func(context.Context, string) (bool, error) { return true, nil }
		if err := Remove(t.Context(), s, f.Leftovers, func(Leftover, error) {}); !errors.Is(err, ErrTaken) {
			t.Errorf("a live runner: %v", err)
		}
		wantStanding(t, e, "container a", "container b")
	})
}

func TestAnUnansweredQuestionIsNoDeath(t *testing.T) {
	inBubble(t, func(t *testing.T, e *memory.Engine) {
		deadRuns(t, e)
		s := search(e)
		s.Alive = func(context.Context, string) (bool, error) { return false, containers.ErrUnavailable }
		if f, err := Find(t.Context(), s); !errors.Is(err, containers.ErrUnavailable) || len(f.Leftovers) > 0 {
			t.Errorf("found %v, %v", found(f.Leftovers), err)
		}
	})
}

// imageStore is an engine that has images of probes.
type imageStore struct {
	*memory.Engine
	images []containers.ImageStatus
}

func (s *imageStore) Images(context.Context, map[string]string) ([]containers.ImageStatus, error) {
	return s.images, nil
}

func (s *imageStore) RemoveImage(_ context.Context, id string) error {
	s.images = slices.DeleteFunc(s.images, func(i containers.ImageStatus) bool { return i.ID == id })
	return nil
}

func TestImagesOfProbesGoWhenNobodyUsesThem(t *testing.T) {
	for _, role := range []string{containers.RoleProbe, containers.RoleNamespace} {
		inBubble(t, func(t *testing.T, e *memory.Engine) {
			start(t, e, "probe", labels("alive", "", containers.LabelRole, role), false, "forever")
			status, err := e.Status(t.Context(), "probe")
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			store := &imageStore{e, []containers.ImageStatus{
				{ID: "old", Names: []string{"stagehand-probe:1"}, Created: now.Add(-48 * time.Hour)},
				{ID: status.ImageID, Names: []string{"stagehand-probe:2"}, Created: now.Add(-48 * time.Hour)},
				{ID: "new", Names: []string{"stagehand-probe:3"}, Created: now},
				{ID: "nameless", Created: now.Add(-48 * time.Hour)},
			}}
			s := search(store)
			f, err := Find(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"image nameless", "image stagehand-probe:1"}, found(f.Leftovers)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := Remove(t.Context(), s, f.Leftovers, func(Leftover, error) {}); err != nil || len(store.images) != 2 {
				t.Errorf("%v, left %v", err, store.images)
			}
			s.Alive = func(_ context.Context, stack string) (bool, error) { return stack == "" || stack == "alive", nil }
			zero := time.Duration(0)
			s.Older = &zero
			if f, err = Find(t.Context(), s); err != nil || len(f.Leftovers) > 0 {
				t.Errorf("while a runner lives: %v, %v", found(f.Leftovers), err)
			}
		})
	}
}
