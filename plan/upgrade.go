package plan

import (
	"fmt"
	"strings"

	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// VersionFact is what is recorded of the stack's version.
type VersionFact struct {
	upgrades.Status
	// Route leads from the recorded version to the file's; empty where there is none to begin.
	Route []upgrades.Step
}

// Version is what a run means for the stack's version.
type Version struct {
	// Recorded is what the stack has; "" where nothing is recorded: then this run records Wanted.
	Recorded upgrades.Version `json:"recorded"`
	Wanted   upgrades.Version `json:"wanted"`
	// Route is what is, or is still, to be walked.
	Route []upgrades.Step `json:"route,omitempty"`
	// SetAside is how many tenants are set aside.
	SetAside int `json:"set_aside,omitempty"`
}

// New tells whether this run records the version as that of a new stack.
func (v *Version) New() bool { return v != nil && v.Recorded == upgrades.Version{} }

// Recovering tells whether an upgrade is to be begun or to be gone on with.
func (v *Version) Recovering() bool { return v != nil && (len(v.Route) > 0 || v.SetAside > 0) }

// version says what the run means for the version.
func (m *maker) version() {
	fact := m.facts.Version
	if fact == nil || m.stack.Upgrades == nil {
		return
	}
	v := &Version{Recorded: fact.Recorded, Wanted: m.stack.Upgrades.Version, Route: fact.Route}
	if fact.Target != (upgrades.Version{}) {
		for _, s := range fact.Steps {
			v.SetAside = max(v.SetAside, s.Tenants[upgrades.TenantSetAside])
			if s.State != upgrades.StepReady {
				v.Route = append(v.Route, s.Step)
			}
		}
	}
	m.plan.Version = v
}

// upgrade plans the step that walks the route, where there is one.
func (m *maker) upgrade(s *stages.Stage) {
	work := &stageWork{source: s, own: map[string]*effect{}, upstream: map[string]effect{}, last: map[string][]string{}, services: map[string][]string{}}
	m.stages[s.Name] = work
	planned := &Stage{Name: s.Name, Verb: s.Verb, Needs: s.Needs, Source: s}
	m.plan.Stages = append(m.plan.Stages, planned)
	v := m.plan.Version
	if !v.Recovering() {
		return
	}
	step := &Step{ID: s.Name, Stage: s.Name, Verb: s.Verb, Action: WalkUpgrade, Unit: &stages.Unit{}}
	step.After, step.Needs = m.needs(s, "")
	switch {
	case len(m.facts.Version.Route) > 0:
		step.Cause = fmt.Sprintf("version %s is recorded, the file has %s", v.Recorded, v.Wanted)
	case len(v.Route) > 0:
		step.Cause = fmt.Sprintf("the upgrade from %s to %s is under way", v.Recorded, v.Wanted)
	default:
		step.Cause = fmt.Sprintf("%s set aside on the way from %s to %s", count(v.SetAside, "tenant"), v.Recorded, v.Wanted)
	}
	var route []string
	for _, r := range v.Route {
		route = append(route, fmt.Sprintf("%s (%s)", r, m.parts(r)))
	}
	step.WaitsFor = strings.Join(route, ", then ")
	m.plan.Steps = append(m.plan.Steps, step)
	planned.Steps = []string{step.ID}
	work.last[""] = []string{step.ID}
}

// parts are what there is to do in a step of the route.
func (m *maker) parts(step upgrades.Step) string {
	var parts []string
	for _, s := range m.stack.Upgrades.Steps {
		if s.To.Number != step.To.Number {
			continue
		}
		for _, p := range []struct{ name, service string }{{"prepare", s.Prepare}, {"cluster", s.Cluster}, {"tenants", s.Tenant}} {
			if p.service != "" {
				parts = append(parts, p.name)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// OnlyUpgrade is the plan with its upgrade and nothing else, with always also where there is none to be walked.
func (p *Plan) OnlyUpgrade(always bool) *Plan {
	out := &Plan{Stack: p.Stack, Version: p.Version}
	for _, stage := range p.Stages {
		if stage.Verb != stages.Upgrade {
			continue
		}
		only := *stage
		only.Needs = nil
		step := p.Step(stage.Name)
		if step == nil && always {
			step = &Step{ID: stage.Name, Stage: stage.Name, Verb: stages.Upgrade, Action: WalkUpgrade, Unit: &stages.Unit{}, Cause: "asked for"}
		}
		if step != nil {
			alone := *step
			alone.After, alone.Needs = nil, nil
			out.Steps, only.Steps = []*Step{&alone}, []string{alone.ID}
		}
		out.Stages = []*Stage{&only}
	}
	return out
}

// text is the plan's line about the version; "" where there is nothing to say.
func (v *Version) text() string {
	if !v.New() {
		return ""
	}
	return fmt.Sprintf("version: %s, from now on recorded", v.Wanted)
}
