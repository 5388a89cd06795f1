package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/schemas"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// diagnosis finds everything that is wrong after compose-go has refused the
// files; compose-go itself stops at the first thing. It goes from what can be
// said of each file by itself to what only the whole can tell, and takes out
// what is wrong before it goes on, so that one mistake is reported once.
type diagnosis struct {
	source *Source
	ctx    context.Context
	env    map[string]string
	only   func(string) bool
	list   *problems.List
	faults []fault
	// told are the services of which something was said already.
	told map[string]bool
}

// fault is a place that is wrong.
type fault struct {
	file *File
	doc  int
	path []string
}

func (d *diagnosis) run(cause error) {
	d.told = map[string]bool{}
	for _, f := range d.source.all() {
		for i := range f.Docs {
			d.shape(f, i)
		}
	}
	for _, f := range d.source.all() {
		for i := range f.models {
			d.values(f, i)
		}
	}
	d.extends()
	project, err := d.source.compose(d.ctx, d.source.configs(d.only, d.sound), d.env, false)
	if err == nil {
		d.meaning(project)
		_, err = d.source.compose(d.ctx, d.source.configs(d.only, d.sound), d.env, true)
	}
	if d.apart() {
		for _, f := range d.source.Included {
			d.byItself(f)
		}
	}
	if err != nil && d.ctx.Err() == nil {
		d.rest(cause)
	}
}

// apart tells whether the included files have to be looked at by themselves,
// because one of them has faults.
func (d *diagnosis) apart() bool {
	return d.source.broken || slices.ContainsFunc(d.faults, func(x fault) bool { return x.file.role == included })
}

// byItself checks the services of an included file without the rest.
func (d *diagnosis) byItself(f *File) {
	if f.role != included {
		return
	}
	env := maps.Clone(f.env)
	maps.Copy(env, d.env)
	for i := range f.models {
		model := reduced(f.models[i], d.only)
		d.sound(f, i, model)
		project, err := d.source.compose(d.ctx, []config{{file: f, model: model}}, env, false, func(o *loader.Options) {
			o.SkipInclude, o.SkipExtends, o.SkipResolveEnvironment = true, true, true
		})
		if err == nil {
			d.meaning(project)
		}
	}
}

// rest is for what only compose-go knows to be wrong: it is asked about one
// service after the other, since of several mistakes it names any, and of
// services that have no other fault.
func (d *diagnosis) rest(cause error) {
	if cause.Error() == "empty compose file" {
		d.list.Add(problems.Pos{File: d.source.Files[0].Name}, "expected services:", "the file is empty")
		return
	}
	for _, name := range d.source.declared("services") {
		if d.only != nil && !d.only(name) || d.told[name] || d.wrongIn("services", name) {
			continue
		}
		one := d.source.configs(func(n string) bool { return n == name }, d.sound)
		_, err := d.source.compose(d.ctx, one, d.env, true)
		if err == nil || d.ctx.Err() != nil || d.list.Err() != nil && checked.MatchString(err.Error()) {
			continue
		}
		if m := err.Error(); strings.Contains(m, "services."+name) || strings.Contains(m, "service "+name+" ") || strings.Contains(m, strconv.Quote(name)) {
			d.list.Add(d.nearest(err), "", "%s", words(err))
		}
	}
	if d.list.Err() == nil && !errors.Is(cause, errBroken) {
		d.list.Add(d.nearest(cause), "", "%s", words(cause))
	}
}

// checked is what meaning looks at itself: what compose-go still says of it
// follows from what has been taken out.
var checked = regexp.MustCompile("refers to undefined|depends on undefined|neither an image|dependency cycle|`network_mode` and|" +
	"not found|healthcheck.test must|already mounted|must declare either|[Cc]ircular reference")

// report adds a problem and remembers the place as wrong.
func (d *diagnosis) report(f *File, doc int, path []string, key bool, expected, format string, args ...any) {
	d.faults = append(d.faults, fault{f, doc, path})
	keyNode, value, depth := trees.Find(f.Docs[doc], path...)
	node := value
	if keyNode != nil && (key || depth < len(path) || value.Line == 0) {
		node = keyNode
	}
	if depth == 0 {
		node = nil
	}
	if node == nil {
		node = f.Docs[doc]
	}
	d.list.Add(trees.At(f.Name, node), expected, format, args...)
}

// wrong tells whether the place or one above it has been reported.
func (d *diagnosis) wrong(f *File, doc int, path ...string) bool {
	return slices.ContainsFunc(d.faults, func(x fault) bool {
		return x.file == f && x.doc == doc && len(x.path) <= len(path) && slices.Equal(x.path, path[:len(x.path)])
	})
}

