package stages

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// instance is one container that the stack can make, and the stage that does.
type instance struct {
	name, template string
	app            declared.App
	number         int // among the replicas of its service, from 1
	stage          *stage
	service        types.ServiceConfig
	node           *yaml.Node // where the stage names it
	shares         bool       // a network with other helpers
}

// longest name that a DNS server answers for. Source: RFC 1035, section 2.3.4.
const longest = 63

// instanceName is the name on the stack's network: APP-SERVICE, hashed where
// it would be too long for one.
func instanceName(app declared.App, service string) string {
	if app.Name == "" {
		return service
	}
	return shortened(app.Name + "-" + service)
}

// replicaName is the name of a service's container with this number, first being that of
// the first one. No service's own name has a slash in it.
func replicaName(first string, number int) string {
	if number == 1 {
		return first
	}
	return first + "/" + strconv.Itoa(number)
}

func shortened(name string) string {
	if len(name) > longest {
		return containers.Name(name)
	}
	return name
}

// expand makes each stage's units, and the services in them.
func (r *reader) expand() {
	for _, d := range r.stages {
		for _, n := range d.Services {
			r.checkService(d, n)
		}
		for _, app := range d.Apps {
			if d.Inline != nil {
				d.units = append(d.units, Unit{App: app.Name})
			}
			for _, n := range d.Services {
				for _, name := range r.instantiate(d, app, n) {
					d.units = append(d.units, Unit{Service: name, App: app.Name})
				}
			}
		}
	}
	for _, d := range r.stages {
		for _, u := range d.units {
			if i := r.instances[u.Service]; i != nil {
				r.specify(i)
			}
		}
	}
}

// checkService reports a service that does not exist, or that the stage cannot have.
func (r *reader) checkService(d *stage, n *yaml.Node) {
	if known := r.serviceNames(); !slices.Contains(known, n.Value) {
		r.list.Add(d.Tree.Pos(n), problems.OneOf(n.Value, known), "there is no service %q", n.Value)
	}
}

// serviceNames are the services of the files, those of inactive profiles
// among them, and templates that no app uses.
func (r *reader) serviceNames() []string {
	if r.known != nil {
		return r.known
	}
	names := map[string]bool{}
	add := func(p *compose.Project) {
		if p == nil {
			return
		}
		for name := range p.Services {
			names[name] = true
		}
		for name := range p.DisabledServices {
			names[name] = true
		}
	}
	add(r.plain)
	for _, p := range r.projects {
		add(p)
	}
	files := r.source.Files
	if r.plain == nil { // then what is included may be services too; why has been reported
		files = slices.Concat(files, r.source.Included)
	}
	for _, f := range files {
		for _, doc := range f.Docs {
			_, section := trees.Get(doc, "services")
			for _, e := range nodes.Entries(section) {
				names[trees.Resolve(e.Key).Value] = true
			}
		}
	}
	r.known = sortedKeys(names)
	return r.known
}

// instantiate notes the service's instances, one for each of its replicas, and returns their names;
// none where there is none, for a reason that was reported, because its
// profile is not active or because it is to have no container.
func (r *reader) instantiate(d *stage, app declared.App, n *yaml.Node) (names []string) {
	project := r.project(app)
	if project == nil {
		return nil
	}
	service, ok := project.Services[n.Value]
	if !ok {
		return nil
	}
	first := instanceName(app, n.Value)
	i := instance{name: first, template: n.Value, app: app, number: 1, stage: d, service: service, node: n}
	replicas := service.GetScale()
	switch other := r.instances[first]; {
	case other != nil && other.template == i.template:
		r.reportTwice(other, &i)
		return nil
	case other != nil:
		r.list.Add(d.Tree.Pos(n), "rename one of them", "%s would be the name of two: of %s and of %s", first, describe(other), describe(&i))
		return nil
	case replicas == 0:
		r.idle[first] = &i
	}
	if replicas != 1 {
		r.stack.Replicas[first] = replicas
	}
	for number := 1; number <= replicas; number++ {
		own := i
		own.name, own.number = replicaName(first, number), number
		r.instances[own.name] = &own
		names = append(names, own.name)
	}
	return names
}

// replicas are the instances of a template that share a name on the network, by number.
func (r *reader) replicas(first, template string) (all []*instance) {
	for number := 1; ; number++ {
		i := r.instances[replicaName(first, number)]
		if i == nil || i.template != template {
			return all
		}
		all = append(all, i)
	}
}

func describe(i *instance) string {
	if i.app.Name == "" {
		return "service " + i.template
	}
	return "service " + i.template + " for app " + i.app.Name
}

// reportTwice says why a service cannot stand in a second stage, or a second time in one.
func (r *reader) reportTwice(first, second *instance) {
	a, b := first.stage, second.stage
	pos, service := b.Tree.Pos(second.node), second.template
	switch {
	case a == b:
		r.list.Add(pos, "name it once", "stage %s names service %s twice", a.Name, service)
	case a.verb() == Start && b.verb() == Await:
		r.list.Add(pos, "await: {healthy: "+service+"} waits for what is started already", "service %s is started by stage %s and stays, so that awaiting its end never ends", service, a.Name)
	case a.verb() == Await && b.verb() == Start:
		r.list.Add(pos, "start it first, then await: {healthy: "+service+"}", "service %s is awaited by stage %s as a detector, which ends, and cannot be started too", service, a.Name)
	case a.verb() == b.verb():
		r.list.Add(pos, "one container has one stage; for a second one make a service that extends it", "stage %s does %s %s already", a.Name, a.verb(), service)
	default:
		r.list.Add(pos, "one container has one stage; for a second one make a service that extends it", "stage %s does %s %s already, so that this stage cannot %s it", a.Name, a.verb(), service, b.verb())
	}
}

