package stages

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/decode"
)

// decodeConditions makes each unit's conditions and requests, with the app's
// variables in them, and checks the services that they name.
func (r *reader) decodeConditions() {
	for _, d := range r.stages {
		if d.Inline != nil {
			r.checkUnit(d, string(d.verb()), d.Inline)
		}
		for key, n := range d.Conditions {
			r.checkUnit(d, key, n)
		}
		// A condition is looked at even where no app has a unit for it: a
		// fault in it should not wait for the first app.
		if len(d.units) == 0 && !d.Each {
			r.decodeUnit(d, &Unit{})
		}
		for i := range d.units {
			r.decodeUnit(d, &d.units[i])
		}
	}
}

func (r *reader) decodeUnit(d *stage, u *Unit) {
	var app declared.App
	for _, a := range d.Apps {
		if a.Name == u.App {
			app = a
		}
	}
	lookup := func(name string) (string, bool) {
		if value, ok := r.AppVariable(app, name); ok && app.Name != "" {
			return value, true
		}
		if value, ok := r.handedOn(name); ok {
			return value, true
		}
		return r.Environment(name)
	}
	read := func(key string, n *yaml.Node) waiters.Condition {
		if n == nil {
			return nil
		}
		node, ok := d.Tree.Interpolate(n, lookup)
		if !ok {
			return nil
		}
		if node.Kind == yaml.ScalarNode && node.Value == "healthy" && u.Service != "" {
			node = healthyNode(u.Service, node)
		} else if node.Value == "healthy" && key != "await" {
			return nil // of a service that cannot be read, which is told where it stands
		} else {
			node = r.ofAll(app, node)
		}
		return decode.Condition(r.scope(d, u, app, key, node), node)
	}
	u.Ready, u.Until, u.Proof = read("ready", d.Conditions["ready"]), read("until", d.Conditions["until"]), read("proof", d.Conditions["proof"])
	switch {
	case d.verb() == Await && d.Inline != nil:
		u.Condition = read("await", d.Inline)
	case d.verb() == Call && len(d.Inline.Content) > 0:
		if node, ok := d.Tree.Interpolate(d.Inline, lookup); ok {
			u.Call = decode.Call(r.scope(d, u, app, "call", node), node)
		}
	case d.verb() == Start && u.Ready == nil && d.awaitsHealth(r.instances[u.Service]) != nil:
		node := healthyNode(u.Service, d.awaitsHealth(r.instances[u.Service]))
		u.Ready = decode.Condition(r.scope(d, u, app, "depends_on", node), node)
	}
}

// ofAll has a condition that waits for a service to be healthy wait for all of its containers.
func (r *reader) ofAll(app declared.App, node *yaml.Node) *yaml.Node {
	if node.Kind != yaml.MappingNode && node.Kind != yaml.SequenceNode {
		return node
	}
	out := *node
	out.Content = slices.Clone(node.Content)
	for k, child := range out.Content {
		out.Content[k] = r.ofAll(app, child)
		if node.Kind != yaml.MappingNode || k%2 == 0 || out.Content[k-1].Value != "healthy" || child.Kind != yaml.ScalarNode {
			continue
		}
		i := r.instances[r.resolve(app, child.Value)]
		if i == nil || i.number > 1 {
			continue
		}
		all := r.replicas(i.name, i.template)
		if len(all) < 2 {
			continue
		}
		each := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: child.Line, Column: child.Column}
		for _, i := range all {
			each.Content = append(each.Content, healthyNode(i.name, child))
		}
		key := *out.Content[k-1]
		key.Value = "all"
		out.Content[k-1], out.Content[k] = &key, each
	}
	return &out
}

// healthyNode is {healthy: service}, standing where n does.
func healthyNode(service string, n *yaml.Node) *yaml.Node {
	scalar := func(text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: n.Line, Column: n.Column}
	}
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column,
		Content: []*yaml.Node{scalar("healthy"), scalar(service)}}
}

// scope is where one condition of a unit is read. In a stage with each: apps
// a template's name stands for the app's own instance.
func (r *reader) scope(d *stage, u *Unit, app declared.App, key string, node *yaml.Node) *decode.Scope {
	kinds := map[*yaml.Node]string{}
	noteKinds(node, "", kinds)
	resolve := func(name string) string { return r.resolve(app, name) }
	return &decode.Scope{
		File: d.Tree.File, Problems: r.list, Resolve: resolve,
		Service: func(n *yaml.Node, name string) {
			i := r.instances[resolve(name)]
			if i == nil {
				r.reportMissing(d, n, name)
				return
			}
			r.checkReference(d, u, key, kinds[n], n, i)
		},
		Host: func(n *yaml.Node, name string) {
			if i := r.instances[resolve(name)]; i != nil {
				r.checkReference(d, u, key, "", n, i)
			} else if r.uses[name] != nil {
				r.reportMissing(d, n, name)
			}
		},
	}
}

// resolve is the instance that a name means in a stage of the app: the app's own of a template.
func (r *reader) resolve(app declared.App, name string) string {
	if own := instanceName(app, name); len(r.replicas(own, name)) > 0 {
		return own
	}
	if r.instances[name] != nil { // the name of one container of several
		return name
	}
	return shortened(name)
}

