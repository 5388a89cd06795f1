package declared

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// App is one of apps:.
type App struct {
	Name   string
	Fields map[string]string // as text, by the file's own key
	Pos    problems.Pos
	// Descriptor holds the fields that never change once the app is deployed, counts in their plain form.
	Descriptor map[string]string
	// Places are where the fields' values stand.
	Places map[string]problems.Pos
}

var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// readApps reads apps: a mapping of name → fields, whose values are single
// texts, numbers or booleans. Variables in them come from the environment.
func (f *File) readApps() {
	file, node := f.source.Own("apps")
	f.Fields = map[string]string{}
	if node == nil {
		return
	}
	f.HasApps = true
	tree := f.Tree(file)
	if nodes.IsNull(node) {
		return
	}
	const shape = "apps: {hivemind: {image: demo/hivemind, port: 8081}}"
	if trees.Resolve(node).Kind != yaml.MappingNode {
		f.list.Add(tree.Pos(node), shape, "apps must be a mapping of names to fields, not %s", nodes.Kind(node))
		return
	}
	f.plainOnly(tree, node, "the fields of apps")
	for _, e := range trees.Entries(node) {
		key := trees.Resolve(e.Key)
		if !tree.Label(key, "an app") {
			continue
		}
		app := App{Name: key.Value, Fields: map[string]string{}, Places: map[string]problems.Pos{}, Pos: tree.Pos(key)}
		if value := trees.Resolve(e.Value); value.Kind != yaml.MappingNode && !nodes.IsNull(value) {
			f.list.Add(tree.Pos(value), shape, "the fields of app %s must be a mapping, not %s", app.Name, nodes.Kind(value))
			continue
		}
		fields, _ := tree.Interpolate(e.Value, f.Environment)
		f.readFields(tree, &app, fields)
		f.Apps = append(f.Apps, app)
	}
}

func (f *File) readFields(tree nodes.Tree, app *App, node *yaml.Node) {
	for _, e := range trees.Entries(node) {
		key, value := trees.Resolve(e.Key), trees.Resolve(e.Value)
		name := key.Value
		variable := "APP_" + upper(name)
		switch other := f.Fields[variable]; {
		case !fieldName.MatchString(name):
			f.list.Add(tree.Pos(key), "letters, digits, _ and -: ${APP_<FIELD>} is named after it", "a field cannot be named %q", name)
			continue
		case other != "" && other != name:
			f.list.Add(tree.Pos(key), "rename one of them", "the fields %s and %s are both ${%s}", other, name, variable)
			continue
		case value.Kind != yaml.ScalarNode:
			f.list.Add(tree.Pos(value), "a text, a number or a boolean: a field is one variable, ${"+variable+"}", "the field %s of app %s cannot be %s", name, app.Name, nodes.Kind(value))
			continue
		}
		f.Fields[variable] = name
		if !nodes.IsNull(value) {
			app.Fields[name], app.Places[name] = value.Value, tree.Pos(value)
		}
	}
}

// upper makes a variable's name of an app's field or a stage's name.
func upper(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// fieldNames are the fields that at least one app has.
func (f *File) fieldNames() []string {
	var names []string
	for _, name := range f.Fields {
		names = append(names, name)
	}
	return names
}

// AppVariable gives the app's own: APP and APP_<FIELD>.
func (f *File) AppVariable(app App, name string) (string, bool) {
	if name == "APP" {
		return app.Name, true
	}
	field, known := f.Fields[name]
	if !known {
		return "", false
	}
	value, ok := app.Fields[field]
	return value, ok
}

// filter is where: of a stage: FIELD or !FIELD. It holds for an app whose
// field is set and not one of the words for no; that is the whole language.
type filter struct {
	field  string
	negate bool
}

var no = []string{"", "false", "0", "no", "off", "null", "~"}

func (w filter) holds(app App) bool {
	if w.field == "" {
		return true
	}
	truthy := !slices.Contains(no, strings.ToLower(app.Fields[w.field]))
	return truthy != w.negate
}

// readFilter reads where: and checks that some app has the field. With no
// apps there is nothing to check against.
func (f *File) readFilter(tree nodes.Tree, node *yaml.Node) filter {
	const expected = `a field of the apps: where: indexes, or where: "!indexes" for those without`
	if n := trees.Resolve(node); n.Kind == yaml.ScalarNode && n.Value == "" && strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		f.list.Add(tree.Pos(n), "put it in quotes: where: \""+n.Tag+"\"", "YAML reads %s as a tag, not as a text", n.Tag)
		return filter{}
	}
	text, ok := tree.Text(node, "where", expected)
	if !ok {
		return filter{}
	}
	w := filter{field: strings.TrimSpace(strings.TrimPrefix(text, "!")), negate: strings.HasPrefix(text, "!")}
	if !fieldName.MatchString(w.field) {
		f.list.Add(tree.Pos(node), expected, "where cannot be %q", text)
		return filter{}
	}
	if len(f.Apps) > 0 && !slices.Contains(f.fieldNames(), w.field) {
		f.list.Add(tree.Pos(node), problems.OneOf(w.field, f.fieldNames()), "no app has a field %q", w.field)
		return filter{}
	}
	return w
}
