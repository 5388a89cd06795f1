package declared

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// findHanding notes the stages that can hand on values, those that run or
// await containers, before any stage is read.
func (f *File) findHanding() {
	f.handing = map[string]string{}
	_, node := f.source.Own("stages")
	for _, item := range nodes.Items(node) {
		name, hands := "", false
		for _, e := range trees.Entries(item) {
			value := trees.Resolve(e.Value)
			switch trees.Resolve(e.Key).Value {
			case "name":
				name = value.Value
			case "run", "await":
				hands = value.Kind != yaml.MappingNode
			}
		}
		if hands && name != "" {
			f.handing[upper(name)] = name
		}
	}
}

// HandedBy is the stage of a variable <STAGE>_<KEY>, "" if it is not one. Of two
// stages the one with the longer name counts; what is set in the environment is none.
func (f *File) HandedBy(name string) string {
	if _, set := f.Environment(name); set {
		return ""
	}
	for i := len(name) - 2; i > 0; i-- {
		if name[i] == '_' && f.handing[name[:i]] != "" {
			return f.handing[name[:i]]
		}
	}
	return ""
}

// AppName tells whether the variable is one of the apps': not where the file has none, or
// where the environment has the variable and no app the field.
func (f *File) AppName(name string) bool {
	if !f.HasApps || name != "APP" && !strings.HasPrefix(name, "APP_") {
		return false
	}
	_, set := f.Environment(name)
	return f.Fields[name] != "" || !set
}

// plainOnly reports variables of apps, and values handed on, in a part of
// the stack file where they have no meaning; false where there are any.
func (f *File) plainOnly(tree nodes.Tree, node *yaml.Node, where string) bool {
	ok := true
	tree.EachUse(node, func(pos problems.Pos, u nodes.Use) {
		by := f.HandedBy(u.Name)
		switch {
		case f.AppName(u.Name) && !u.Soft:
			f.list.Add(pos, "", "${%s} has no meaning in %s", u.Name, where)
		case by != "" && !f.AppName(u.Name):
			f.list.Add(pos, "values are handed on to services, conditions and requests", "${%s}, handed on by stage %s, has no meaning in %s", u.Name, by, where)
		default:
			return
		}
		ok = false
	})
	return ok
}