// noteKinds finds for each scalar the condition that it is the service of.
func noteKinds(n *yaml.Node, kind string, kinds map[*yaml.Node]string) {
	for _, e := range trees.Entries(n) {
		key, value := trees.Resolve(e.Key).Value, trees.Resolve(e.Value)
		switch {
		case value.Kind == yaml.MappingNode:
			noteKinds(value, key, kinds)
		case value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				if item = trees.Resolve(item); item.Kind == yaml.MappingNode {
					noteKinds(item, "", kinds)
				}
			}
		case key == "service":
			kinds[value] = kind
		default:
			kinds[value] = key
		}
	}
}

// reportMissing says why a condition names a service that no stage makes.
func (r *reader) reportMissing(d *stage, n *yaml.Node, name string) {
	pos := d.Tree.Pos(n)
	u := r.uses[name]
	switch {
	case u != nil && len(u.each) > 0 && !d.Each:
		expected := "no app has one"
		if apps := u.apps(r.Apps); len(apps) > 0 {
			expected = "name one app's: " + instanceName(apps[0], name)
		}
		r.list.Add(pos, expected, "service %s is a template: each app has one of its own", name)
	case u != nil && len(u.each) > 0:
		var lacking []string
		for _, app := range d.Apps {
			if !u.hasApp(app) {
				lacking = append(lacking, app.Name)
			}
		}
		if len(lacking) > 0 {
			r.list.Add(pos, "give both stages the same where", "stage %s is for %s too, but no stage makes %s for it", d.Name, strings.Join(lacking, ", "), name)
		}
	case slices.Contains(r.serviceNames(), name) && u == nil:
		r.list.Add(pos, "start it in a stage before this one", "no stage makes service %s, so that it can be waited for", name)
	case r.idle[r.resolve(declared.App{}, name)] != nil:
		r.list.Add(pos, "give it one, or do not wait for it", "service %s has no container: it is to have 0", name)
	case u != nil:
		if profiles := r.stack.Inactive[name]; len(profiles) > 0 {
			r.list.Add(pos, "--profile "+profiles[0], "service %s is not made: none of its profiles is active", name)
		}
	default:
		r.list.Add(pos, problems.OneOf(name, r.namesFor(d)), "there is no service %q", name)
	}
}

// namesFor are the names that a condition of the stage may have meant.
func (r *reader) namesFor(d *stage) []string {
	names := sortedKeys(r.instances)
	for _, name := range r.serviceNames() {
		if u := r.uses[name]; !slices.Contains(names, name) && (u == nil || len(u.each) == 0 || d.Each) {
			names = append(names, name)
		}
	}
	return names
}

// checkReference reports what a condition of a stage waits for in vain.
// kind is "" where a host is dialled.
func (r *reader) checkReference(d *stage, u *Unit, key, kind string, n *yaml.Node, i *instance) {
	pos := d.Tree.Pos(n)
	other := i.stage
	live := kind != "exit" && kind != "log" && kind != "file"
	switch {
	case key == "depends_on":
		return // checked where it stands
	case kind == "" && i.shares && !other.SharesNetwork():
		i.shares = false // somebody dials it
	case kind == "" && i.shares:
		r.list.Add(pos, "look into it (log:, file:, exec:), or network: own in stage "+other.Name, "%s cannot be dialled: the helpers of stage %s share one network, and have no names on it", i.template, other.Name)
		return
	case other == d && i.name == u.Service && key == "until", key == "proof":
		// A helper is alive while its own until is looked at; a proof is of the past.
	case r.precedes(d, other):
		r.list.Add(pos, "move it behind stage "+other.Name, "stage %s can never go on: it waits for %s, which only stage %s makes, later", d.Name, i.name, other.Name)
		return
	case kind == "healthy" && other.Helpers():
		r.list.Add(pos, "needs: "+other.Name+" waits for its end; or start: it, if it is to stay", "%s is a helper of stage %s: it ends and is never healthy", i.template, other.Name)
		return
	case live && other.Helpers() && r.precedes(other, d):
		r.list.Add(pos, "wait for a service that stays", "%s is a helper of stage %s and gone by the time of stage %s", i.template, other.Name, d.Name)
		return
	case !live && other.Helpers() && r.precedes(other, d) && other.Keep.For == 0 && other.Keep.Policy != "always":
		// Its container is destroyed when its end is recorded: whoever looks for it waits for ever.
		r.list.Add(pos, "needs: "+other.Name+" waits for its end; or keep: always in stage "+other.Name, "%s is a helper of stage %s: its container is gone by the time of stage %s", i.template, other.Name, d.Name)
		return
	case kind == "exit" && other.verb() == Start:
		r.list.Warn(pos, "run: it, if it is to end", "stage %s starts %s, which stays unless it fails", other.Name, i.template)
	}
	if h := i.service.HealthCheck; kind == "healthy" && h != nil && h.Disable {
		r.list.Add(pos, "leave the healthcheck on, or wait for tcp: or http:", "the healthcheck of service %s is disabled", i.template)
	} else if kind == "healthy" && !hasHealthcheck(i.service) {
		r.list.Add(pos, "give it a healthcheck: with a test: or wait for tcp: or http: (a healthcheck in the image is not known here)", "service %s has no healthcheck", i.template)
	}
}

// hasHealthcheck tells whether the file gives the service a test.
func hasHealthcheck(s types.ServiceConfig) bool {
	h := s.HealthCheck
	return h != nil && !h.Disable && len(h.Test) > 0 && h.Test[0] != "NONE"
}
