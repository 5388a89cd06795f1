package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

// Export reads a stack's files as Load does, and writes its stages as
// depends_on. lost says, a line each and in the stages' order, what they say
// that Compose cannot.
func Export(ctx context.Context, o compose.Options) (stack *Stack, model *Model, lost []string, err error) {
	r, err := loaded(ctx, o)
	if err != nil {
		return nil, nil, nil, err
	}
	e := &exporter{stack: r.stack, project: r.model(), stages: map[string]*Stage{}, after: map[string]types.DependsOnConfig{}}
	for _, s := range r.stack.Stages {
		// The service itself says how many containers it has.
		s.Units = slices.DeleteFunc(slices.Clone(s.Units), func(u Unit) bool { return r.stack.Services[u.Service].Number > 1 })
		e.stages[s.Name] = &s
	}
	for _, s := range r.stack.Stages {
		e.stage(e.stages[s.Name])
	}
	e.finish(r)
	return r.stack, &Model{e.project}, e.lost, nil
}

type exporter struct {
	stack   *Stack
	project *types.Project
	stages  map[string]*Stage
	// after is what each service waits for.
	after map[string]types.DependsOnConfig
	lost  []string
}

func (e *exporter) lose(s *Stage, format string, args ...any) {
	e.lost = append(e.lost, "stage "+s.Name+": "+fmt.Sprintf(format, args...))
}

// stage says what its services wait for, and what of it is lost.
func (e *exporter) stage(s *Stage) {
	if s.Verb == Upgrade {
		e.lose(s, "takes a stack of an older version to this one, which nothing in Compose does: left out")
		for _, name := range e.stack.upgradeServices() {
			delete(e.project.Services, name)
		}
		return
	}
	if s.Finally {
		e.lose(s, "runs at the end of every run, which nothing in Compose does: left out")
		for _, u := range s.Units {
			delete(e.project.Services, u.Service)
		}
		return
	}
	previous := ""
	for _, u := range s.Units {
		if u.Service == "" {
			continue
		}
		for _, d := range e.before(s, u.App) {
			e.wait(u.Service, d)
		}
		if s.Sequential && previous != "" {
			e.wait(u.Service, dependency{previous, e.condition(s, previous)})
		}
		previous = u.Service
	}
	e.losses(s)
}

// losses are what stands in the stage and has no place in Compose.
func (e *exporter) losses(s *Stage) {
	seen := map[string]bool{}
	once := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !seen[text] {
			seen[text] = true
			e.lose(s, "%s", text)
		}
	}
	for _, u := range s.Units {
		_, whole := services(u.Condition)
		switch {
		case u.Call != nil:
			once("call %s is left out", u.Call)
		case u.Condition != nil && !whole:
			once("await %s is left out: what comes after it does not wait for that", u.Condition)
		case u.Until != nil:
			once("%s runs until %s and is then stopped; here it has to end by itself", u.Service, u.Until)
		}
		if u.Ready != nil && e.lacks(u) {
			instead := "that it was started"
			if hasHealthcheck(e.project.Services[u.Service]) {
				instead = "its healthcheck"
			}
			once("%s is ready when %s; here only %s counts", u.Service, u.Ready, instead)
		}
		if u.Proof != nil {
			once("proof %s is left out: Compose keeps no record", u.Proof)
		}
	}
	if s.Exclusive != "" {
		once("exclusive %s: the order is kept, but not that its holder has shut down cleanly", s.Exclusive)
	}
	if slices.ContainsFunc(s.Units, func(u Unit) bool { return u.SharedNetwork }) {
		once("network shared is left out: each helper has one of its own")
	}
	if s.MaxParallel > 0 {
		once("max_parallel %d is left out", s.MaxParallel)
	}
	if s.Timeout > 0 {
		once("timeout %s is left out (docker compose up --wait-timeout bounds the whole)", s.Timeout)
	}
	if s.Retries.Count > 0 {
		once("retries %d is left out", s.Retries.Count)
	}
	if s.OnFailure == SkipApp || s.OnFailure == Continue {
		once("on_failure %s is left out: a failure ends all that waits for it", s.OnFailure)
	}
	if !s.Implicit && s.Verb != Call && e.unawaited(s) {
		once("nobody waits for the end of its helpers, which docker compose up --wait takes for services that have ended")
	}
}

// unawaited tells of a stage of helpers that no service stands behind.
func (e *exporter) unawaited(s *Stage) bool {
	if s.Verb == Start || !slices.ContainsFunc(s.Units, func(u Unit) bool { return u.Service != "" }) {
		return false
	}
	return !slices.ContainsFunc(e.stack.Stages, func(other Stage) bool {
		return !other.Finally && other.Name != s.Name && slices.ContainsFunc(other.Units, func(u Unit) bool {
			return u.Service != "" && slices.ContainsFunc(e.before(&other, u.App), func(d dependency) bool {
				return slices.ContainsFunc(s.Units, func(own Unit) bool { return own.Service == d.service })
			})
		})
	})
}

