package stages

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// placed is a node and the file that it stands in.
type placed struct {
	tree nodes.Tree
	node *yaml.Node
}

// handedOn gives a value that is handed on at run time its marker.
func (r *reader) handedOn(name string) (string, bool) {
	if r.AppName(name) || r.HandedBy(name) == "" {
		return "", false
	}
	return HandedOpen + name + HandedClose, true
}

// definition returns the nodes that make up a service: its own in all files,
// and those that it extends.
func (r *reader) definition(service string) []placed {
	seen := map[string]bool{}
	var all []placed
	var add func(service string)
	add = func(service string) {
		if seen[service] {
			return
		}
		seen[service] = true
		for _, p := range r.section("services", service) {
			all = append(all, p)
			_, extends := trees.Get(p.node, "extends")
			if extends == nil {
				continue
			}
			if _, name := trees.Get(extends, "service"); name != nil {
				extends = name
			}
			add(trees.Resolve(extends).Value)
		}
	}
	add(service)
	return all
}

// eachUse shows every variable of the nodes to see.
func eachUse(all []placed, see func(pos problems.Pos, u nodes.Use)) {
	for _, p := range all {
		nodes.Walk(p.node, func(n *yaml.Node) {
			for _, u := range nodes.Uses(n.Value) {
				see(p.tree.PosOf(n, u.Text), u)
			}
		})
	}
}

// mentionsApp tells whether a service cannot be read without an app.
func (r *reader) mentionsApp(service string) bool {
	found := false
	if r.HasApps {
		eachUse(r.definition(service), func(_ problems.Pos, u nodes.Use) {
			found = found || !u.Soft && r.AppName(u.Name)
		})
	}
	return found
}

// checkVariables checks the variables of apps and of stages in the services
// that stages name, and in what these mount and join.
func (r *reader) checkVariables() {
	for service, u := range r.uses {
		definition := r.definition(service)
		if len(u.plain) > 0 && r.HasApps {
			all := definition
			if r.plain != nil {
				all = append(slices.Clone(definition), r.objects(service)...)
			}
			eachUse(all, func(pos problems.Pos, v nodes.Use) {
				if !v.Soft && r.AppName(v.Name) {
					r.list.Add(pos, "give the stage "+u.plain[0].Name+" each: apps, or write what is meant", "service %s is not a template: ${%s} is only known where there is an app", service, v.Name)
				}
			})
		}
		if len(u.each) > 0 {
			apps := u.apps(r.Apps)
			eachUse(definition, func(pos problems.Pos, v nodes.Use) { r.checkAppVariable(pos, v, apps) })
		}
		for _, d := range slices.Concat(u.plain, u.each) {
			eachUse(definition, func(pos problems.Pos, v nodes.Use) { r.checkHanded(pos, v, d, "service "+service) })
		}
	}
}

// objects are the definitions of the volumes and networks that a plain service uses.
func (r *reader) objects(service string) []placed {
	var all []placed
	s, ok := r.plain.Services[service]
	if !ok {
		return nil
	}
	for _, v := range s.Volumes {
		all = append(all, r.section("volumes", v.Source)...)
	}
	for key := range s.Networks {
		all = append(all, r.section("networks", key)...)
	}
	for _, c := range s.Configs {
		all = append(all, r.section("configs", c.Source)...)
	}
	for _, c := range s.Secrets {
		all = append(all, r.section("secrets", c.Source)...)
	}
	return all
}

// checkAppVariable reports ${APP_<FIELD>} where one of the apps lacks the field.
func (r *reader) checkAppVariable(pos problems.Pos, v nodes.Use, apps []declared.App) {
	if v.Soft || !r.AppName(v.Name) || v.Name == "APP" || len(r.Apps) == 0 {
		return
	}
	if r.Fields[v.Name] == "" {
		var known []string
		for variable := range r.Fields {
			known = append(known, variable)
		}
		r.list.Add(pos, problems.OneOf(v.Name, append(known, "APP")), "${%s}: no app has such a field", v.Name)
		return
	}
	var lacking []string
	for _, app := range apps {
		if _, ok := r.AppVariable(app, v.Name); !ok {
			lacking = append(lacking, app.Name)
		}
	}
	if len(lacking) > 0 {
		r.list.Add(pos, "add the field, or a default: ${"+v.Name+":-…}", "${%s}: no field %s in %s", v.Name, r.Fields[v.Name], strings.Join(lacking, ", "))
	}
}

// checkHanded reports ${<STAGE>_<KEY>} where the stage that uses it does not
// come after the one that hands it on, or would not find it: what a step
// for an app hands on is that app's.
func (r *reader) checkHanded(pos problems.Pos, v nodes.Use, d *stage, who string) {
	by := r.ByName[r.HandedBy(v.Name)]
	if by == nil || r.AppName(v.Name) || !r.Ordered {
		return
	}
	if !r.Precedes(by, d.Stage) {
		r.list.Add(pos, "let stage "+d.Name+" need stage "+by.Name+", or set the variable in the environment: then it is not looked for in stages",
			"${%s} is handed on by stage %s, and %s of stage %s does not come after it", v.Name, by.Name, who, d.Name)
		return
	}
	if !by.Each {
		return
	}
	var lacking []string
	for _, app := range d.Apps {
		if !slices.ContainsFunc(by.Apps, func(a declared.App) bool { return a.Name == app.Name }) {
			lacking = append(lacking, app.Name)
		}
	}
	switch {
	case !d.Each:
		r.list.Add(pos, "give stage "+d.Name+" each: apps too", "${%s} is handed on by stage %s once for each app, and %s of stage %s has no app", v.Name, by.Name, who, d.Name)
	case len(lacking) > 0:
		r.list.Add(pos, "give both stages the same where", "${%s} is handed on by stage %s, but not for %s", v.Name, by.Name, strings.Join(lacking, ", "))
	}
}

// late are the keys of conditions and requests whose texts the runner looks
// at only when it needs them: what is handed on may stand there. A URL, an
// address or a pattern is read before anything has run.
var late = []string{"body", "headers", "command", "query", "equals", "path"}

// checkUnit checks the variables of a condition or request, which is made anew for each app.
func (r *reader) checkUnit(d *stage, key string, node *yaml.Node) {
	nodes.WalkKeys(node, func(path []string, n *yaml.Node) {
		for _, u := range nodes.Uses(n.Value) {
			pos := d.Tree.PosOf(n, u.Text)
			switch by := r.HandedBy(u.Name); {
			case r.AppName(u.Name) && d.Each:
				r.checkAppVariable(pos, u, d.Apps)
			case r.AppName(u.Name) && !u.Soft:
				r.list.Add(pos, "each: apps", "${%s} is only known where there is an app: stage %s has no each: apps", u.Name, d.Name)
			case by == "" || r.AppName(u.Name):
			case key == "proof":
				r.list.Add(pos, "", "${%s} is handed on by stage %s, and a proof is looked at before anything runs", u.Name, by)
			case !slices.ContainsFunc(path, func(k string) bool { return slices.Contains(late, k) }):
				r.list.Add(pos, "it may stand in: "+strings.Join(late, ", "), "${%s} is handed on by stage %s, and this is read before anything runs", u.Name, by)
			default:
				r.checkHanded(pos, u, d, key)
			}
		}
	})
}