// wrongIn tells whether anything at or below services.X… has been reported, in any file.
func (d *diagnosis) wrongIn(path ...string) bool {
	return slices.ContainsFunc(d.faults, func(x fault) bool {
		n := min(len(x.path), len(path))
		return slices.Equal(x.path[:n], path[:n])
	})
}

// shape interpolates a document and holds it against the schema.
func (d *diagnosis) shape(f *File, doc int) {
	b := builder{diagnosis: d, file: f, doc: doc, lookup: f.lookup(d.env)}
	built := map[string]any{}
	for _, e := range trees.Entries(f.Docs[doc]) {
		key := trees.Resolve(e.Key).Value
		switch {
		case contains(f.ownKeys(), key) || strings.HasPrefix(key, "x-"):
		case f.role == extended && key != "services":
		case key == "services" && trees.Resolve(e.Value).Kind == yaml.MappingNode:
			built[key] = b.services(e.Value)
		default:
			built[key] = b.value(e.Value, []string{key})
		}
	}
	own := OwnKeys()
	if !f.own {
		own = nil
	}
	for _, v := range schemas.Validate(built, own...) {
		if d.wrong(f, doc, v.Path...) || v.Missing && (f.role == extended || f != d.source.Files[0] && f.role == direct) {
			continue
		}
		if len(v.Path) == 1 && v.Key && contains(OwnKeys(), v.Path[0]) {
			v.Expected = "put it under " + extension + ":"
			if f.role != direct {
				v.Expected = "put it into the stack's own file"
			}
		}
		d.report(f, doc, v.Path, v.Key, v.Expected, "%s", v.Message)
	}
}

// casts are compose-go's: what a text that was interpolated must become.
var casts = loader.ToOptions(&types.ConfigDetails{}, nil).Interpolate.TypeCastMapping

// builder makes the plain tree of a document, interpolated.
type builder struct {
	*diagnosis
	file   *File
	doc    int
	lookup func(string) (string, bool)
}

// services leaves out those that do not count.
func (b *builder) services(node *yaml.Node) map[string]any {
	var needed map[string]bool
	if b.doc < len(b.file.models) && b.file.role == direct {
		all, _ := b.file.models[b.doc]["services"].(map[string]any)
		needed = neededOf(all, b.only)
	}
	built := map[string]any{}
	for _, e := range trees.Entries(node) {
		name := trees.Resolve(e.Key).Value
		if needed[name] || b.file.counts(name, b.only) {
			built[name] = b.value(e.Value, []string{"services", name})
		}
	}
	return built
}

func (b *builder) value(node *yaml.Node, path []string) any {
	node = trees.Resolve(node)
	if node.Tag == "!reset" {
		return nil
	}
	switch node.Kind {
	case yaml.MappingNode:
		built := map[string]any{}
		for _, e := range trees.Entries(node) {
			key := trees.Resolve(e.Key).Value
			if trees.Resolve(e.Value).Tag != "!reset" {
				built[key] = b.value(e.Value, append(path[:len(path):len(path)], key))
			}
		}
		return built
	case yaml.SequenceNode:
		built := make([]any, 0, len(node.Content))
		for i, item := range node.Content {
			built = append(built, b.value(item, append(path[:len(path):len(path)], strconv.Itoa(i))))
		}
		return built
	}
	if node.ShortTag() == "!!str" || strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return b.text(node, path)
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return node.Value
	}
	return value
}

// text interpolates one text and casts it to what its key must be.
func (b *builder) text(node *yaml.Node, path []string) any {
	text := node.Value
	value, err := template.Substitute(text, b.lookup)
	var missing *template.MissingRequiredError
	switch {
	case errors.As(err, &missing):
		message := "the variable " + missing.Variable + " must be set"
		if missing.Reason != "" {
			message += ": " + missing.Reason
		}
		b.reportAt(b.file.place(node, missing.Variable), path, "set it, or put it into .env", message)
		return nil
	case err != nil:
		b.reportAt(trees.At(b.file.Name, node), path, "${NAME}, ${NAME:-default}, or $$ for a $", fmt.Sprintf("%q cannot be interpolated", text))
		return nil
	}
	cast := castFor(path)
	if cast == nil {
		return value
	}
	out, err := cast(value)
	if err != nil {
		b.reportAt(trees.At(b.file.Name, node), path, castHint(err), fmt.Sprintf("%q is not what this key takes", value))
		return nil
	}
	return out
}

