package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// Make plans a run. It is pure: the same stack and facts give the same plan,
// but for now, the time by which kept helpers are judged.
func Make(stack *stages.Stack, facts Facts, now time.Time) *Plan {
	m := &maker{
		stack:     stack,
		facts:     facts,
		plan:      &Plan{Stack: stack.Name},
		stages:    map[string]*stageWork{},
		values:    Values{},
		exclusive: exclusiveVolumes(stack),
		holds:     map[string]string{},
	}
	m.version()
	for i := range stack.Stages {
		if stack.Stages[i].Verb == stages.Upgrade {
			m.upgrade(&stack.Stages[i])
		} else {
			m.stage(&stack.Stages[i])
		}
	}
	m.handedOver()
	m.registerApps()
	m.plan.Sweep = m.sweep(now)
	for _, step := range m.plan.Steps { // not before: hashes are made of what is so
		step.WaitsFor, step.Cause = stack.Secrets.Text(step.WaitsFor), stack.Secrets.Text(step.Cause)
	}
	return m.plan
}

type maker struct {
	stack  *stages.Stack
	facts  Facts
	plan   *Plan
	stages map[string]*stageWork
	values Values
	// exclusive are the volumes that some stage wants to itself.
	exclusive map[string]bool
	// holds says which step of this plan takes a volume over, by volume.
	holds map[string]string
}

// stageWork is a stage with what its steps mean for those that come later.
type stageWork struct {
	source *stages.Stage
	// effects of its own steps by app, "" for steps without one; all is every app's.
	own map[string]*effect
	all effect
	// upstream caches what stands before it, by app.
	upstream map[string]effect
	// last step of each app, for per_app stages.
	last map[string][]string
	// services caches the services that stand before it, by app.
	services map[string][]string
}

func (w *stageWork) ownOf(app string) effect {
	if e := w.own[app]; e != nil {
		return *e
	}
	return effect{}
}

func (m *maker) stage(s *stages.Stage) {
	work := &stageWork{source: s, own: map[string]*effect{}, upstream: map[string]effect{}, last: map[string][]string{}, services: map[string][]string{}}
	m.stages[s.Name] = work
	planned := &Stage{
		Name: s.Name, Verb: s.Verb, Needs: s.Needs, Sequential: s.Sequential,
		MaxParallel: s.MaxParallel, PerApp: s.PerApp, Finally: s.Finally, Source: s,
	}
	m.plan.Stages = append(m.plan.Stages, planned)

	many := m.severalServices(s)
	var previous string
	for i := range s.Units {
		unit := &s.Units[i]
		step := m.step(s, unit, many)
		if s.Sequential {
			step.Follows, previous = previous, step.ID
		}
		before := m.upstreamOf(s, unit.App)
		m.decide(step, s, before)
		if step.Action == Skip && step.Fact != nil {
			m.values.Set(s.Name, step.App, step.Fact.Values)
		}
		m.plan.Steps = append(m.plan.Steps, step)
		planned.Steps = append(planned.Steps, step.ID)

		mine := m.effectOf(step)
		if work.own[unit.App] == nil {
			work.own[unit.App] = &effect{}
		}
		work.own[unit.App].add(mine)
		work.all.add(mine)
		work.last[unit.App] = append(work.last[unit.App], step.ID)
		if step.Action == Skip && step.Helper() && step.Exclusive == "" {
			step.Spec = nil // most steps are such ones where there are many
		}
		if step.Exclusive != "" && step.Action != Skip && step.Action != Adopt {
			m.holds[step.Exclusive] = step.ID
		}
	}
}

// severalServices tells whether steps of the stage need their service's name
// to be told apart. The replicas of one have their number for that.
func (m *maker) severalServices(s *stages.Stage) bool {
	counts := map[string]int{}
	for _, u := range s.Units {
		if m.stack.Services[u.Service].Number > 1 {
			continue
		}
		counts[u.App]++
		if counts[u.App] > 1 {
			return true
		}
	}
	return false
}

func (m *maker) step(s *stages.Stage, unit *stages.Unit, many bool) *Step {
	step := &Step{ID: s.Name, Stage: s.Name, Verb: s.Verb, App: unit.App, Unit: unit}
	var behind []string
	if unit.App != "" {
		step.ID += "/" + unit.App
	}
	if unit.Service != "" {
		service := m.stack.Services[unit.Service]
		step.Service = unit.Service
		if many {
			step.ID += "/" + service.Template
		}
		first := step.ID
		if service.Number > 1 {
			step.ID += "/" + strconv.Itoa(service.Number)
			if len(m.stack.Services[service.Shared()].Spec.PreStart) > 0 {
				behind = []string{first} // what is done before a service's start is done before all of its containers'
			}
		}
		spec := service.Spec
		step.Spec, step.Container, step.Image = &spec, spec.Name, spec.Image
		step.Exclusive = m.exclusiveOf(spec)
	}
	step.After, step.Needs = m.needs(s, unit.App)
	step.Needs = append(step.Needs, behind...)
	step.WaitsFor = waitsFor(unit)
	if s.Verb == stages.Await && step.Spec != nil {
		step.Watches = m.servicesBefore(s, unit.App)
	}
	if step.Spec != nil {
		m.label(step)
	}
	m.hash(step)
	return step
}

