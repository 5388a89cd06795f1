package specs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
)

// composeVersion is the release of Docker Compose whose rules the labels follow.
const composeVersion = "2.40.3"

// labels sets the file's labels, Compose's, by which its own commands find
// the container, and ours.
func (v *conversion) labels() {
	labels := map[string]string{}
	maps.Copy(labels, v.service.Labels)
	labels[containers.LabelProject] = v.id.Stack
	labels[containers.LabelService] = v.id.Service
	labels[containers.LabelNumber] = strconv.Itoa(v.id.number())
	labels[containers.LabelOneoff] = "False"
	labels[containers.LabelConfigFiles] = strings.Join(v.Files, ",")
	labels[containers.LabelWorkingDir] = v.Dir
	if len(v.EnvFiles) > 0 {
		labels[containers.LabelEnvFiles] = strings.Join(v.EnvFiles, ",")
	}
	labels[containers.LabelVersion] = composeVersion
	labels[containers.LabelDependsOn] = v.dependsOn()
	hash, newer := serviceHash(v.service)
	labels[containers.LabelConfigHash] = hash
	if newer != hash {
		v.spec.NewerHash = newer
	}
	labels[containers.LabelStack] = v.id.Stack
	if v.id.App != "" {
		labels[containers.LabelApp] = v.id.App
	}
	maps.Copy(labels, v.id.Labels)
	v.spec.Labels = labels
}

// dependsOn is NAME:CONDITION:RESTART of each service that this one depends
// on, with commas between. Compose reads it where it has no file at hand, and
// refuses to work on a stack in which one of them has no container: helpers,
// which are gone when they have ended, do not stand in it.
func (v *conversion) dependsOn() string {
	var all []string
	for _, dep := range sortedKeys(v.service.DependsOn) {
		names := []string{dep}
		if v.id.DependsOn != nil {
			names = v.id.DependsOn(dep)
		}
		on := v.service.DependsOn[dep]
		for _, name := range names {
			all = append(all, fmt.Sprintf("%s:%s:%t", name, on.Condition, on.Restart))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
