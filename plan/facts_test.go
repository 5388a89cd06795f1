package plan_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// finished are the facts after a whole run of a fresh plan: every helper
// recorded, every service alive, all made an hour before now.
func finished(stack *stages.Stack) plan.Facts {
	facts := plan.Facts{
		Steps: map[string]plan.Fact{}, Containers: map[string]containers.Status{},
		Volumes: map[string]containers.VolumeStatus{}, Images: map[string]string{}, Asked: map[string]string{}, Attempts: map[string]plan.Attempt{},
	}
	made := now.Add(-time.Hour)
	for _, v := range stack.Volumes {
		facts.Volumes[v.Name] = containers.VolumeStatus{Name: v.Name, Created: made.Add(-time.Minute)}
	}
	// Two rounds: the second knows the values that the first has handed on.
	for range 2 {
		for _, step := range plan.Make(stack, facts, now).Steps {
			if step.Image != "" {
				facts.Images[step.Image] = "id of " + step.Image
			}
			if step.Verb == stages.Start {
				facts.Steps[step.ID] = recorded(step, facts, made)
				labels := maps.Clone(step.Spec.Labels)
				labels[containers.LabelSpec] = step.Hash
				facts.Containers[step.Container] = containers.Status{
					Name: step.Container, State: containers.StateRunning, ImageID: facts.Images[step.Image],
					Created: made, Started: made, Labels: labels,
				}
				continue
			}
			facts.Steps[step.ID] = recorded(step, facts, made)
		}
	}
	return facts
}

func recorded(step *plan.Step, facts plan.Facts, at time.Time) plan.Fact {
	fact := plan.Fact{
		Spec: step.Hash, Image: facts.Images[step.Image], Run: "r1", Time: at,
		Values: map[string]string{"token": "x"}, Parts: step.Parts,
		Volumes: plan.Identities(step.Relies, facts.Volumes),
	}
	switch {
	case step.Action == plan.Skip:
		fact.Parts = facts.Steps[step.ID].Parts
	case step.Spec != nil:
		resolved, _ := plan.Resolve(*step.Spec, plan.Values{"SETUP_TOKEN": {step.App: "x"}}, step.App)
		fact.Parts = plan.PartsOf(resolved, nil)
	}
	return fact
}

// work is what a plan has to do: step to "action: cause".
func work(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for _, s := range p.Steps {
		if s.Action != plan.Skip && s.Action != plan.Adopt {
			out[s.ID] = string(s.Action) + ": " + s.Cause
		}
	}
	return out
}