func waitsFor(u *stages.Unit) string {
	switch {
	case u.Condition != nil:
		return u.Condition.String()
	case u.Ready != nil:
		return u.Ready.String()
	case u.Until != nil:
		return u.Until.String()
	case u.Call != nil:
		return u.Call.String()
	}
	return ""
}

// label puts on the container what tells later runs whose it is. The run and
// the attempt are the runner's to add.
func (m *maker) label(step *Step) {
	labels := maps.Clone(step.Spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[containers.LabelProject], labels[containers.LabelStack] = m.stack.Name, m.stack.Name
	labels[containers.LabelStage] = step.Stage
	labels[containers.LabelStep] = step.ID
	if step.App != "" {
		labels[containers.LabelApp] = step.App
	}
	labels[containers.LabelGrace] = step.Spec.Grace().String()
	if len(step.Spec.PreStop) > 0 {
		labels[containers.LabelPreStop] = jsonText(step.Spec.PreStop)
	}
	if step.Exclusive != "" {
		labels[containers.LabelExclusive] = step.Exclusive
	}
	labels[containers.LabelRole] = containers.RoleService
	if step.Helper() {
		labels[containers.LabelRole] = containers.RoleHelper
		// A helper's end is its result: an engine that starts it again would
		// hide it. Retries are ours.
		step.Spec.Restart = containers.Restart{}
		if keep := keepLabel(m.stages[step.Stage].source.Keep); keep != "" {
			labels[containers.LabelKeep] = keep
		}
	}
	step.Spec.Labels = labels
}

// hash identifies what the step does, values that were handed on included.
func (m *maker) hash(step *Step) {
	switch {
	case step.Spec != nil:
		resolved, missing := Resolve(*step.Spec, m.values, step.App)
		if len(missing) == 0 {
			step.Hash = resolved.Hash()
		}
	case step.Unit.Call != nil:
		call, missing := Resolve(*step.Unit.Call, m.values, step.App)
		if len(missing) == 0 {
			step.Hash = hashJSON(call)
			step.Parts = map[string]string{"request": step.Hash[:6]}
		}
	default:
		step.Hash = hashText(step.WaitsFor)
		step.Parts = map[string]string{"condition": step.Hash[:6]}
	}
}

// needs resolves a stage's needs for one app into barriers and steps.
func (m *maker) needs(s *stages.Stage, app string) (after, steps []string) {
	for _, name := range s.Needs {
		need := m.stages[name]
		if !s.PerApp || app == "" || need == nil || !need.source.Each {
			after = append(after, name)
			continue
		}
		if own := need.last[app]; len(own) > 0 {
			steps = append(steps, own...)
			continue
		}
		// The app has no step there: what stands before that stage counts.
		beforeStages, beforeSteps := m.needs(need.source, app)
		after, steps = append(after, beforeStages...), append(steps, beforeSteps...)
	}
	slices.Sort(after)
	slices.Sort(steps)
	return slices.Compact(after), slices.Compact(steps)
}

// servicesBefore are the containers of the services that stand before a stage
// and concern the app: its own and those of no app.
func (m *maker) servicesBefore(s *stages.Stage, app string) []string {
	work := m.stages[s.Name]
	if known, ok := work.services[app]; ok {
		return known
	}
	var names []string
	for _, name := range s.Needs {
		need := m.stages[name]
		if need == nil {
			continue
		}
		names = append(names, m.servicesBefore(need.source, app)...)
		if need.source.Verb != stages.Start {
			continue
		}
		for _, u := range need.source.Units {
			if app == "" || u.App == "" || u.App == app {
				names = append(names, m.stack.Services[u.Service].Spec.Name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	work.services[app] = names
	return names
}

// exclusiveVolumes are the volumes that stages name.
func exclusiveVolumes(stack *stages.Stack) map[string]bool {
	out := map[string]bool{}
	for _, s := range stack.Stages {
		if s.Exclusive != "" {
			out[s.Exclusive] = true
		}
	}
	return out
}

// exclusiveOf is the exclusive volume that a container mounts for writing.
// Every container that does takes part in the hand-over, whether its own
// stage says exclusive or not: a holder that did not ask is a holder too.
func (m *maker) exclusiveOf(spec containers.Spec) string {
	for _, mount := range spec.Mounts {
		if mount.Kind == containers.MountVolume && !mount.ReadOnly && m.exclusive[mount.Source] {
			return mount.Source
		}
	}
	return ""
}

// handedOver mends what single steps cannot see: a service that a later
// service took its volume from is not started again while that one lives.
func (m *maker) handedOver() {
	holder := map[string]*Step{}
	for _, step := range slices.Backward(m.plan.Steps) {
		if step.Exclusive == "" || step.Verb != stages.Start {
			continue
		}
		later := holder[step.Exclusive]
		if later == nil {
			holder[step.Exclusive] = step
			continue
		}
		if later.Action == Adopt && step.Action == Restart {
			step.Action, step.Cause = Skip, fmt.Sprintf("handed %s over to %s", step.Exclusive, later.ID)
		}
	}
}
