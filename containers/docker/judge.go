package docker

import (
	"context"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/translate"
)

var _ containers.Judge = (*Engine)(nil)

// Lacks implements containers.Judge.
func (e *Engine) Lacks(_ context.Context, spec containers.Spec) ([]containers.Lack, error) {
	return translate.Lacks(spec, e.api.ClientVersion()), nil
}

// NetworkLacks implements containers.Judge.
func (e *Engine) NetworkLacks(_ context.Context, n containers.Network) ([]containers.Lack, error) {
	return translate.NetworkLacks(n, e.api.ClientVersion()), nil
}