// dependency is a service and what of it is waited for.
type dependency struct{ service, condition string }

// before is what a step of the stage for the app waits for.
func (e *exporter) before(s *Stage, app string) []dependency {
	var out []dependency
	for _, name := range s.Needs {
		need := e.stages[name]
		units := need.Units
		if s.PerApp && app != "" && need.Each {
			units = slices.DeleteFunc(slices.Clone(units), func(u Unit) bool { return u.App != app })
		}
		if len(units) == 0 {
			out = append(out, e.before(need, app)...)
		}
		for _, u := range units {
			out = append(out, e.done(need, u)...)
		}
	}
	return out
}

// done is what stands for the step having been done.
func (e *exporter) done(s *Stage, u Unit) []dependency {
	if u.Service != "" {
		awaited, _ := services(u.Ready)
		return append(awaited, dependency{u.Service, e.condition(s, u.Service)})
	}
	awaited, _ := services(u.Condition)
	return append(awaited, e.before(s, u.App)...)
}

// condition of depends_on that a service of the stage can be expected to keep.
func (e *exporter) condition(s *Stage, service string) string {
	if s.Verb != Start {
		return types.ServiceConditionCompletedSuccessfully
	}
	for _, u := range s.Units {
		if u.Service == service && u.Ready != nil && hasHealthcheck(e.project.Services[service]) {
			return types.ServiceConditionHealthy
		}
	}
	return types.ServiceConditionStarted
}

// lacks tells whether what makes the service ready is more than its health.
func (e *exporter) lacks(u Unit) bool {
	awaited, whole := services(u.Ready)
	return !whole || slices.ContainsFunc(awaited, func(d dependency) bool {
		return d.service == u.Service && !hasHealthcheck(e.project.Services[u.Service])
	})
}

// services are what a condition waits for in Compose's terms; whole is false
// where that is not all of it.
func services(c waiters.Condition) (out []dependency, whole bool) {
	switch c := c.(type) {
	case nil:
		return nil, true
	case waiters.Timed:
		out, whole = services(c.Condition)
		return out, whole && c.Pace.StableFor == 0
	case conditions.Healthy:
		return []dependency{{sharedName(c.Service), types.ServiceConditionHealthy}}, true
	case conditions.Exit:
		if c.Code == 0 {
			return []dependency{{sharedName(c.Service), types.ServiceConditionCompletedSuccessfully}}, true
		}
	case waiters.All:
		whole = true
		for _, part := range c {
			some, all := services(part)
			out, whole = append(out, some...), whole && all
		}
		return out, whole
	}
	return nil, false
}

// wait notes that a service waits for another one; of two conditions the
// stronger one stays.
func (e *exporter) wait(service string, d dependency) {
	if service == d.service {
		return
	}
	if e.after[service] == nil {
		e.after[service] = types.DependsOnConfig{}
	}
	strength := []string{types.ServiceConditionStarted, types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully}
	on, known := e.after[service][d.service]
	if !known || slices.Index(strength, d.condition) > slices.Index(strength, on.Condition) {
		on.Condition, on.Required = d.condition, true
	}
	e.after[service][d.service] = on
}

// finish puts what was found into the project, and takes out what is resolved.
func (e *exporter) finish(r *reader) {
	for name, s := range e.project.Services {
		for dep, on := range s.DependsOn {
			if _, there := e.project.Services[dep]; !there {
				continue
			}
			e.wait(name, dependency{dep, on.Condition})
			kept := e.after[name][dep]
			kept.Restart = on.Restart
			e.after[name][dep] = kept
		}
		s.DependsOn = e.after[name]
		s.Profiles, s.EnvFiles, s.LabelFiles, s.Extends = nil, nil, nil, nil
		own := r.instances[name]
		for _, mode := range []*string{&s.NetworkMode, &s.Ipc, &s.Pid} {
			if template, shares := strings.CutPrefix(*mode, types.ServicePrefix); shares {
				if peers := r.peers(own, template); len(peers) == 1 {
					*mode = types.ServicePrefix + peers[0].name
				}
			}
		}
		e.project.Services[name] = s
	}
	for _, name := range sortedKeys(e.project.Services) {
		if text, err := json.Marshal(e.project.Services[name]); err == nil && strings.Contains(string(text), HandedOpen) {
			e.lost = append(e.lost, "service "+name+": values that a helper hands on have to come from the environment")
		}
	}
}