func TestCauses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*stages.Stack, plan.Facts)
		want   map[string]string
	}{
		{"nothing changed", func(*stages.Stack, plan.Facts) {}, map[string]string{
			"bye": "create: runs at the end of every run",
		}},
		{"one argument of one app's set-up", func(s *stages.Stack, _ plan.Facts) {
			change(s, "beta-setup", func(spec *containers.Spec) { spec.Command = []string{"setup", "other"} })
		}, map[string]string{
			"setup/beta": "create: argv changed: setup beta → setup other",
			"check":      "wait: setup/beta runs before it",
			"api/beta":   "recreate: uses a value that is handed on in this run",
		}},
		{"a record of a version that kept no parts", func(s *stages.Stack, f plan.Facts) {
			forgetParts(f)
			change(s, "beta-setup", func(spec *containers.Spec) { spec.Command = []string{"setup", "other"} })
		}, map[string]string{
			"setup/beta": "create: changed since run r1",
			"check":      "wait: setup/beta runs before it",
			"api/beta":   "recreate: uses a value that is handed on in this run",
		}},
		{"a service's mounts and a variable", func(s *stages.Stack, _ plan.Facts) {
			change(s, "db", func(spec *containers.Spec) {
				spec.Env = []string{"PASSWORD=new"}
				spec.Mounts[0].Target = "/elsewhere"
			})
		}, map[string]string{
			"db":    "recreate: environment changed: PASSWORD is new; mounts changed",
			"check": "wait: db is started",
		}},
		{"a service that another ledger's run made", func(_ *stages.Stack, f plan.Facts) {
			f.Containers["graph-db-1"].Labels[containers.LabelSpec] = "of another ledger"
		}, map[string]string{
			"db":    "recreate: changed since it was made",
			"check": "wait: db is started",
		}},
		{"an image moved", func(_ *stages.Stack, f plan.Facts) {
			f.Images["demo/db"] = "sha256:0123456789abcdef"
		}, map[string]string{
			"index/alpha": "create: image moved: demo/db id of demo/d → 0123456789ab",
			"db":          "recreate: image moved: demo/db id of demo/d → 0123456789ab",
			"setup/alpha": "create: index/alpha runs before it",
			"check":       "wait: db is started",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
		}},
		{"asked for", func(s *stages.Stack, f plan.Facts) {
			asked, err := plan.Again{Rerun: []string{"setup/beta"}, From: []string{"api"}}.Select(plan.Make(s, plan.Facts{}, now))
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(f.Asked, asked)
		}, map[string]string{
			"setup/beta": "create: asked for by --rerun",
			"check":      "wait: setup/beta runs before it",
			"api/alpha":  "recreate: asked for by --from api",
			"api/beta":   "recreate: asked for by --from api",
		}},
		{"a service died", func(_ *stages.Stack, f plan.Facts) {
			c := f.Containers["graph-db-1"]
			c.State, c.ExitCode = containers.StateExited, 137
			f.Containers["graph-db-1"] = c
		}, map[string]string{
			"db":    "start: had ended: killed (SIGKILL, exit 137)",
			"check": "wait: db is started",
		}},
		{"the volume was made anew, by a clock that is behind", func(_ *stages.Stack, f plan.Facts) {
			f.Volumes["graph_data"] = containers.VolumeStatus{Name: "graph_data", Created: now.Add(-24 * time.Hour)}
		}, anew("volume is new: graph_data was removed and made anew since")},
		{"the volume was made anew by another tool", func(_ *stages.Stack, f plan.Facts) {
			f.Volumes["graph_data"] = containers.VolumeStatus{Name: "graph_data"}
		}, anew("volume is new: graph_data was removed and made anew since")},
		{"an old record and a volume that is younger", func(_ *stages.Stack, f plan.Facts) {
			forgetParts(f)
			f.Volumes["graph_data"] = containers.VolumeStatus{Name: "graph_data", Created: now}
		}, anew("volume is new: graph_data")},
		{"a record that did not know the volume", func(_ *stages.Stack, f plan.Facts) {
			delete(f.Steps["setup/alpha"].Volumes, "graph_data")
		}, map[string]string{
			"setup/alpha": "create: volume is new: graph_data",
			"check":       "wait: setup/alpha runs before it",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
		}},
		{"a volume is gone that no helper mounts", func(_ *stages.Stack, f plan.Facts) {
			delete(f.Volumes, "graph_data")
			delete(f.Containers, "graph-db-1")
			delete(f.Steps["index/alpha"].Volumes, "graph_data")
		}, map[string]string{
			"index/alpha": "create: volume is gone: graph_data",
			"db":          "create: not there",
			"setup/alpha": "create: index/alpha runs before it",
			"setup/beta":  "create: volume is gone: graph_data",
			"check":       "wait: db is started",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
			"api/beta":    "recreate: uses a value that is handed on in this run",
		}},
		{"a helper runs while nobody watches", func(_ *stages.Stack, f plan.Facts) {
			delete(f.Steps, "load")
			f.Containers["graph-load-1"] = containers.Status{Name: "graph-load-1", State: containers.StateRunning, Started: time.Unix(1, 0)}
		}, map[string]string{
			"load":        "recreate: never ran",
			"setup/alpha": "create: load runs before it",
			"setup/beta":  "create: load runs before it",
			"check":       "wait: load runs before it",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
			"api/beta":    "recreate: uses a value that is handed on in this run",
		}},
		{"a helper of a dead run failed", func(_ *stages.Stack, f plan.Facts) {
			delete(f.Steps, "setup/alpha")
			f.Containers["graph-alpha-setup-1"] = containers.Status{Name: "graph-alpha-setup-1", State: containers.StateExited, ExitCode: 3}
		}, map[string]string{
			"setup/alpha": "recreate: last attempt: exit 3",
			"check":       "wait: setup/alpha runs before it",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
		}},
		{"helpers that nobody recorded as done, and attempts at them", func(_ *stages.Stack, f plan.Facts) {
			for id, attempt := range map[string]plan.Attempt{
				"load":        {Run: "r2", Outcome: events.Failed, Error: "exit 9"},
				"index/alpha": {Run: "r2", Outcome: events.Failed},
				"setup/alpha": {Run: "r2", Outcome: events.TimedOut, Error: "timed out, tcp db:5432: refused"},
				"setup/beta":  {Run: "r2", Outcome: events.Skipped, Error: "stopped: interrupted"},
				"check":       {Run: "r2"},
			} {
				delete(f.Steps, id)
				f.Attempts[id] = attempt
			}
			f.Attempts["db"] = plan.Attempt{Run: "r2", Outcome: events.Failed, Error: "of a service, which is looked at"}
		}, map[string]string{
			"db":          "start: is stopped for index/alpha, which needs graph_data to itself",
			"load":        "create: last attempt: exit 9",
			"index/alpha": "create: last attempt: failed",
			"setup/alpha": "create: last attempt: timed out, tcp db:5432: refused",
			"setup/beta":  "create: last attempt was stopped: interrupted",
			"check":       "wait: last attempt: run r2 recorded no end of it",
			"api/alpha":   "recreate: uses a value that is handed on in this run",
			"api/beta":    "recreate: uses a value that is handed on in this run",
		}},
		{"an attempt at a step that is recorded as done", func(_ *stages.Stack, f plan.Facts) {
			f.Attempts["load"] = plan.Attempt{Run: "r0", Outcome: events.Failed, Error: "exit 9"}
		}, map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stack := load(t, "testdata/graph.yaml")
			facts := finished(stack)
			test.change(stack, facts)
			got := work(plan.Make(stack, facts, now))
			if _, asked := test.want["bye"]; !asked {
				delete(got, "bye") // it runs in every run: the first case shows that
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("work (-want +got):\n%s", diff)
			}
		})
	}
}

