package declared

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// Limits are the least and the greatest value of a field that is a count. The
// zero value is that of a field which may be any text.
type Limits struct{ Least, Most int }

func (l Limits) String() string {
	if l == (Limits{}) {
		return "a text, a number or a boolean"
	}
	return fmt.Sprintf("a whole number from %d to %d", l.Least, l.Most)
}

// Plain is the value in the one form in which it is kept and compared; ok is
// false where the field may not have it.
func (l Limits) Plain(value string) (plain string, ok bool) {
	if l == (Limits{}) {
		return value, value != ""
	}
	n, err := strconv.Atoi(value)
	return strconv.Itoa(n), err == nil && n >= l.Least && n <= l.Most
}

// usual are the limits of the two counts that apps are commonly cut by, where the file
// does not say others. Source: Voedger's command DeployApp.
var usual = map[string]Limits{"partitions": {1, 65535}, "workspaces": {1, 32768}}

// readReserved reads reserved: a name or a list of names that no app may have.
func (f *File) readReserved() {
	file, node := f.source.Own("reserved")
	if node == nil {
		return
	}
	tree := f.Tree(file)
	if !f.plainOnly(tree, node, "reserved") {
		return
	}
	value, _ := tree.Interpolate(node, f.Environment)
	names, _ := tree.Texts(value, "reserved", "a name or a list of names that no app may have: reserved: [cluster]")
	for _, n := range names {
		f.Reserved = append(f.Reserved, n.Value)
		for _, app := range f.Apps {
			if app.Name == n.Value {
				f.list.Add(app.Pos, fmt.Sprintf("another name: the stack brings its own %s (%s)", n.Value, tree.Pos(n)), "the name %s is reserved: no app can be deployed under it", app.Name)
			}
		}
	}
}

// readImmutable reads immutable: a list of fields or, with their limits, a
// mapping; and takes from each app what it is deployed with.
func (f *File) readImmutable() {
	file, node := f.source.Own("immutable")
	if node == nil {
		return
	}
	tree := f.Tree(file)
	if !f.plainOnly(tree, node, "immutable") {
		return
	}
	value, _ := tree.Interpolate(node, f.Environment)
	f.Immutable = map[string]Limits{}
	if trees.Resolve(value).Kind == yaml.MappingNode {
		for _, e := range trees.Entries(value) {
			f.addImmutable(tree, trees.Resolve(e.Key), e.Value)
		}
	} else {
		names, _ := tree.Texts(value, "immutable", "a field of the apps, or a list of them: immutable: [partitions, workspaces]")
		for _, n := range names {
			f.addImmutable(tree, n, nil)
		}
	}
	for i := range f.Apps {
		f.describe(&f.Apps[i])
	}
}

// addImmutable notes a field and, where they are given, its limits.
func (f *File) addImmutable(tree nodes.Tree, name, limits *yaml.Node) {
	// With no apps there is nothing to check against.
	if len(f.Apps) > 0 && !slices.Contains(f.fieldNames(), name.Value) {
		f.list.Add(tree.Pos(name), problems.OneOf(name.Value, f.fieldNames()), "no app has a field %q", name.Value)
		return
	}
	if secrets.Named(name.Value) { // what an app is deployed with is kept, and told, as it is
		f.list.Add(tree.Pos(name), "a field that may be shown", "%s is a secret by its name, and what an app is deployed with is no secret", name.Value)
		return
	}
	f.Immutable[name.Value] = usual[name.Value]
	if !nodes.IsNull(limits) {
		f.Immutable[name.Value] = readLimits(tree, name.Value, limits)
	}
}

func readLimits(tree nodes.Tree, name string, node *yaml.Node) Limits {
	const expected = "the least and the greatest count, such as 1..64, or nothing for a field that is no count"
	text, ok := tree.Text(node, name, expected)
	if !ok {
		return Limits{}
	}
	least, most, _ := strings.Cut(text, "..")
	from, errFrom := strconv.Atoi(least)
	to, errTo := strconv.Atoi(most)
	if errFrom != nil || errTo != nil || from < 0 || to < from || to == 0 {
		tree.List.Add(tree.Pos(node), expected, "the limits of %s cannot be %q", name, text)
		return Limits{}
	}
	return Limits{from, to}
}

// describe takes from the app what it is deployed with.
func (f *File) describe(app *App) {
	app.Descriptor = Describe(app.Name, app.Fields, f.Immutable, func(field, expected, message string) {
		pos, has := app.Places[field]
		if !has {
			pos = app.Pos
		}
		f.list.Add(pos, expected, "%s", message)
	})
}

// Describe takes from an app's fields what it is deployed with. report is told what is
// wrong with them.
func Describe(app string, fields map[string]string, immutable map[string]Limits, report func(field, expected, message string)) map[string]string {
	descriptor := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(immutable)) {
		limits := immutable[name]
		value, has := fields[name]
		if !has {
			report(name, name+": "+limits.String(), fmt.Sprintf("app %s has no field %s, which never changes once the app is deployed", app, name))
			continue
		}
		plain, ok := limits.Plain(value)
		if !ok {
			report(name, limits.String(), fmt.Sprintf("%s of app %s cannot be %q", name, app, value))
			continue
		}
		descriptor[name] = plain
	}
	return descriptor
}