// specify converts the instance's service.
func (r *reader) specify(i *instance) {
	project := r.project(i.app)
	id := r.identity(i)
	spec := project.Spec(i.template, id, r.list)
	if i.stage.Helpers() {
		if policy := spec.Restart.Policy; i.number == 1 && (policy == "always" || policy == "unless-stopped") {
			r.list.Warn(r.source.At("services", i.template, "restart"), "retries: of the stage says how often a helper that failed is run again",
				"restart: %s is left out: stage %s waits for the end of %s", policy, i.stage.Name, i.template)
		}
		// The engine must not start a helper again behind the runner's back: its exit would be lost.
		spec.Restart = containers.Restart{}
	}
	if other := r.containers[spec.Name]; other != "" && spec.Name != "" && sharedName(other) != sharedName(i.name) {
		r.list.Add(r.source.At("services", i.template, "container_name"), "leave container_name out, or put ${APP} into it where each app has one",
			"the containers of %s and %s would both be named %s", other, i.name, spec.Name)
	}
	r.containers[spec.Name] = i.name
	r.stack.Services[i.name] = Service{Name: i.name, Template: i.template, App: i.app.Name, Number: i.number, Spec: spec}
}

func (r *reader) identity(i *instance) compose.Identity {
	return compose.Identity{
		Stack: r.stack.Name, Service: instanceName(i.app, i.template), Template: i.template, App: i.app.Name, Number: i.number,
		Peer: func(service string) string {
			for _, app := range []declared.App{i.app, {}} {
				name := instanceName(app, service)
				if peer := r.instances[name]; peer != nil && peer.template == service {
					return r.project(peer.app).ContainerName(service, compose.Identity{
						Stack: r.stack.Name, Service: name, Template: service, App: peer.app.Name, Number: 1})
				}
			}
			return containers.Name(r.stack.Name, service, "1")
		},
		DependsOn: func(service string) []string {
			var names []string
			for _, p := range r.peers(i, service) {
				if !p.stage.Helpers() && p.number == 1 {
					names = append(names, p.name)
				}
			}
			return names
		},
	}
}

// mounts tells whether the service can write into the volume with this key.
func mounts(s types.ServiceConfig, key string) bool {
	return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Source == key && !v.ReadOnly
	})
}

// checkExclusive checks the volumes that have one holder at a time, and finds
// their names on the engine.
func (r *reader) checkExclusive() {
	for _, d := range r.stages {
		if d.Exclusive != nil && d.Inline == nil {
			r.findExclusive(d)
		}
	}
	for i, d := range r.stages {
		for j, other := range r.stages {
			if d.exclusive == "" || i == j || !r.Ordered || r.precedes(d, other) || r.precedes(other, d) {
				continue
			}
			key := d.Exclusive.Value
			if other.exclusive == d.exclusive && i < j {
				continue // reported at the later one
			}
			if holder := r.holder(other, key); holder != "" {
				r.list.Add(d.Tree.Pos(d.Exclusive), "let one stage need the other",
					"volume %s has one holder at a time, but service %s of stage %s can run side by side with stage %s", key, holder, other.Name, d.Name)
			}
		}
	}
}

// holder is a service of the stage that mounts the volume, "" if none does.
func (r *reader) holder(d *stage, key string) string {
	for _, u := range d.units {
		if i := r.instances[u.Service]; i != nil && mounts(i.service, key) {
			return i.name
		}
	}
	return ""
}

func (r *reader) findExclusive(d *stage) {
	key := d.Exclusive.Value
	if r.plain != nil {
		if _, ok := r.plain.Volumes[key]; !ok {
			r.list.Add(d.Tree.Pos(d.Exclusive), problems.OneOf(key, sortedKeys(r.plain.Volumes)), "there is no volume %q", key)
			return
		}
	}
	if d.verb() == Start && len(d.units) > 1 {
		r.list.Add(d.Tree.Pos(d.Exclusive), "run: is for helpers that hand the volume on when they end",
			"the stage starts %d services that stay, but volume %s has one holder at a time", len(d.units), key)
	}
	names := map[string]bool{}
	for _, u := range d.units {
		i := r.instances[u.Service]
		if i == nil {
			continue
		}
		if !mounts(i.service, key) {
			r.list.Add(d.Tree.Pos(d.Exclusive), "volumes: [\""+key+":/data\"] in service "+i.template, "service %s does not mount volume %s for writing", i.template, key)
			return
		}
		names[r.project(i.app).Volume(key).Name] = true
	}
	if len(names) > 1 {
		r.list.Add(d.Tree.Pos(d.Exclusive), "leave exclusive out: each app has a volume of its own", "volume %s is not the same for all apps: %s", key, strings.Join(sortedKeys(names), ", "))
	}
	for _, name := range sortedKeys(names) {
		d.exclusive = name
	}
	if len(names) == 0 && r.plain != nil {
		d.exclusive = r.plain.Volume(key).Name
	}
}
