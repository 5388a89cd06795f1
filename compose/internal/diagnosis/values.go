package diagnosis

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
	"github.com/stagehand-dev/stagehand/compose/internal/sources"
)

// values gives compose-go each part of a document by itself, for what only it
// can tell: ports, durations, sizes, mounts, env files.
func (d *diagnosis) values(ctx context.Context, f *sources.File, doc int) {
	for _, section := range []string{"services", "networks", "volumes", "configs", "secrets"} {
		entries, _ := f.Models[doc][section].(map[string]any)
		var needed map[string]bool
		if section == "services" && f.Role == sources.Direct {
			needed = models.Needed(entries, d.only)
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if ctx.Err() != nil {
				return
			}
			definition, ok := entries[name].(map[string]any)
			path := []string{section, name}
			switch {
			case !ok || d.wrong(f, doc, path...):
			case section != "services":
				if f.Role != sources.Extended {
					if err, _ := d.alone(ctx, f, doc, path, definition); err != nil && len(d.below(f, doc, path)) == 0 {
						d.report(f, doc, path, true, "", "%s", words(err))
					}
				}
			case needed[name] || f.Counts(name, d.only):
				d.service(ctx, f, doc, path, definition)
			}
		}
	}
}

// service looks at each key of a service by itself.
func (d *diagnosis) service(ctx context.Context, f *sources.File, doc int, path []string, definition map[string]any) {
	if err, sure := d.alone(ctx, f, doc, path, definition); err == nil && sure {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(definition)) {
		if key != "extends" {
			d.narrow(ctx, f, doc, append(path[:len(path):len(path)], key), definition[key])
		}
	}
}

// narrow finds the smallest parts of a value that compose-go refuses: items of
// lists by themselves, and of mappings those keys that are refused for what
// the whole is refused for.
func (d *diagnosis) narrow(ctx context.Context, f *sources.File, doc int, path []string, value any) {
	err, sure := d.alone(ctx, f, doc, path, value)
	if err == nil && sure || len(path) > maxDepth {
		return
	}
	before := len(d.faults)
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			d.narrow(ctx, f, doc, append(path[:len(path):len(path)], strconv.Itoa(i)), item)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := append(path[:len(path):len(path)], key)
			childErr, childSure := d.alone(ctx, f, doc, below, v[key])
			if !childSure || childErr != nil && err != nil && strings.Contains(err.Error(), core(childErr)) {
				d.narrow(ctx, f, doc, below, v[key])
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
func (d *diagnosis) alone(ctx context.Context, f *sources.File, doc int, path []string, value any) (err error, sure bool) {
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
	env := maps.Clone(f.Env)
	maps.Copy(env, d.env)
	_, err = d.source.Run(ctx, []sources.Config{{File: f, Model: root}}, env, false, func(o *loader.Options) {
		o.SkipInclude, o.SkipExtends, o.Profiles = true, true, []string{"*"}
	})
	if ctx.Err() != nil {
		return nil, true //nolint:nilerr // what is wrong with the value is not known then, and Load returns nothing
	}
	if err != nil && strings.HasPrefix(err.Error(), "validating ") {
		return nil, false
	}
	return err, true
}

// without is a copy of the value at path with everything below it taken out that has been reported.
func (d *diagnosis) without(f *sources.File, doc int, path []string, value any) any {
	value = models.Copied(value)
	for _, x := range d.below(f, doc, path) {
		value = remove(value, x)
	}
	return value
}

// below are the paths, from path on, of what has been reported there; of
// lists the last first.
func (d *diagnosis) below(f *sources.File, doc int, path []string) [][]string {
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
func (d *diagnosis) sound(f *sources.File, doc int, model map[string]any) {
	for _, x := range d.below(f, doc, nil) {
		remove(model, x)
	}
	if d.apart() {
		delete(model, "include")
	}
}
