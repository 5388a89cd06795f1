// Package discreet shows an engine's containers without the secrets that are known: for
// what people and files are given to read. What a run itself reads must be whole.
package discreet

import (
	"context"
	"io"
	"maps"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/secrets"
)

// Engine hides what masker knows in what engine's containers have printed and in
// what it says of them. Abilities beyond containers.Engine are not carried over.
func Engine(of containers.Engine, masker *secrets.Masker) containers.Engine {
	return engine{of, masker}
}

type engine struct {
	containers.Engine
	masker *secrets.Masker
}

func (e engine) Logs(ctx context.Context, name string, o containers.LogOptions) (io.ReadCloser, error) {
	reader, err := e.Engine.Logs(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return e.masker.Reader(reader), nil
}

func (e engine) Status(ctx context.Context, name string) (containers.Status, error) {
	s, err := e.Engine.Status(ctx, name)
	return e.hide(s), err
}

func (e engine) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	list, err := e.Engine.List(ctx, labels)
	for i, s := range list {
		list[i] = e.hide(s)
	}
	return list, err
}

func (e engine) hide(s containers.Status) containers.Status {
	s.Error, s.HealthLog = e.masker.Text(s.Error), e.masker.Text(s.HealthLog)
	s.Labels = maps.Clone(s.Labels)
	if hooks, has := s.Labels[containers.LabelPreStop]; has { // commands and their environment
		s.Labels[containers.LabelPreStop] = e.masker.Text(hooks)
	}
	return s
}
