package stages

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
)

// Model is what a stack's files come to in Compose's own terms: every variable
// resolved, each template once for each app, and no stages.
type Model struct{ project *types.Project }

// Config reads a stack's files as Load does, and what they come to as a Model.
func Config(ctx context.Context, o compose.Options) (*Stack, *Model, error) {
	r, err := loaded(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return r.stack, &Model{r.model()}, nil
}

// model puts the instances into one project.
func (r *reader) model() *types.Project {
	out := &types.Project{
		Name: r.stack.Name, Services: types.Services{}, Networks: types.Networks{}, Volumes: types.Volumes{},
		Secrets: types.Secrets{}, Configs: types.Configs{},
	}
	for _, app := range append([]declared.App{{}}, r.Apps...) {
		if p := r.project(app); p != nil {
			maps.Copy(out.Networks, p.Networks)
			maps.Copy(out.Volumes, p.Volumes)
			maps.Copy(out.Secrets, p.Secrets)
			maps.Copy(out.Configs, p.Configs)
		}
	}
	instances := maps.Clone(r.idle)
	maps.Copy(instances, r.instances)
	for name, i := range instances {
		if i.number > 1 {
			continue // the first one says how many there are
		}
		service := i.service
		service.Name = name
		if len(service.DependsOn) > 0 {
			service.DependsOn = types.DependsOnConfig{}
			for dep, on := range i.service.DependsOn {
				for _, p := range r.peers(i, dep) {
					if p.number == 1 {
						service.DependsOn[p.name] = on
					}
				}
			}
		}
		out.Services[name] = service
	}
	return out
}

// YAML is the model as a Compose file.
func (m *Model) YAML() (string, error) {
	text, err := m.project.MarshalYAML()
	return readable(text, err)
}

// JSON is the model as a Compose file in JSON.
func (m *Model) JSON() (string, error) {
	text, err := m.project.MarshalJSON()
	return readable(text, err)
}

// readable writes the text so that a reader of Compose files finds in it what
// the model has.
func readable(text []byte, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("writing the Compose model: %w", err)
	}
	return strings.NewReplacer("$", "$$", HandedOpen, "${", HandedClose, "}").Replace(strings.TrimRight(string(text), "\n")) + "\n", nil
}
