package stages

import (
	"cmp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
)

// followDependsOn makes the stages of a Compose file that has none: one a
// service, in the order of depends_on. A service whose end somebody waits for
// is run, every other one is started. It returns the services that somebody
// expects healthy, and where.
func (r *reader) followDependsOn() (healthy map[string]problems.Pos) {
	helpers := map[string]bool{}
	for _, s := range r.plain.Services {
		for dep, on := range s.DependsOn {
			if on.Condition == types.ServiceConditionCompletedSuccessfully {
				helpers[dep] = true
			}
		}
	}
	healthy = map[string]problems.Pos{}
	for name := range r.plain.Services {
		pos := r.source.At("services", name)
		d := declared.New(r.Tree(pos.File), pos)
		d.Name, d.Verb, d.Implicit = name, string(Start), true
		d.Services, d.Needs = []*yaml.Node{made(name, pos)}, []*yaml.Node{}
		if helpers[name] {
			d.Verb = string(Run)
		}
		r.Stages = append(r.Stages, d)
	}
	r.expectHealth(helpers)
	slices.SortFunc(r.Stages, func(a, b *declared.Stage) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Name, b.Name))
	})
	for _, d := range r.Stages {
		deps := r.plain.Services[d.Name].DependsOn
		for _, dep := range sortedKeys(deps) {
			needed, ok := r.plain.Services[dep]
			if !ok {
				continue // required: false; others compose has reported
			}
			pos := r.source.At("services", d.Name, "depends_on", dep)
			d.Needs = append(d.Needs, made(dep, pos))
			switch {
			case deps[dep].Condition != types.ServiceConditionHealthy, needed.GetScale() == 0:
			case helpers[dep]:
				r.reportHelper(pos, d.Name, dep)
			case r.checkHealth(pos, d.Name, dep, needed):
				healthy[dep] = pos
			}
		}
	}
	return healthy
}

// expectHealth adds a stage for each service that stays and has a healthcheck which no
// other service waits for: the stack is up when all of its services are
// healthy. What depends only on the service's start does not wait for it.
func (r *reader) expectHealth(helpers map[string]bool) {
	awaited, taken := map[string]bool{}, map[string]bool{}
	for name, s := range r.plain.Services {
		taken[name] = true
		for dep, on := range s.DependsOn {
			awaited[dep] = awaited[dep] || on.Condition == types.ServiceConditionHealthy
		}
	}
	for _, name := range r.plain.ServiceNames() {
		s := r.plain.Services[name]
		if helpers[name] || awaited[name] || !hasHealthcheck(s) || s.GetScale() == 0 {
			continue
		}
		pos := r.source.At("services", name, "healthcheck")
		d := declared.New(r.Tree(pos.File), pos)
		for d.Name = name + "-healthy"; taken[d.Name]; {
			d.Name += "-healthy"
		}
		taken[d.Name] = true
		d.Verb, d.Implicit = string(Await), true
		d.Inline, d.Needs = healthyNode(name, made(name, pos)), []*yaml.Node{made(name, pos)}
		r.Stages = append(r.Stages, d)
	}
}

// made is a name that stands in the file's Compose part.
func made(name string, pos problems.Pos) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: pos.Line, Column: pos.Col}
}

func (r *reader) reportHelper(pos problems.Pos, service, dep string) {
	r.list.Add(pos, "condition: service_completed_successfully", "%s expects %s to be healthy, but that is a helper: it ends", service, dep)
}