// reportAt is report for a place that is known already.
func (b *builder) reportAt(pos problems.Pos, path []string, expected, message string) {
	b.faults = append(b.faults, fault{b.file, b.doc, path})
	b.list.Add(pos, expected, "%s", message)
}

// castHint says what would be right.
func castHint(err error) string {
	if strings.HasPrefix(err.Error(), "invalid boolean") {
		return "expected true or false"
	}
	return "expected a number"
}

func castFor(path []string) interpolation.Cast {
	var here tree.Path
	for _, step := range path {
		if _, err := strconv.Atoi(step); err == nil {
			step = tree.PathMatchList
		}
		here = here.Next(step)
	}
	for _, pattern := range slices.Sorted(maps.Keys(casts)) {
		if here.Matches(pattern) {
			return casts[pattern]
		}
	}
	return nil
}

// values gives compose-go each part of a document by itself, for what only it
// can tell: ports, durations, sizes, mounts, env files.
func (d *diagnosis) values(f *File, doc int) {
	for _, section := range []string{"services", "networks", "volumes", "configs", "secrets"} {
		entries, _ := f.models[doc][section].(map[string]any)
		var needed map[string]bool
		if section == "services" && f.role == direct {
			needed = neededOf(entries, d.only)
		}
		for _, name := range sortedKeys(entries) {
			if d.ctx.Err() != nil {
				return
			}
			definition, ok := entries[name].(map[string]any)
			path := []string{section, name}
			switch {
			case !ok || d.wrong(f, doc, path...):
			case section != "services":
				if f.role != extended {
					if err, _ := d.alone(f, doc, path, definition); err != nil && len(d.below(f, doc, path)) == 0 {
						d.report(f, doc, path, true, "", "%s", words(err))
					}
				}
			case needed[name] || f.counts(name, d.only):
				d.service(f, doc, path, definition)
			}
		}
	}
}

// service looks at each key of a service by itself.
func (d *diagnosis) service(f *File, doc int, path []string, definition map[string]any) {
	if err, sure := d.alone(f, doc, path, definition); err == nil && sure {
		return
	}
	for _, key := range sortedKeys(definition) {
		if key != "extends" {
			d.narrow(f, doc, append(path[:len(path):len(path)], key), definition[key])
		}
	}
}

// narrow finds the smallest parts of a value that compose-go refuses: items of
// lists by themselves, and of mappings those keys that are refused for what
// the whole is refused for.
func (d *diagnosis) narrow(f *File, doc int, path []string, value any) {
	err, sure := d.alone(f, doc, path, value)
	if err == nil && sure || len(path) > maxDepth {
		return
	}
	before := len(d.faults)
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			d.narrow(f, doc, append(path[:len(path):len(path)], strconv.Itoa(i)), item)
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			below := append(path[:len(path):len(path)], key)
			childErr, childSure := d.alone(f, doc, below, v[key])
			if !childSure || childErr != nil && err != nil && strings.Contains(err.Error(), core(childErr)) {
				d.narrow(f, doc, below, v[key])
			}
		}
	}
	if len(d.faults) == before && err != nil && len(d.below(f, doc, path)) == 0 {
		d.report(f, doc, path, false, hint(words(err)), "%s", words(err))
	}
}

// maxDepth is deeper than any value of the Compose specification.
const maxDepth = 10

// alone loads a document in which only the value at path stands, without what
// has been reported already. It is not sure when the schema does not allow
// the value by itself: it may need its neighbours, or what was taken out.
func (d *diagnosis) alone(f *File, doc int, path []string, value any) (err error, sure bool) {
	if d.wrong(f, doc, path...) {
		return nil, true
	}
	model := d.without(f, doc, path, value)
	for _, step := range slices.Backward(path[2:]) {
		if _, err := strconv.Atoi(step); err == nil {
			model = []any{model}
		} else {
			model = map[string]any{step: model}
		}
	}
	root := map[string]any{path[0]: map[string]any{path[1]: model}}
	env := maps.Clone(f.env)
	maps.Copy(env, d.env)
	_, err = d.source.compose(d.ctx, []config{{file: f, model: root}}, env, false, func(o *loader.Options) {
		o.SkipInclude, o.SkipExtends, o.Profiles = true, true, []string{"*"}
	})
	if d.ctx.Err() != nil {
		return nil, true
	}
	if err != nil && strings.HasPrefix(err.Error(), "validating ") {
		return nil, false
	}
	return err, true
}

// without is a copy of the value at path with everything below it taken out that has been reported.
func (d *diagnosis) without(f *File, doc int, path []string, value any) any {
	value = copied(value)
	for _, x := range d.below(f, doc, path) {
		value = remove(value, x)
	}
	return value
}

