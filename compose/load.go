package compose

import (
	"context"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose/internal/diagnosis"
	"github.com/stagehand-dev/stagehand/compose/internal/sources"
	"github.com/stagehand-dev/stagehand/compose/specs"
	"github.com/stagehand-dev/stagehand/problems"
)

// Load gives the project for one set of variables. vars wins over the
// environment for what ${…} stands for; it may be nil. Services for which
// only is false are left out of the result and of all checks; others may
// still refer to them. nil means all. Everything wrong is reported to list;
// the result is nil when that makes it unusable.
func (s *Source) Load(ctx context.Context, vars func(name string) (string, bool), only func(service string) bool, list *problems.List) *Project {
	env := s.read.Variables(vars)
	var project *types.Project
	err := sources.ErrBroken
	if !s.read.Broken {
		project, err = s.read.Load(ctx, only, env)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		list.Merge(diagnosis.Run(ctx, s.read, env, only, err))
		s.read.Warn(env, only, list)
		return nil
	}
	s.read.Warn(env, only, list)
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
	for name, n := range s.scale {
		if service, ok := project.Services[name]; ok {
			service.SetScale(n)
			project.Services[name] = service
		}
	}
	p := &Project{Project: project, specs: &specs.Converter{Project: project, At: s.At, Dir: s.Dir, EnvFiles: s.EnvFiles}}
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
