package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
)

// ErrBroken: a file that the stack's own include or extend cannot be read,
// which Open has reported.
var ErrBroken = errors.New("an included file cannot be read")

// Variables is the environment with the values that vars has for any name
// that the files mention.
func (s *Source) Variables(vars func(string) (string, bool)) map[string]string {
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

// Config is one document that compose-go is to read.
type Config struct {
	File *File
	// Model, a copy, or Content: compose-go takes either.
	Model   map[string]any
	Content []byte
}

// Configs are the files' documents for compose-go. Of the services that only
// excludes a mere name is left for others to refer to, unless one of those
// that stay extends it. drop, if not nil, may take things out of a model.
func (s *Source) Configs(only func(string) bool, drop func(file *File, doc int, model map[string]any)) []Config {
	var out []Config
	only = s.needed(only)
	for _, f := range s.Files {
		if f.Tagged && drop == nil {
			out = append(out, Config{File: f, Content: content(f, only)})
			continue
		}
		for i, cached := range f.Models {
			model := models.Reduced(cached, only)
			if drop != nil {
				drop(f, i, model)
			}
			out = append(out, Config{File: f, Model: model})
		}
	}
	return out
}

// needed is true for what only is true for and what that extends: what is needed of one file is
// needed of all of them, since they are merged.
func (s *Source) needed(only func(string) bool) func(string) bool {
	if only == nil {
		return nil
	}
	names := map[string]bool{}
	for before := -1; before < len(names); {
		before = len(names)
		for _, f := range s.Files {
			for _, model := range f.Models {
				services, _ := model["services"].(map[string]any)
				maps.Copy(names, models.Needed(services, func(name string) bool { return names[name] || only(name) }))
			}
		}
	}
	return func(name string) bool { return names[name] }
}

// content is the file's text with only what is needed of its services.
func content(f *File, only func(string) bool) []byte {
	text, err := f.Content(only)
	if err != nil { // what could be read cannot be written: compose-go shall say why
		return f.Text
	}
	return text
}

// Run runs compose-go, whose panics become errors: a file must not take
// the program down, whatever is in it.
func (s *Source) Run(ctx context.Context, configs []Config, env map[string]string, consistent bool, more ...func(*loader.Options)) (project *types.Project, err error) {
	if len(configs) == 0 {
		return nil, errors.New("empty compose file")
	}
	defer func() {
		if r := recover(); r != nil {
			project, err = nil, fmt.Errorf("compose-go cannot read this: %v", r)
		}
	}()
	registerRaw()
	// compose-go adds to the environment that it is given.
	env = maps.Clone(env)
	details := types.ConfigDetails{WorkingDir: configs[0].File.Dir, Environment: types.Mapping(env)}
	for _, c := range configs {
		file := types.ConfigFile{Filename: c.File.Path, Config: c.Model}
		if c.Model == nil {
			file.Content = c.Content
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