// anew is the work when the database's volume is not what it was.
func anew(why string) map[string]string {
	return map[string]string{
		"index/alpha": "create: " + why,
		"db":          "start: is stopped for index/alpha, which needs graph_data to itself",
		"setup/alpha": "create: index/alpha runs before it",
		"setup/beta":  "create: " + why,
		"check":       "wait: db is started",
		"api/alpha":   "recreate: uses a value that is handed on in this run",
		"api/beta":    "recreate: uses a value that is handed on in this run",
	}
}

// change alters a service's spec, but not what the stack shares with others.
func change(s *stages.Stack, name string, how func(*containers.Spec)) {
	service := s.Services[name]
	service.Spec.Mounts = slices.Clone(service.Spec.Mounts)
	how(&service.Spec)
	s.Services[name] = service
}

// forgetParts makes the records those of a version that kept only hashes.
func forgetParts(f plan.Facts) {
	for id, fact := range f.Steps {
		fact.Parts, fact.Volumes = nil, nil
		f.Steps[id] = fact
	}
}

// TestPlanOrder: whatever is recorded, each step stands behind all that it
// waits for, and a stack of which everything is recorded needs no work.
func TestPlanOrder(t *testing.T) {
	files := []string{"testdata/graph.yaml", "../examples/haf/stagehand.yaml", "../examples/hello/stagehand.yaml"}
	stacks := make([]*stages.Stack, len(files))
	for i, file := range files {
		stacks[i] = load(t, file)
	}
	rapid.Check(t, func(t *rapid.T) {
		stack := rapid.SampledFrom(stacks).Draw(t, "stack")
		facts := finished(stack)
		for _, id := range slices.Sorted(maps.Keys(facts.Steps)) {
			if rapid.Bool().Draw(t, "forget "+id) {
				delete(facts.Steps, id)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(facts.Containers)) {
			if rapid.Bool().Draw(t, "lose "+name) {
				delete(facts.Containers, name)
			}
		}
		p := plan.Make(stack, facts, now)
		seen, stage := map[string]bool{}, map[string]bool{}
		for _, s := range p.Steps {
			for _, need := range append(slices.Clone(s.Needs), s.Follows) {
				if need != "" && !seen[need] {
					t.Fatalf("%s stands before %s, which it needs", s.ID, need)
				}
			}
			for _, after := range s.After {
				if after == s.Stage || stage[s.Stage] && !stage[after] && hasSteps(p, after) {
					t.Fatalf("%s stands before its stage %s", s.ID, after)
				}
			}
			if s.Cause == "" {
				t.Fatalf("%s has no cause", s.ID)
			}
			seen[s.ID], stage[s.Stage] = true, true
		}
	})
}

func hasSteps(p *plan.Plan, name string) bool {
	return slices.ContainsFunc(p.Stages, func(s *plan.Stage) bool { return s.Name == name && len(s.Steps) > 0 })
}

// TestSweep: what a run that died between record and removal has left is
// removed, what is kept on purpose is not.
func TestSweep(t *testing.T) {
	for _, test := range []struct {
		name   string
		status containers.Status
		keep   stages.Keep
		want   bool
	}{
		{"ended", containers.Status{State: containers.StateExited}, stages.Keep{}, true},
		{"made and never started", containers.Status{State: containers.StateCreated}, stages.Keep{}, true},
		{"kept on failure, and it did not fail", containers.Status{State: containers.StateExited}, stages.Keep{Policy: "on_failure"}, true},
		{"kept", containers.Status{State: containers.StateExited}, stages.Keep{Policy: "always"}, false},
		{"kept for a while", containers.Status{State: containers.StateExited}, stages.Keep{For: time.Hour}, false},
	} {
		stack := load(t, "testdata/graph.yaml")
		facts := finished(stack)
		for i := range stack.Stages {
			stack.Stages[i].Keep = test.keep
		}
		test.status.Name = "graph-load-1"
		facts.Containers["graph-load-1"] = test.status
		if got := len(plan.Make(stack, facts, now).Sweep) == 1; got != test.want {
			t.Errorf("%s: swept %v", test.name, got)
		}
	}
}

// TestDockerComposeMadeIt: what docker compose made for the same is the same.
func TestDockerComposeMadeIt(t *testing.T) {
	stack := load(t, "testdata/compose.yaml")
	fresh := plan.Make(stack, plan.Facts{}, now)
	started := now.Add(-time.Hour)
	// made are the containers as docker compose leaves them.
	made := func() plan.Facts {
		facts := plan.Facts{Containers: map[string]containers.Status{}, Images: map[string]string{}}
		for i, step := range fresh.Steps {
			at := started.Add(time.Duration(i) * time.Minute)
			facts.Images[step.Image] = "id of " + step.Image
			status := containers.Status{
				ID: "id-" + step.ID, Name: step.Container, ImageID: "id of " + step.Image, State: containers.StateRunning, Created: started, Started: at,
				Labels: map[string]string{
					containers.LabelProject: stack.Name, containers.LabelService: step.Service,
					containers.LabelConfigHash: step.Spec.Labels[containers.LabelConfigHash],
				},
			}
			if step.Helper() {
				status.State, status.Finished = containers.StateExited, at.Add(time.Second)
			}
			facts.Containers[step.Container] = status
		}
		return facts
	}
	change := func(f plan.Facts, name string, how func(*containers.Status)) {
		status := f.Containers[name]
		status.Labels = maps.Clone(status.Labels)
		how(&status)
		f.Containers[name] = status
	}
	for _, test := range []struct {
		name   string
		change func(plan.Facts)
		want   map[string]string
	}{
		{"all of it", func(plan.Facts) {}, map[string]string{}},
		{"v5 has made what it hashes otherwise", func(f plan.Facts) {
			i := slices.IndexFunc(fresh.Steps, func(s *plan.Step) bool { return s.Spec != nil && s.Spec.NewerHash != "" })
			if i < 0 {
				t.Fatal("no service of the file has another hash")
			}
			change(f, fresh.Steps[i].Container, func(s *containers.Status) { s.Labels[containers.LabelConfigHash] = fresh.Steps[i].Spec.NewerHash })
		}, map[string]string{}},
		{"a service changed", func(f plan.Facts) {
			change(f, "shop-web-1", func(s *containers.Status) { s.Labels[containers.LabelConfigHash] = "other" })
		}, map[string]string{"web": "recreate: made by docker compose, and changed since"}},
		{"a service without volumes changed, which helpers have been at", func(f plan.Facts) {
			change(f, "shop-db-1", func(s *containers.Status) { s.Labels[containers.LabelConfigHash] = "other" })
		}, map[string]string{
			"db":      "recreate: made by docker compose, and changed since",
			"migrate": "recreate: never ran", "seed": "recreate: never ran",
		}},
		{"a service ended", func(f plan.Facts) {
			change(f, "shop-web-1", func(s *containers.Status) { s.State, s.ExitCode = containers.StateExited, 1 })
		}, map[string]string{"web": "start: had ended: exit 1"}},
		{"a service was never started", func(f plan.Facts) {
			change(f, "shop-web-1", func(s *containers.Status) { s.State = containers.StateCreated })
		}, map[string]string{"web": "recreate: made by docker compose, and never started"}},
		{"an image moved", func(f plan.Facts) { f.Images["demo/seed"] = "another" }, map[string]string{
			"seed": "recreate: never ran",
		}},
		{"a helper failed", func(f plan.Facts) {
			change(f, "shop-migrate-1", func(s *containers.Status) { s.ExitCode = 2 })
		}, map[string]string{"migrate": "recreate: last attempt: exit 2", "seed": "recreate: never ran"}},
		{"a helper runs", func(f plan.Facts) {
			change(f, "shop-seed-1", func(s *containers.Status) { s.State = containers.StateRunning })
		}, map[string]string{}},
		{"a helper is gone", func(f plan.Facts) { delete(f.Containers, "shop-migrate-1") }, map[string]string{
			"migrate": "create: never ran", "seed": "recreate: never ran",
		}},
		{"a helper ran again after the one behind it", func(f plan.Facts) {
			change(f, "shop-migrate-1", func(s *containers.Status) { s.Started, s.Finished = now, now })
		}, map[string]string{"seed": "recreate: never ran"}},
		{"asked for", func(f plan.Facts) { f.Asked["seed"] = "asked for by --rerun" }, map[string]string{
			"seed": "recreate: never ran",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			facts := made()
			facts.Asked = map[string]string{}
			test.change(facts)
			p := plan.Make(stack, facts, now)
			if diff := cmp.Diff(test.want, work(p)); diff != "" {
				t.Errorf("work (-want +got):\n%s", diff)
			}
			if len(p.Sweep) > 0 {
				t.Errorf("swept: %v", p.Sweep)
			}
		})
	}
}
