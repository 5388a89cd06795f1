package specs

import (
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// image sets the image and when it is pulled. Nothing is built here.
func (v *conversion) image() {
	s := v.service
	v.spec.Image, v.spec.Platform, v.spec.Pull = s.Image, s.Platform, v.pull()
	switch {
	case s.Provider != nil:
		v.list.Add(v.at("provider"), "give the service an image", "service %q has a provider, which stagehand cannot run", v.key)
	case s.Build != nil && s.Image == "":
		// Compose's own name for what it builds. Source: docker/compose pkg/api GetImageNameOrDefault.
		v.spec.Image = v.Project.Name + "-" + v.key
		v.list.Warn(v.at("build"), "build it first: docker compose build "+v.key,
			"build is not carried out: the image %s is used if it is on the engine", v.spec.Image)
	case s.Build != nil:
		v.list.Warn(v.at("build"), "build it first: docker compose build "+v.key, "build is not carried out: the image %s is used as it is", s.Image)
	}
}

func (v *conversion) pull() containers.Pull {
	switch v.service.PullPolicy {
	case "":
		// What only a build makes is on no registry.
		if v.service.Build != nil && v.service.Image == "" {
			return containers.PullNever
		}
		return containers.PullMissing
	case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
		return containers.PullMissing
	case types.PullPolicyAlways:
		return containers.PullAlways
	case types.PullPolicyNever:
		return containers.PullNever
	case types.PullPolicyBuild:
		v.list.Warn(v.at("pull_policy"), "", "pull_policy build is not carried out: the image is pulled if it is missing")
		return containers.PullMissing
	}
	v.list.Warn(v.at("pull_policy"), "", "pull_policy %s is not known here: the image is pulled every time (always)", v.service.PullPolicy)
	return containers.PullAlways
}
