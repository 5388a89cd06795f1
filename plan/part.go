package plan

import (
	"slices"

	"github.com/stagehand-dev/stagehand/stages"
)

// Part is a part of a stack. The zero value is all of it.
type Part struct {
	// Words are services, as the file or the stack names them, and what Again.Rerun may be.
	Words []string
	// Alone: without what these need.
	Alone bool
}

// Of is the plan of that part of its stack: the steps that the words name, what waits for these services to be healthy where nobody
// else does, and all that stands before them. An upgrade that is due, and what that needs, belongs to every part. The error is an *Unknown.
func (part Part) Of(p *Plan, stack *stages.Stack) (*Plan, error) {
	if len(part.Words) == 0 {
		return p, nil
	}
	wanted := map[string]bool{}
	for _, stage := range p.Stages {
		for _, id := range stage.Steps {
			wanted[id] = stage.Verb == stages.Upgrade
		}
	}
	p.addNeeded(wanted)
	for _, word := range part.Words {
		ids := p.ofService(stack, word)
		if len(ids) == 0 {
			ids = p.named(word)
		}
		if len(ids) == 0 {
			return nil, &Unknown{Word: word, Candidates: append(p.names(), serviceNames(stack)...)}
		}
		for _, id := range ids {
			wanted[id] = true
		}
	}
	for _, stage := range p.Stages {
		if !p.looksAfter(stage, wanted) {
			continue
		}
		for _, id := range stage.Steps {
			wanted[id] = true
		}
	}
	if !part.Alone {
		p.addNeeded(wanted)
	}
	return p.partly(wanted), nil
}

// looksAfter tells whether the stage is one that the file does not name, which waits for the health of wanted services and no others.
func (p *Plan) looksAfter(stage *Stage, wanted map[string]bool) bool {
	if stage.Source == nil || !stage.Source.Implicit || stage.Verb != stages.Await {
		return false
	}
	for _, need := range stage.Needs {
		for _, id := range p.stageSteps(need) {
			if !wanted[id] {
				return false
			}
		}
	}
	return true
}

// partly is the plan with those steps, and of the rest what belongs to them or to no step of the plan.
func (p *Plan) partly(wanted map[string]bool) *Plan {
	out := p.Narrowed(func(s *Step) bool { return wanted[s.ID] })
	out.Version, out.Orphans = p.Version, p.Orphans
	planned, apps := map[string]bool{}, map[string]bool{}
	for _, s := range p.Steps {
		planned[s.ID] = true
		apps[s.App] = apps[s.App] || wanted[s.ID]
	}
	for _, a := range p.Apps {
		if apps[a.Name] {
			out.Apps = append(out.Apps, a)
		}
	}
	for _, l := range p.Sweep {
		if wanted[l.Step] || !planned[l.Step] {
			out.Sweep = append(out.Sweep, l)
		}
	}
	return out
}

// addNeeded adds all that stands before the wanted steps.
func (p *Plan) addNeeded(wanted map[string]bool) {
	for i := len(p.Steps) - 1; i >= 0; i-- { // what is needed stands before what needs it
		s := p.Steps[i]
		if !wanted[s.ID] {
			continue
		}
		for _, stage := range s.After {
			for _, id := range p.stageSteps(stage) {
				wanted[id] = true
			}
		}
		for _, id := range s.Needs {
			wanted[id] = true
		}
	}
}

func (p *Plan) stageSteps(name string) []string {
	for _, s := range p.Stages {
		if s.Name == name {
			return s.Steps
		}
	}
	return nil
}

// ofService are the steps of a service: of its containers, and where it is a template of all apps'.
func (p *Plan) ofService(stack *stages.Stack, word string) (ids []string) {
	for _, s := range p.Steps {
		service, known := stack.Services[s.Service]
		if known && (service.Shared() == word || service.Name == word || service.Template == word) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func serviceNames(stack *stages.Stack) (names []string) {
	for _, s := range stack.Services {
		names = append(names, s.Shared(), s.Template)
	}
	return names
}

// Narrowed is the plan with no other steps than those, in the same order: what
// stood between two of them is a door that stands open.
func (p *Plan) Narrowed(keep func(*Step) bool) *Plan {
	out, kept := &Plan{Stack: p.Stack}, map[string]bool{}
	for _, step := range p.Steps {
		kept[step.ID] = keep(step)
	}
	for _, stage := range p.Stages {
		own := *stage
		own.Steps = slices.DeleteFunc(slices.Clone(stage.Steps), func(id string) bool { return !kept[id] })
		own.LeftOut = len(own.Steps) == 0 && len(stage.Steps) > 0
		out.Stages = append(out.Stages, &own)
	}
	for _, step := range p.Steps {
		if !kept[step.ID] {
			continue
		}
		own := *step
		own.After, own.Needs = slices.Clone(step.After), nil
		seen := map[string]bool{}
		var through func(ids []string)
		through = func(ids []string) {
			for _, id := range ids {
				if seen[id] {
					continue
				}
				seen[id] = true
				if kept[id] {
					own.Needs = append(own.Needs, id)
					continue
				}
				passed := p.Step(id)
				own.After = append(own.After, passed.After...)
				through(passed.Needs)
			}
		}
		through(step.Needs)
		for own.Follows != "" && !kept[own.Follows] {
			own.Follows = p.Step(own.Follows).Follows
		}
		slices.Sort(own.After)
		own.After = slices.Compact(own.After)
		out.Steps = append(out.Steps, &own)
	}
	return out
}
