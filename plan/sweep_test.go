package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// left is a helper's container of the graph stack as a run that died leaves it.
func left(p *plan.Plan, id, run string, at time.Time, state containers.State, code int) containers.Status {
	step := p.Step(id)
	labels := map[string]string{containers.LabelSpec: step.Hash, containers.LabelRun: run, containers.LabelCreated: at.Format(time.RFC3339Nano)}
	for k, v := range step.Spec.Labels {
		labels[k] = v
	}
	return containers.Status{Name: step.Container, State: state, ExitCode: code, Created: at, Started: at, Finished: at, Labels: labels}
}

func keepLoad(s *stages.Stack, keep stages.Keep) {
	for i := range s.Stages {
		if s.Stages[i].Name == "load" {
			s.Stages[i].Keep = keep
		}
	}
}

func TestWhatADeadRunLeft(t *testing.T) {
	made := now.Add(-time.Hour) // when finished has everything made and recorded
	for _, test := range []struct {
		name   string
		change func(*stages.Stack, plan.Facts, *plan.Plan)
		step   string
		want   string // of the step
		sweep  map[string]string
	}{
		{"recorded and not destroyed", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			f.Containers["graph-load-1"] = left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
		}, "load", "skip: recorded by run r1", map[string]string{"graph-load-1": "its outcome is recorded"}},
		{"kept for its failure, but it had none", func(s *stages.Stack, f plan.Facts, p *plan.Plan) {
			keepLoad(s, stages.Keep{Policy: "on_failure"})
			f.Containers["graph-load-1"] = left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
		}, "load", "skip: recorded by run r1", map[string]string{"graph-load-1": "its outcome is recorded"}},
		{"kept always", func(s *stages.Stack, f plan.Facts, p *plan.Plan) {
			keepLoad(s, stages.Keep{Policy: "always"})
			f.Containers["graph-load-1"] = left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
		}, "load", "skip: recorded by run r1", nil},
		{"kept to the next up, which this one is not", func(s *stages.Stack, f plan.Facts, p *plan.Plan) {
			s.KeepHelpers()
			f.Containers["graph-load-1"] = left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
		}, "load", "skip: recorded by run r1", nil},
		{"kept to the next up, which this one is", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
			c.Labels[containers.LabelKeep] = stages.KeepToNextUp
			f.Containers["graph-load-1"] = c
		}, "load", "skip: recorded by run r1", map[string]string{"graph-load-1": "its outcome is recorded"}},
		{"kept to the next up, of a step that is no more", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := left(p, "load", "r1", made, containers.StateExited, 0)
			c.Name, c.Labels[containers.LabelKeep] = "graph-gone-1", stages.KeepToNextUp
			f.Containers["graph-gone-1"] = c
		}, "load", "skip: recorded by run r1", map[string]string{"graph-gone-1": "its step is in the stack file no more"}},
		{"kept long enough", func(s *stages.Stack, f plan.Facts, p *plan.Plan) {
			keepLoad(s, stages.Keep{For: time.Minute})
			f.Containers["graph-load-1"] = left(p, "load", "r1", made.Add(-time.Second), containers.StateExited, 0)
		}, "load", "skip: recorded by run r1", map[string]string{"graph-load-1": "kept long enough"}},
		{"kept, of a step that is no more", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := left(p, "load", "r1", made, containers.StateExited, 3)
			c.Name, c.Labels[containers.LabelKeep] = "graph-gone-1", "on_failure"
			f.Containers["graph-gone-1"] = c
		}, "load", "skip: recorded by run r1", nil},
		{"of a step that is no more", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := left(p, "load", "r1", made, containers.StateRunning, 0)
			c.Name = "graph-gone-1"
			f.Containers["graph-gone-1"] = c
		}, "load", "skip: recorded by run r1", map[string]string{"graph-gone-1": "its step is in the stack file no more"}},
		{"a service of a stage that is no more stays", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := f.Containers["graph-db-1"]
			c.Name = "graph-gone-1"
			f.Containers["graph-gone-1"] = c
		}, "load", "skip: recorded by run r1", nil},
		{"runs, of another spec", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			delete(f.Steps, "load")
			c := left(p, "load", "r2", now, containers.StateRunning, 0)
			c.Labels[containers.LabelSpec] = "another"
			f.Containers["graph-load-1"] = c
		}, "load", "recreate: never ran", map[string]string{"graph-load-1": "its step begins anew: never ran"}},
		{"runs", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			delete(f.Steps, "load")
			f.Containers["graph-load-1"] = left(p, "load", "r2", now, containers.StateRunning, 0)
		}, "load", "adopt: runs already", nil},
		{"recorded, and runs again", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			f.Containers["graph-load-1"] = left(p, "load", "r2", now, containers.StateRunning, 0)
		}, "load", "adopt: runs already", nil},
		{"recorded, and runs in another version", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := left(p, "load", "r2", now, containers.StateRunning, 0)
			c.Labels[containers.LabelSpec] = "another"
			f.Containers["graph-load-1"] = c
		}, "load", "skip: recorded by run r1", map[string]string{"graph-load-1": "its step is done without it"}},
		{"could not be started", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			delete(f.Steps, "load")
			c := left(p, "load", "r2", now, containers.StateCreated, 0)
			c.Error = "task already exists"
			f.Containers["graph-load-1"] = c
		}, "load", "recreate: could not be started: task already exists", nil},
		{"a service that could not be started", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := f.Containers["graph-db-1"]
			c.State, c.Error = containers.StateCreated, "task already exists"
			f.Containers["graph-db-1"] = c
		}, "db", "recreate: could not be started: task already exists", nil},
		{"half started", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			delete(f.Steps, "load")
			c := left(p, "load", "r2", now, containers.StateRunning, 0)
			c.Started = time.Time{}
			f.Containers["graph-load-1"] = c
		}, "load", "recreate: the engine was killed while it started it", map[string]string{"graph-load-1": "its step begins anew: the engine was killed while it started it"}},
		{"a service half started", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			c := f.Containers["graph-db-1"]
			c.Started = time.Time{}
			f.Containers["graph-db-1"] = c
		}, "db", "recreate: the engine was killed while it started it", nil},
		{"failed unwatched", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			delete(f.Steps, "load")
			f.Containers["graph-load-1"] = left(p, "load", "r2", now, containers.StateExited, 4)
		}, "load", "recreate: last attempt: exit 4", nil},
		{"the one before it has run since", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			again := f.Steps["load"]
			again.Run, again.Time = "r2", now
			f.Steps["load"] = again
		}, "setup/alpha", "create: load has run since", nil},
		{"the one before it was recorded later, by another clock, in the same run", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			first, second := f.Steps["load"], f.Steps["setup/alpha"]
			first.Seq, first.Time, second.Seq = 1, now, 2
			f.Steps["load"], f.Steps["setup/alpha"] = first, second
		}, "setup/alpha", "skip: recorded by run r1", nil},
		{"ran again after the one before it, and ended unwatched", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			again := f.Steps["load"]
			again.Run, again.Time = "r2", now.Add(-time.Minute)
			f.Steps["load"] = again
			f.Containers["graph-alpha-setup-1"] = left(p, "setup/alpha", "r2", now, containers.StateExited, 0)
		}, "setup/alpha", "adopt: ended while nobody watched", nil},
		{"ended unwatched before the one before it ran again", func(_ *stages.Stack, f plan.Facts, p *plan.Plan) {
			again := f.Steps["load"]
			again.Run, again.Time = "r3", now
			f.Steps["load"] = again
			f.Containers["graph-alpha-setup-1"] = left(p, "setup/alpha", "r2", now.Add(-time.Minute), containers.StateExited, 0)
		}, "setup/alpha", "recreate: load has run since", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			stack := load(t, "testdata/graph.yaml")
			facts := finished(stack)
			test.change(stack, facts, plan.Make(stack, plan.Facts{}, now)) // where nothing is skipped, as that has no spec
			p := plan.Make(stack, facts, now)
			step := p.Step(test.step)
			if got := string(step.Action) + ": " + step.Cause; got != test.want {
				t.Errorf("%s is %q, want %q", test.step, got, test.want)
			}
			var sweep map[string]string
			for _, l := range p.Sweep {
				if sweep == nil {
					sweep = map[string]string{}
				}
				sweep[l.Container] = l.Cause
			}
			if diff := cmp.Diff(test.sweep, sweep); diff != "" {
				t.Errorf("sweep (-want +got):\n%s", diff)
			}
		})
	}
}

