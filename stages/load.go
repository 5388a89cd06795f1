package stages

import (
	"context"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// Load reads a stack's files. The error is ctx's, or a *problems.Error that
// holds everything that is wrong with the files, as far as it can be known
// before anything is created; then there is no Stack. Nothing but files is
// looked at: no engine, no registry.
func Load(ctx context.Context, o compose.Options) (*Stack, error) {
	r, err := loaded(ctx, o)
	if err != nil {
		return nil, err
	}
	return r.stack, nil
}

// loaded is the reader that has read the files, and found no problem.
func loaded(ctx context.Context, o compose.Options) (*reader, error) {
	if o.Secrets == nil {
		o.Secrets = &secrets.Masker{}
	}
	r := &reader{list: &problems.List{}, instances: map[string]*instance{}, idle: map[string]*instance{}, containers: map[string]string{}}
	r.source = compose.Open(o, r.list)
	if r.source == nil {
		return nil, cmpErr(ctx.Err(), r.list.Err())
	}
	r.File = declared.Read(r.source, r.list)
	r.stack = &Stack{Name: r.source.Name, Dir: r.source.Dir, OnFailure: StackFailure(r.OnFailure), Budget: r.Budget, Immutable: r.Immutable, Reserved: r.Reserved, Services: map[string]Service{}, Replicas: map[string]int{}, Secrets: o.Secrets, source: r.source}
	for _, f := range r.source.Files {
		r.stack.Files = append(r.stack.Files, f.Path)
	}
	r.read(ctx)
	r.stack.Named = r.serviceNames()
	r.stack.confide()
	list := r.withoutEchoes()
	if err := cmpErr(ctx.Err(), list.Err()); err != nil {
		return nil, err
	}
	r.stack.Warnings = list.Warnings()
	return r, nil
}

// withoutEchoes is the list without warnings that say no more than a problem
// in the same place, or that a variable is not set which has its value from an
// app or a stage: the services are read before it is known which of them are templates.
// Marks of handed-on values are shown as the user wrote them.
func (r *reader) withoutEchoes() *problems.List {
	list, known := &problems.List{}, map[problems.Pos]bool{}
	for _, f := range r.Files() {
		list.Source(f.Name, f.Text)
		for _, doc := range f.Docs {
			nodes.New(f.Name, f.Text, list).EachUse(doc, func(pos problems.Pos, u nodes.Use) {
				if r.AppName(u.Name) || r.HandedBy(u.Name) != "" {
					known[pos] = true
				}
			})
		}
	}
	for _, p := range r.list.All() {
		known[p.Pos] = known[p.Pos] || !p.Warning
	}
	marks := strings.NewReplacer(HandedOpen, "${", HandedClose, "}")
	shown := func(text string) string { return r.stack.Secrets.Text(marks.Replace(text)) }
	for _, p := range r.list.All() {
		message := shown(p.Message)
		if !p.Warning {
			list.Add(p.Pos, shown(p.Expected), "%s", message)
		} else if !known[p.Pos] {
			list.Warn(p.Pos, shown(p.Expected), "%s", message)
		}
	}
	return list
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reader is one reading of a stack's files. Its steps go from what stands in
// our keys (declared.Read) and the services that these name (findUses,
// loadProjects) to the units with their containers (expand) and what must hold among them.
type reader struct {
	*declared.File
	source *compose.Source
	list   *problems.List
	stack  *Stack
	// stages in their order.
	stages []*stage

	// uses are the stages that name a service; each of them in a stage with each: apps is a template.
	uses map[string]*use
	// plain is the project as services see it that are no template, projects
	// that of each app.
	plain    *compose.Project
	projects map[string]*compose.Project

	// instances by their names on the stack's network; containers are theirs. idle are
	// services that are to have no container.
	instances  map[string]*instance
	idle       map[string]*instance
	containers map[string]string
	// known is what serviceNames has found.
	known []string
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// stage is a declared one and what it comes to.
type stage struct {
	*declared.Stage
	units []Unit
	// exclusive is the volume's name on the engine.
	exclusive string
	// awaited are the services, by the names of their first instances, that others expect
	// healthy by depends_on, each with where the stage names it.
	awaited map[string]*yaml.Node
}

func (d *stage) verb() Verb { return Verb(d.Verb) }

// await notes that somebody expects the instance healthy.
func (d *stage) await(instance string, at *yaml.Node) {
	if d.awaited == nil {
		d.awaited = map[string]*yaml.Node{}
	}
	d.awaited[instance] = at
}

// awaitsHealth is where somebody expects the instance's service healthy; nil where nobody does.
func (d *stage) awaitsHealth(i *instance) *yaml.Node {
	if i == nil {
		return nil
	}
	return d.awaited[instanceName(i.app, i.template)]
}

// precedes tells whether a is over before b begins.
func (r *reader) precedes(a, b *stage) bool { return r.Precedes(a.Stage, b.Stage) }

// order puts the stages into their order.
func (r *reader) order() {
	r.Order()
	for _, d := range r.Stages {
		r.stages = append(r.stages, &stage{Stage: d})
	}
}

func (r *reader) read(ctx context.Context) {
	if r.Explicit {
		r.placeUpgrade()
		r.order()
		r.findUses()
		r.loadProjects(ctx)
	} else if !r.implied(ctx) {
		return
	}
	if ctx.Err() != nil {
		return
	}
	r.findInactive()
	r.checkVariables()
	r.expand()
	r.findNetworks()
	if r.Explicit {
		r.checkDependsOn()
	}
	r.decodeConditions()
	r.checkExclusive()
	if r.Explicit && r.list.Err() == nil { // else a misspelt name would be reported twice
		r.checkUnused()
	}
	r.collect()
}

// implied makes the stages of files without any; false where these cannot be used.
func (r *reader) implied(ctx context.Context) bool {
	r.plain = r.source.Load(ctx, nil, nil, r.list)
	if r.plain == nil {
		return false
	}
	if r.HasApps {
		file, node := r.source.Own("apps")
		r.list.Warn(r.Tree(file).Pos(node), "a stage with each: apps has one step per app", "the apps have no effect: the file has no stages")
	}
	healthy := r.followDependsOn()
	r.order()
	r.findUses()
	for _, d := range r.stages {
		if pos, ok := healthy[d.Name]; ok {
			d.await(d.Name, made(d.Name, pos))
		}
	}
	return true
}

// loadProjects reads the Compose part: once for the services that stand for
// themselves, and once for each app.
func (r *reader) loadProjects(ctx context.Context) {
	r.plain = r.source.Load(ctx, r.handedOn, func(service string) bool {
		u := r.uses[service]
		return u == nil && !r.mentionsApp(service) || u != nil && len(u.plain) > 0
	}, r.list)
	r.projects = map[string]*compose.Project{}
	for _, app := range r.Apps {
		names := map[string]bool{}
		for name, u := range r.uses {
			if u.hasApp(app) {
				names[name] = true
			}
		}
		if len(names) == 0 || ctx.Err() != nil {
			continue
		}
		r.projects[app.Name] = r.source.Load(ctx, func(name string) (string, bool) {
			if value, ok := r.AppVariable(app, name); ok {
				return value, true
			}
			return r.handedOn(name)
		}, func(service string) bool { return names[service] }, r.list)
	}
}

// project is the one that the app's services, or those of none, are in; nil
// where it could not be loaded.
func (r *reader) project(app declared.App) *compose.Project {
	if app.Name == "" {
		return r.plain
	}
	return r.projects[app.Name]
}

// result is the stage as the stack has it.
func (d *stage) result() Stage {
	if d.Upgrade {
		return Stage{Name: d.Name, Verb: Upgrade, Needs: d.After, OnFailure: StopRun, Keep: Keep(d.Keep), Pos: d.Pos}
	}
	return Stage{
		Name: d.Name, Verb: d.verb(), Each: d.Each, Sequential: d.Sequential, MaxParallel: d.MaxParallel, Needs: d.After, PerApp: d.PerApp,
		Exclusive: d.exclusive, Timeout: d.Timeout, Budget: d.Budget, Retries: Retries(d.Retries), OnFailure: OnFailure(d.OnFailure), Keep: Keep(d.Keep),
		Finally: d.Finally, Implicit: d.Implicit, Units: d.units, Pos: d.Pos,
	}
}

// collect puts apps, stages, networks and volumes into the stack.
func (r *reader) collect() {
	for _, app := range r.Apps {
		r.stack.Apps = append(r.stack.Apps, App(app))
	}
	for _, d := range r.stages {
		for i, u := range d.units {
			d.units[i].SharedNetwork = u.Service != "" && r.instances[u.Service].shares
		}
		r.stack.Stages = append(r.stack.Stages, d.result())
	}
	r.stack.Upgrades = r.upgrades()
	for name, service := range r.stack.Services {
		service.RestartWith = r.restartWith(r.instances[name])
		r.stack.Services[name] = service
	}
	networks, volumes := map[string]bool{}, map[string]bool{}
	for _, app := range append([]declared.App{{}}, r.Apps...) {
		project := r.project(app)
		if project == nil {
			continue
		}
		var services []string
		for _, i := range r.instances {
			if i.app.Name == app.Name {
				services = append(services, i.template)
			}
		}
		for _, n := range project.NetworksOf(services...) {
			if !networks[n.Name] {
				networks[n.Name] = true
				r.stack.Networks = append(r.stack.Networks, n)
			}
		}
		for _, v := range project.VolumesOf(services...) {
			if !volumes[v.Name] {
				volumes[v.Name] = true
				r.stack.Volumes = append(r.stack.Volumes, v)
			}
		}
		if n, ok := project.Networks["default"]; ok && networks[n.Name] {
			r.stack.DefaultNetwork = n.Name
		}
	}
	if r.stack.DefaultNetwork == "" && len(r.stack.Networks) > 0 {
		r.stack.DefaultNetwork = r.stack.Networks[0].Name
	}
}

// use says which stages name a service.
type use struct{ each, plain []*stage }

func (u *use) hasApp(app declared.App) bool {
	return slices.ContainsFunc(u.each, func(d *stage) bool {
		return slices.ContainsFunc(d.Apps, func(a declared.App) bool { return a.Name == app.Name })
	})
}

// apps that the template has an instance for.
func (u *use) apps(all []declared.App) []declared.App {
	return slices.DeleteFunc(slices.Clone(all), func(a declared.App) bool { return !u.hasApp(a) })
}

// findUses notes which stages name which services, and reports services that
// would be a template and none.
func (r *reader) findUses() {
	r.uses = map[string]*use{}
	for _, d := range r.stages {
		for _, n := range d.Services {
			u := r.uses[n.Value]
			if u == nil {
				u = &use{}
				r.uses[n.Value] = u
			}
			switch {
			case d.Each && len(u.plain) > 0 || !d.Each && len(u.each) > 0:
				r.list.Add(d.Tree.Pos(n), "make two services of it: one can extend the other",
					"service %s is named in a stage with each: apps, where it is a template, and in one without", n.Value)
			case d.Each:
				u.each = append(u.each, d)
			default:
				u.plain = append(u.plain, d)
			}
		}
	}
}

// section returns the node of section.key of all files, and its tree: for
// extends, of those that are only included as well.
func (r *reader) section(section, key string) []placed {
	var found []placed
	for _, f := range r.Files() {
		for _, doc := range f.Docs {
			_, all := trees.Get(doc, section)
			if _, node := trees.Get(all, key); node != nil {
				found = append(found, placed{r.Tree(f.Name), node})
			}
		}
	}
	return found
}