// checkHealth tells whether a service that another one expects healthy can be
// asked; without a healthcheck in the file only its image may know one.
func (r *reader) checkHealth(pos problems.Pos, service, dep string, s types.ServiceConfig) bool {
	h := s.HealthCheck
	switch {
	case h != nil && (h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE"):
		r.list.Add(pos, "condition: service_started, or leave the healthcheck on", "%s expects %s to be healthy, but its healthcheck is disabled", service, dep)
		return false
	case h == nil || len(h.Test) == 0:
		r.list.Warn(pos, "give it a healthcheck: with a test:", "%s expects %s to be healthy, but the file gives it no healthcheck: its image must have one", service, dep)
	}
	return true
}

// reportUnmade says why a service that another one cannot do without is not made.
func (r *reader) reportUnmade(i *instance, dep string) {
	pos := r.source.At("services", i.template, "depends_on", dep)
	switch u := r.uses[dep]; {
	case r.inactive(dep):
		r.list.Add(pos, "activate a profile of "+dep+", or say required: false", "%s can never start: it depends on %s, none of whose profiles is active", i.template, dep)
	case u == nil:
		r.list.Add(pos, "name "+dep+" in a stage before, or say required: false", "%s can never start: it depends on %s, which no stage makes", i.template, dep)
	case len(u.each) > 0 && i.app.Name != "" && !u.hasApp(i.app):
		r.list.Add(pos, "give both stages the same where, or say required: false", "%s can never start for app %s: it depends on %s, which no stage makes for that app", i.template, i.app.Name, dep)
	}
}

// findInactive finds the services that their profiles keep out, those that each app would have of its own among them.
func (r *reader) findInactive() {
	r.stack.Inactive = map[string][]string{}
	for _, app := range append([]declared.App{{}}, r.Apps...) {
		if project := r.project(app); project != nil {
			for name, service := range project.DisabledServices {
				r.stack.Inactive[name] = service.Profiles
			}
		}
	}
}

// inactive tells whether the service's profiles keep it out.
func (r *reader) inactive(service string) bool {
	_, out := r.stack.Inactive[service]
	return out
}

// checkDependsOn holds the stages' order against what Compose's depends_on asks for.
func (r *reader) checkDependsOn() {
	for _, name := range sortedKeys(r.instances) {
		i := r.instances[name]
		for _, dep := range sortedKeys(i.service.DependsOn) {
			r.checkDependency(i, dep, i.service.DependsOn[dep])
		}
	}
}

// peers are the instances that a dependency is on: the app's own of a
// template, all of them where there is no app.
func (r *reader) peers(i *instance, dep string) []*instance {
	if own := r.replicas(instanceName(i.app, dep), dep); len(own) > 0 {
		return own
	}
	var all []*instance
	for _, name := range sortedKeys(r.instances) {
		if p := r.instances[name]; p.template == dep && (i.app.Name == "" || p.app.Name == "") {
			all = append(all, p)
		}
	}
	return all
}

// restartWith are the instances that i's depends_on says restart: true of.
func (r *reader) restartWith(i *instance) []string {
	var names []string
	for _, dep := range sortedKeys(i.service.DependsOn) {
		if !i.service.DependsOn[dep].Restart {
			continue
		}
		for _, p := range r.peers(i, dep) {
			names = append(names, p.name)
		}
	}
	return names
}

func (r *reader) checkDependency(i *instance, dep string, on types.ServiceDependency) {
	peers := r.peers(i, dep)
	if len(peers) == 0 {
		if on.Required {
			r.reportUnmade(i, dep)
		}
		return
	}
	pos := r.source.At("services", i.template, "depends_on", dep)
	for _, p := range peers {
		r.checkPeerOrder(pos, i, p, on)
		switch on.Condition {
		case types.ServiceConditionCompletedSuccessfully:
			if !p.stage.Helpers() {
				r.list.Add(pos, "run: it in a stage before, or depend on its health", "%s can never start: it waits for the end of %s, which stage %s starts to stay", i.template, dep, p.stage.Name)
			}
		case types.ServiceConditionHealthy:
			r.checkPeerHealth(pos, i, p)
		}
	}
}

func (r *reader) checkPeerHealth(pos problems.Pos, i, p *instance) {
	if p.stage.Helpers() {
		r.reportHelper(pos, i.template, p.template)
		return
	}
	if !r.checkHealth(pos, i.template, p.template, p.service) || p.stage.Conditions["ready"] != nil || !hasHealthcheck(p.service) {
		return
	}
	p.stage.await(instanceName(p.app, p.template), p.node)
}

// checkPeerOrder reports a dependency that the stages' order does not keep.
func (r *reader) checkPeerOrder(pos problems.Pos, i, p *instance, on types.ServiceDependency) {
	switch {
	case !r.Ordered || r.precedes(p.stage, i.stage):
	case p.stage == i.stage:
		at := func(x *instance) int {
			return slices.IndexFunc(i.stage.units, func(u Unit) bool { return u.Service == x.name })
		}
		started := on.Condition == types.ServiceConditionStarted && !strings.HasPrefix(i.service.NetworkMode, "service:")
		if !started && !i.stage.Sequential || i.stage.Sequential && at(p) > at(i) {
			r.list.Add(pos, "give "+p.template+" a stage of its own before, or order: sequential", "%s depends on %s, but stage %s does both side by side or the other way round", i.template, p.template, i.stage.Name)
		}
	case r.precedes(i.stage, p.stage):
		r.list.Add(pos, "move stage "+p.stage.Name+" before stage "+i.stage.Name, "%s can never start: it depends on %s, which only stage %s makes, after it", i.template, p.template, p.stage.Name)
	default:
		r.list.Add(pos, "needs: "+p.stage.Name+" in stage "+i.stage.Name, "%s depends on %s, but stage %s does not wait for stage %s", i.template, p.template, i.stage.Name, p.stage.Name)
	}
}

// checkUnused warns of services that no stage and no upgrade names, unless others extend them.
func (r *reader) checkUnused() {
	if r.plain == nil {
		return
	}
	known := map[string]bool{}
	if r.Upgrades != nil {
		for _, name := range r.Upgrades.Named {
			known[name] = true
		}
	}
	for _, name := range r.serviceNames() {
		for _, p := range r.section("services", name) {
			_, extends := trees.Get(p.node, "extends")
			if extends == nil {
				continue
			}
			if _, base := trees.Get(extends, "service"); base != nil {
				extends = base
			}
			known[trees.Resolve(extends).Value] = true
		}
	}
	for _, name := range r.serviceNames() {
		if r.uses[name] == nil && !known[name] && !r.inactive(name) {
			r.list.Warn(r.source.At("services", name), "start: "+name+" in a stage, or give it a profile", "service %s is named in no stage and will not be started", name)
		}
	}
}