// below are the paths, from path on, of what has been reported there; of
// lists the last first.
func (d *diagnosis) below(f *File, doc int, path []string) [][]string {
	var found [][]string
	for _, x := range d.faults {
		if x.file == f && x.doc == doc && len(x.path) > len(path) && slices.Equal(x.path[:len(path)], path) {
			found = append(found, x.path[len(path):])
		}
	}
	slices.SortFunc(found, func(a, b []string) int {
		for i := range min(len(a), len(b)) {
			x, errX := strconv.Atoi(a[i])
			y, errY := strconv.Atoi(b[i])
			if errX == nil && errY == nil && x != y {
				return y - x
			}
			if c := strings.Compare(b[i], a[i]); c != 0 {
				return c
			}
		}
		return len(b) - len(a)
	})
	return found
}

// remove takes what path leads to out of the value.
func remove(value any, path []string) any {
	switch v := value.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
		} else if child, ok := v[path[0]]; ok {
			v[path[0]] = remove(child, path[1:])
		}
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return value
		}
		if len(path) == 1 {
			return slices.Delete(v, i, i+1)
		}
		v[i] = remove(v[i], path[1:])
	}
	return value
}

// sound takes out of a model whatever has been reported, and include when one
// of those files has faults.
func (d *diagnosis) sound(f *File, doc int, model map[string]any) {
	for _, x := range d.below(f, doc, nil) {
		remove(model, x)
	}
	if d.apart() {
		delete(model, "include")
	}
}

var (
	decoding = regexp.MustCompile(`^'[^']*' `)
	wherever = regexp.MustCompile(`^(?:services|networks|volumes|configs|secrets|jobs)[.\[][^ ]*: `)
)

// words are compose-go's, for people.
func words(err error) string {
	text := strings.TrimPrefix(core(err), "time: ")
	text = parsing.ReplaceAllString(text, `$1 is not a number`)
	if file, _, found := strings.Cut(text, " not found: stat "); found {
		text = file + " not found"
	}
	return text
}

// core is compose-go's message without what the place says already.
func core(err error) string {
	lines := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	if len(lines) == 0 {
		return "invalid"
	}
	text := strings.Join(lines, " ")
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s): ")
	text = decoding.ReplaceAllString(text, "")
	text = wherever.ReplaceAllString(text, "")
	return strings.TrimSuffix(text, ": invalid compose project")
}

var parsing = regexp.MustCompile(`^(?:strconv\.[A-Za-z]+: parsing )?("[^"]*"): (?:invalid syntax|value out of range)$`)

// hint says what would be right, where compose-go's words do not.
func hint(text string) string {
	switch {
	case strings.Contains(text, "invalid duration"):
		return "expected a time such as 30s or 1m30s"
	case strings.HasPrefix(text, "invalid size"), strings.HasPrefix(text, "invalid suffix"):
		return "expected a size such as 64m or 1gb"
	case strings.HasPrefix(text, "invalid containerPort"), strings.HasPrefix(text, "invalid hostPort"), strings.HasPrefix(text, "invalid port"):
		return "expected [[IP:]HOST:]CONTAINER[/PROTOCOL], ports from 1 to 65535 or ranges of them"
	case strings.HasPrefix(text, "invalid spec"):
		return "expected [SOURCE:]TARGET[:OPTIONS]"
	case strings.HasPrefix(text, "invalid additional host"):
		return "expected HOST=ADDRESS"
	}
	return ""
}

var (
	dotted  = regexp.MustCompile(`\b(services|networks|volumes|configs|secrets|jobs|models)\.([A-Za-z0-9._-]+)`)
	service = regexp.MustCompile(`service "?([A-Za-z0-9._-]+)"?`)
)

// nearest finds the place that compose-go's message names.
func (d *diagnosis) nearest(cause error) problems.Pos {
	text := cause.Error()
	if m := dotted.FindStringSubmatch(text); m != nil {
		steps := strings.Split(m[2], ".")
		for n := len(steps); n > 0; n-- { // names may hold dots
			path := append([]string{m[1], strings.Join(steps[:n], ".")}, steps[n:]...)
			if _, _, _, depth := d.source.find(path...); depth >= 2 {
				return d.source.At(path...)
			}
		}
	}
	if m := service.FindStringSubmatch(text); m != nil {
		if _, _, _, depth := d.source.find("services", m[1]); depth == 2 {
			return d.source.At("services", m[1])
		}
	}
	return problems.Pos{File: d.source.Files[0].Name}
}
