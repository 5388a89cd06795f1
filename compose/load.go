package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose/specs"
	"github.com/stagehand-dev/stagehand/problems"
)

// Load gives the project for one set of variables. vars wins over the
// environment for what ${…} stands for; it may be nil. Services for which
// only is false are left out of the result and of all checks; others may
// still refer to them. nil means all. Everything wrong is reported to list;
// the result is nil when that makes it unusable.
func (s *Source) Load(ctx context.Context, vars func(name string) (string, bool), only func(service string) bool, list *problems.List) *Project {
	env := s.variablesWith(vars)
	var project *types.Project
	err := errBroken
	if !s.broken {
		project, err = s.compose(ctx, s.configs(only, nil), env, true)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		d := diagnosis{source: s, ctx: ctx, env: env, only: only, list: &problems.List{}}
		d.run(err)
		list.Merge(d.list)
		s.warn(env, only, list)
		return nil
	}
	s.warn(env, only, list)
	for name := range project.Services {
		if only != nil && !only(name) {
			delete(project.Services, name)
		}
	}
	for name := range project.DisabledServices {
		if only != nil && !only(name) {
			delete(project.DisabledServices, name)
		}
	}
	p := &Project{Project: project, specs: &specs.Converter{Project: project, At: s.At, Dir: s.Dir}}
	for _, f := range s.Files {
		p.specs.Files = append(p.specs.Files, f.Path)
	}
	var last problems.List
	p.specs.Check(&last)
	list.Merge(&last)
	if last.Err() != nil {
		return nil
	}
	return p
}

// errBroken: a file that the stack's own include or extend cannot be read,
// which Open has reported.
var errBroken = errors.New("an included file cannot be read")

// variablesWith is the environment with the values that vars has for any name
// that the files mention.
func (s *Source) variablesWith(vars func(string) (string, bool)) map[string]string {
	env := maps.Clone(s.Env)
	if vars == nil {
		return env
	}
	for _, name := range s.variables {
		if v, ok := vars(name); ok {
			env[name] = v
		}
	}
	return env
}

// config is one document that compose-go is to read.
type config struct {
	file *File
	// model, a copy, or content: compose-go takes either.
	model   map[string]any
	content []byte
}

// configs are the files' documents for compose-go. Of the services that only
// excludes a mere name is left for others to refer to, unless one of those
// that stay extends it. drop, if not nil, may take things out of a model.
func (s *Source) configs(only func(string) bool, drop func(file *File, doc int, model map[string]any)) []config {
	var out []config
	for _, f := range s.Files {
		if f.tagged && drop == nil {
			out = append(out, config{file: f, content: f.contentFor(only)})
			continue
		}
		for i, cached := range f.models {
			model := reduced(cached, only)
			if drop != nil {
				drop(f, i, model)
			}
			out = append(out, config{file: f, model: model})
		}
	}
	return out
}

// contentFor is the file's text with only what is needed of its services.
func (f *File) contentFor(only func(string) bool) []byte {
	var needed map[string]bool
	if only != nil {
		needed = map[string]bool{}
		for _, model := range f.models {
			services, _ := model["services"].(map[string]any)
			maps.Copy(needed, neededOf(services, only))
		}
	}
	text, err := f.text(needed)
	if err != nil { // what could be read cannot be written: compose-go shall say why
		return f.Text
	}
	return text
}

// reduced copies the model, only what is needed of its services.
func reduced(cached map[string]any, only func(string) bool) map[string]any {
	services, ok := cached["services"].(map[string]any)
	if only == nil || !ok {
		return copied(cached).(map[string]any)
	}
	needed := neededOf(services, only)
	model := make(map[string]any, len(cached))
	for key, value := range cached {
		if key != "services" {
			model[key] = copied(value)
		}
	}
	kept := make(map[string]any, len(needed))
	referred := map[string]bool{}
	for name := range needed {
		kept[name] = copied(services[name])
		if definition, ok := services[name].(map[string]any); ok {
			refer(definition, referred)
		}
	}
	for name, service := range services {
		if definition, ok := service.(map[string]any); ok && !needed[name] && (referred[name] || referred[anyService]) {
			kept[name] = named(definition)
		}
	}
	model["services"] = kept
	return model
}

// anyService stands for a reference that is known only when it is interpolated.
const anyService = "$"

// refer collects the names of services that a service refers to. More names
// than needed do no harm.
func refer(service map[string]any, names map[string]bool) {
	for _, key := range []string{"depends_on", "links", "volumes_from", "network_mode", "ipc", "pid", "uts", "cgroup", "build"} {
		gather(service[key], names)
	}
}

func gather(value any, names map[string]bool) {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "$") {
			names[anyService] = true
		}
		for part := range strings.SplitSeq(v, ":") {
			names[part] = true
		}
	case []any:
		for _, item := range v {
			gather(item, names)
		}
	case map[string]any:
		for key, item := range v {
			names[key] = true
			gather(item, names)
		}
	}
}

// neededOf returns the services that count and those that they extend.
func neededOf(services map[string]any, only func(string) bool) map[string]bool {
	needed := map[string]bool{}
	var need func(name string)
	need = func(name string) {
		if needed[name] {
			return
		}
		needed[name] = true
		service, _ := services[name].(map[string]any)
		switch e := service["extends"].(type) {
		case string:
			need(e)
		case map[string]any:
			if base, ok := e["service"].(string); ok && e["file"] == nil {
				need(base)
			}
		}
	}
	for name := range services {
		if only == nil || only(name) {
			need(name)
		}
	}
	return needed
}

// named is all that is left of a service that others may refer to.
func named(service map[string]any) map[string]any {
	left := map[string]any{"image": "left-out"}
	if profiles, ok := service["profiles"].([]any); ok {
		left["profiles"] = copied(profiles)
	}
	return left
}

// compose runs compose-go, whose panics become errors: a file must not take
// the program down, whatever is in it.
func (s *Source) compose(ctx context.Context, configs []config, env map[string]string, consistent bool, more ...func(*loader.Options)) (project *types.Project, err error) {
	if len(configs) == 0 {
		return nil, errors.New("empty compose file")
	}
	defer func() {
		if r := recover(); r != nil {
			project, err = nil, fmt.Errorf("compose-go cannot read this: %v", r)
		}
	}()
	// compose-go adds to the environment that it is given.
	env = maps.Clone(env)
	details := types.ConfigDetails{WorkingDir: configs[0].file.dir, Environment: types.Mapping(env)}
	for _, c := range configs {
		file := types.ConfigFile{Filename: c.file.Path, Config: c.model}
		if c.model == nil {
			file.Content = c.content
		}
		details.ConfigFiles = append(details.ConfigFiles, file)
	}
	options := append([]func(*loader.Options){func(o *loader.Options) {
		o.SetProjectName(s.Name, true)
		o.Profiles = s.Profiles
		o.SkipConsistencyCheck = !consistent
	}}, more...)
	return loader.LoadWithContext(ctx, details, options...)
}
