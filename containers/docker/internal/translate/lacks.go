package translate

import (
	"fmt"
	"strconv"

	"github.com/docker/docker/api/types/versions"

	"github.com/stagehand-dev/stagehand/containers"
)

// release is the first one of Docker that speaks an API version.
// Source: Docker's API version history.
var release = map[string]string{
	apiAnnotations: "24", apiManyNetworks: "25", apiVolumeSubpath: "26", apiNoIPv4: "28", apiImageMounts: "28", apiInterfaceName: "28.1",
}

// judge collects what an engine that speaks the given API version lacks.
type judge struct {
	api   string
	lacks []containers.Lack
}

func (j *judge) needs(api string, wanted, refused bool, key ...string) {
	if wanted && versions.LessThan(j.api, api) {
		text := fmt.Sprintf("needs Docker %s (API %s) or newer, the engine has API %s", release[api], api, j.api)
		j.lacks = append(j.lacks, containers.Lack{Key: key, Text: text, Refused: refused})
	}
}

// Lacks is what such an engine cannot do of the spec. A healthcheck's start
// interval is not among it: our own clock keeps it.
func Lacks(spec containers.Spec, api string) []containers.Lack {
	j := judge{api: api}
	j.needs(apiAnnotations, len(spec.Annotations) > 0, false, "annotations")
	for i, m := range spec.Mounts {
		at := strconv.Itoa(i)
		j.needs(apiVolumeSubpath, m.Kind == containers.MountVolume && m.Subpath != "", true, "volumes", at, "volume", "subpath")
		j.needs(apiImageMounts, m.Kind == containers.MountImage, true, "volumes", at)
		j.needs(apiManyNetworks, m.Recursive == "writable" || m.Recursive == "readonly", true, "volumes", at, "bind", "recursive")
	}
	for i, a := range spec.Networks {
		j.needs(apiManyNetworks, i > 0 && a.MAC != "", false, "networks")
		j.needs(apiImageMounts, a.GatewayPriority != 0, false, "networks")
		j.needs(apiInterfaceName, a.Interface != "", false, "networks")
	}
	return j.lacks
}

// NetworkLacks is what such an engine cannot do of the network.
func NetworkLacks(n containers.Network, api string) []containers.Lack {
	j := judge{api: api}
	j.needs(apiNoIPv4, n.NoIPv4, false, "enable_ipv4")
	return j.lacks
}
