package stages

import (
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
)

// confide tells the stack's masker what its containers are given that is secret, and which names are none
// whatever else is called by them.
func (s *Stack) confide() {
	s.Secrets.Spare(s.Name)
	for _, app := range s.Apps {
		s.Secrets.Spare(app.Name)
		for field, value := range app.Fields {
			s.Secrets.Pair(field, value)
		}
	}
	for _, stage := range s.Stages {
		s.Secrets.Spare(stage.Name)
	}
	for _, n := range s.Networks {
		s.Secrets.Spare(n.Name)
	}
	for _, v := range s.Volumes {
		s.Secrets.Spare(v.Name)
	}
	for name, service := range s.Services {
		s.Secrets.Spare(name, service.Template)
		for _, spec := range append([]containers.Spec{service.Spec}, service.Spec.PreStart...) {
			s.confideSpec(spec)
		}
	}
}

func (s *Stack) confideSpec(spec containers.Spec) {
	s.Secrets.Spare(spec.Name, spec.Image)
	s.pairs(spec.Env)
	s.Secrets.Learn(spec.Entrypoint...)
	s.Secrets.Learn(spec.Command...)
	if spec.Health != nil {
		s.Secrets.Learn(spec.Health.Test...)
	}
	if spec.Build != nil {
		s.pairs(spec.Build.Args)
	}
	for _, hook := range append(spec.PostStart, spec.PreStop...) {
		s.pairs(hook.Env)
		s.Secrets.Learn(hook.Command...)
	}
	for _, file := range spec.Files {
		if file.Secret {
			s.Secrets.Add(string(file.Content))
		}
	}
}

// pairs are KEY=VALUE.
func (s *Stack) pairs(all []string) {
	for _, pair := range all {
		if key, value, ok := strings.Cut(pair, "="); ok && !strings.Contains(value, HandedOpen) {
			s.Secrets.Pair(key, value)
		}
	}
}
