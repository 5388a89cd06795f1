package specs

import (
	"maps"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// preStart sets the containers that run before the service's own. compose-go has completed each with
// what the service says of a container, but for the mounts, which are had from the service's container.
// Source: docker/compose v5.4.0 pkg/compose/pre_start.go.
func (v *conversion) preStart() {
	for i, hook := range v.service.PreStart {
		if !hook.PerReplica && v.id.number() > 1 {
			continue // the first one's
		}
		number := strconv.Itoa(i + 1)
		spec := containers.Spec{Name: containers.Name(v.spec.Name, "pre-start", number)}
		own := *v
		own.service = types.ServiceConfig{Name: v.key, ContainerSpec: hook.ContainerSpec}
		own.spec, own.within = &spec, []string{"pre_start", strconv.Itoa(i)}
		own.image()
		if hook.Image == "" { // then it is the one that is built
			spec.Image, spec.Build, spec.Pull, spec.Platform = v.spec.Image, v.spec.Build, v.spec.Pull, v.spec.Platform
		}
		own.process()
		own.mounts()
		own.files()
		own.networks()
		own.namespaces()
		own.security()
		own.host()
		own.resources()
		own.uncarried()
		for k := range spec.Networks { // nobody is to take it for the service
			spec.Networks[k].Aliases = nil
		}
		spec.VolumesFrom = append([]string{v.spec.Name}, spec.VolumesFrom...)
		spec.Labels = maps.Clone(map[string]string(hook.Labels))
		v.spec.PreStart = append(v.spec.PreStart, spec)
	}
}
