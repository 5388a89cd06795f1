// Package diagnosis finds everything that is wrong with a stack's files once
// compose-go has refused them.
package diagnosis

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
	"github.com/stagehand-dev/stagehand/compose/internal/sources"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// diagnosis finds everything that is wrong after compose-go has refused the
// files; compose-go itself stops at the first thing. It goes from what can be
// said of each file by itself to what only the whole can tell, and takes out
// what is wrong before it goes on, so that one mistake is reported once.
type diagnosis struct {
	source *sources.Source
	env    map[string]string
	only   func(string) bool
	list   *problems.List
	faults []fault
	// told are the services of which something was said already.
	told map[string]bool
}

// fault is a place that is wrong.
type fault struct {
	file *sources.File
	doc  int
	path []string
}

// Run returns what is wrong with the files of the source, of whose services
// only those count for which only, if not nil, is true. env is what variables
// stand for; cause is why compose-go refused the files, or sources.ErrBroken.
func Run(ctx context.Context, source *sources.Source, env map[string]string, only func(string) bool, cause error) *problems.List {
	d := diagnosis{source: source, env: env, only: only, list: &problems.List{}, told: map[string]bool{}}
	d.run(ctx, cause)
	return d.list
}

func (d *diagnosis) run(ctx context.Context, cause error) {
	for _, f := range d.source.All() {
		for i := range f.Docs {
			d.shape(f, i)
		}
	}
	for _, f := range d.source.All() {
		for i := range f.Models {
			d.values(ctx, f, i)
		}
	}
	d.extends()
	project, err := d.source.Run(ctx, d.source.Configs(d.only, d.sound), d.env, false)
	if err == nil {
		d.meaning(project)
		_, err = d.source.Run(ctx, d.source.Configs(d.only, d.sound), d.env, true)
	}
	if d.apart() {
		for _, f := range d.source.Included {
			d.byItself(ctx, f)
		}
	}
	if err != nil && ctx.Err() == nil {
		d.rest(ctx, cause)
	}
}

// apart tells whether the included files have to be looked at by themselves,
// because one of them has faults.
func (d *diagnosis) apart() bool {
	return d.source.Broken || slices.ContainsFunc(d.faults, func(x fault) bool { return x.file.Role == sources.Included })
}

// byItself checks the services of an included file without the rest.
func (d *diagnosis) byItself(ctx context.Context, f *sources.File) {
	if f.Role != sources.Included {
		return
	}
	env := maps.Clone(f.Env)
	maps.Copy(env, d.env)
	for i := range f.Models {
		model := models.Reduced(f.Models[i], d.only)
		d.sound(f, i, model)
		project, err := d.source.Run(ctx, []sources.Config{{File: f, Model: model}}, env, false, func(o *loader.Options) {
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
func (d *diagnosis) rest(ctx context.Context, cause error) {
	if cause.Error() == "empty compose file" {
		d.list.Add(problems.Pos{File: d.source.Files[0].Name}, "expected services:", "the file is empty")
		return
	}
	for _, name := range d.source.Declared("services") {
		if d.only != nil && !d.only(name) || d.told[name] || d.wrongIn("services", name) {
			continue
		}
		one := d.source.Configs(func(n string) bool { return n == name }, d.sound)
		_, err := d.source.Run(ctx, one, d.env, true)
		if err == nil || ctx.Err() != nil || d.list.Err() != nil && checked.MatchString(err.Error()) {
			continue
		}
		if m := err.Error(); strings.Contains(m, "services."+name) || strings.Contains(m, "service "+name+" ") || strings.Contains(m, strconv.Quote(name)) {
			d.list.Add(d.nearest(err), "", "%s", words(err))
		}
	}
	if d.list.Err() == nil && !errors.Is(cause, sources.ErrBroken) {
		d.list.Add(d.nearest(cause), "", "%s", words(cause))
	}
}

// checked is what meaning looks at itself: what compose-go still says of it
// follows from what has been taken out.
var checked = regexp.MustCompile("refers to undefined|depends on undefined|neither an image|dependency cycle|`network_mode` and|" +
	"not found|healthcheck.test must|already mounted|must declare either|[Cc]ircular reference")

// report adds a problem and remembers the place as wrong.
func (d *diagnosis) report(f *sources.File, doc int, path []string, key bool, expected, format string, args ...any) {
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
func (d *diagnosis) wrong(f *sources.File, doc int, path ...string) bool {
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
			if _, _, _, depth := d.source.Find(path...); depth >= 2 {
				return d.source.At(path...)
			}
		}
	}
	if m := service.FindStringSubmatch(text); m != nil {
		if _, _, _, depth := d.source.Find("services", m[1]); depth == 2 {
			return d.source.At("services", m[1])
		}
	}
	return problems.Pos{File: d.source.Files[0].Name}
}