// Of a service that is to have fewer containers those with the highest numbers go; what the
// file does not know stays.
func TestSurplus(t *testing.T) {
	stack := &stages.Stack{
		Name:     "s",
		Replicas: map[string]int{"web": 2, "idle": 0},
		Services: map[string]stages.Service{"web": {Name: "web"}, "web/2": {Name: "web/2", Number: 2}, "api": {Name: "api"}},
	}
	facts := plan.Facts{Containers: map[string]containers.Status{}}
	for _, c := range [][3]string{
		{"web", "1", ""}, {"web", "2", ""}, {"web", "3", "web/3"}, {"web", "4", ""}, {"idle", "1", "idle"}, {"api", "1", ""}, {"api", "2", ""}, {"other", "2", ""},
	} {
		labels := map[string]string{containers.LabelService: c[0], containers.LabelNumber: c[1], containers.LabelRole: containers.RoleService}
		if c[2] != "" {
			labels[containers.LabelStep] = c[2]
		}
		name := containers.Name("s", c[0], c[1])
		facts.Containers[name] = containers.Status{Name: name, State: containers.StateRunning, Labels: labels}
	}
	got := map[string]string{}
	for _, l := range plan.Make(stack, facts, now).Sweep {
		got[l.Container] = l.Step + ": " + l.Cause
	}
	want := map[string]string{
		"s-web-3": "web/3: web is to have 2", "s-web-4": ": web is to have 2", "s-idle-1": "idle: idle is to have 0", "s-api-2": ": api is to have 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Scaled up, a service's first step keeps its name, and so its record.
func TestReplicasHaveStepsOfTheirOwn(t *testing.T) {
	unit := func(names ...string) (all []stages.Unit) {
		for _, name := range names {
			all = append(all, stages.Unit{Service: name})
		}
		return all
	}
	stack := &stages.Stack{
		Name: "s",
		Services: map[string]stages.Service{
			"web": {Name: "web", Template: "web", Number: 1}, "web/2": {Name: "web/2", Template: "web", Number: 2},
			"api": {Name: "api", Template: "api", Number: 1}, "api/2": {Name: "api/2", Template: "api", Number: 2}, "db": {Name: "db", Template: "db", Number: 1},
		},
		Stages: []stages.Stage{
			{Name: "front", Verb: stages.Start, Units: unit("web", "web/2")},
			{Name: "back", Verb: stages.Start, Units: unit("api", "api/2", "db")},
		},
	}
	var got []string
	for _, s := range plan.Make(stack, plan.Facts{}, now).Steps {
		got = append(got, s.ID)
	}
	if diff := cmp.Diff([]string{"front", "front/2", "back/api", "back/api/2", "back/db"}, got); diff != "" {
		t.Error(diff)
	}
}
