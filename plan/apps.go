package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

// App is what a run means for the registration of an app.
type App struct {
	Name string `json:"name"`
	// State is new (this run registers it), deploying (a run has begun to, and this one goes
	// on), extended (a further field is registered), deployed (nothing is to be written), or removed: it stands in the
	// stack file no more.
	State string `json:"state"`
	// Descriptor holds the fields that never change, counts in their plain form.
	Descriptor map[string]string `json:"descriptor"`
}

// The states of an App.
const (
	AppNew       = "new"
	AppDeploying = "deploying"
	AppExtended  = "extended"
	AppDeployed  = "deployed"
	AppRemoved   = "removed"
)

// Fields is a descriptor for people.
func Fields(descriptor map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(descriptor)) {
		out = append(out, name+"="+descriptor[name])
	}
	return strings.Join(out, " ")
}

// text is the plan's line about the app; "" where there is nothing to say.
func (a App) text() string {
	fields := Fields(a.Descriptor)
	switch a.State {
	case AppNew:
		return fmt.Sprintf("new app: %s, from now on with %s", a.Name, fields)
	case AppDeploying:
		return fmt.Sprintf("app under way: %s, with %s", a.Name, fields)
	case AppExtended:
		return fmt.Sprintf("app: %s, from now on with %s", a.Name, fields)
	case AppRemoved:
		return fmt.Sprintf("removed app: %s, deployed with %s, stands in the stack file no more", a.Name, fields)
	}
	return ""
}

// registerApps says which apps this run registers, and has the steps that make one real tell it:
// all of the app's but those that only look at a condition. Whichever of them
// begins first carries the record. An app without such a step is never registered.
func (m *maker) registerApps() {
	if m.facts.Apps == nil {
		return
	}
	steps := map[string][]*Step{}
	for _, step := range m.plan.Steps {
		if step.App != "" && (step.Container != "" || step.Verb != stages.Await) {
			steps[step.App] = append(steps[step.App], step)
		}
	}
	declared := map[string]bool{}
	for _, app := range m.stack.Apps {
		declared[app.Name] = true
		known, registered := m.facts.Apps[app.Name]
		a := App{Name: app.Name, State: appState(app, known, registered), Descriptor: maps.Clone(known.Descriptor)}
		if a.Descriptor == nil {
			a.Descriptor = map[string]string{}
		}
		maps.Copy(a.Descriptor, app.Descriptor)
		if len(a.Descriptor) == 0 || !registered && len(steps[app.Name]) == 0 {
			continue
		}
		m.plan.Apps = append(m.plan.Apps, a)
		if a.State == AppDeployed {
			continue
		}
		for _, step := range steps[app.Name] {
			step.Descriptor = a.Descriptor
		}
	}
	for name, known := range m.facts.Apps {
		if !declared[name] {
			m.plan.Apps = append(m.plan.Apps, App{Name: name, State: AppRemoved, Descriptor: known.Descriptor})
		}
	}
	slices.SortFunc(m.plan.Apps, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
}

func appState(app stages.App, known events.App, registered bool) string {
	switch {
	case !registered:
		return AppNew
	case known.State != events.Deployed:
		return AppDeploying
	}
	for field := range app.Descriptor {
		if _, has := known.Descriptor[field]; !has {
			return AppExtended
		}
	}
	return AppDeployed
}

// RemovedApps are the apps that are deployed and stand in the stack file no more.
func (p *Plan) RemovedApps() []string {
	var out []string
	for _, a := range p.Apps {
		if a.State == AppRemoved {
			out = append(out, a.Name)
		}
	}
	return out
}
