package specs

import (
	"cmp"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// image sets the image, how it is come by and when it is pulled.
func (v *conversion) image() {
	s := v.service
	// DOCKER_DEFAULT_PLATFORM is Docker's own variable.
	v.spec.Image, v.spec.Platform, v.spec.Pull = s.Image, cmp.Or(s.Platform, v.Project.Environment["DOCKER_DEFAULT_PLATFORM"]), v.pull()
	if s.Provider != nil {
		v.list.Add(v.at("provider"), "give the service an image", "service %q has a provider, which stagehand cannot run", v.key)
		return
	}
	if s.Build != nil {
		if s.Image == "" {
			// Compose's own name for what it builds. Source: docker/compose pkg/api GetImageNameOrDefault.
			v.spec.Image = v.Project.Name + "-" + v.key
		}
		v.build(s.Build)
	}
}

// build says how the image is made. What only a client that speaks BuildKit's
// own protocol can do is said here, and again when the image has to be made.
func (v *conversion) build(b *types.BuildConfig) {
	out := &containers.Build{
		Context: b.Context, Dockerfile: b.Dockerfile, Inline: b.DockerfileInline, Target: b.Target, Tags: b.Tags, Labels: map[string]string{},
		CacheFrom: b.CacheFrom, NoCache: b.NoCache, Pull: b.Pull, Network: b.Network,
		ShmSize: int64(b.ShmSize), Ulimits: ulimits(b.Ulimits), Isolation: b.Isolation,
	}
	if hosts := b.ExtraHosts.AsList(":"); len(hosts) > 0 {
		slices.Sort(hosts)
		out.ExtraHosts = hosts
	}
	maps.Copy(out.Labels, b.Labels)
	out.Labels[containers.LabelProject], out.Labels[containers.LabelService] = v.Project.Name, v.key
	for _, key := range sortedKeys(b.Args) {
		value := b.Args[key]
		if value == nil {
			outside, set := v.Project.Environment[key]
			if !set {
				continue
			}
			value = &outside
		}
		out.Args = append(out.Args, key+"="+*value)
	}
	if len(b.Platforms) == 1 {
		v.spec.Platform = cmp.Or(v.spec.Platform, b.Platforms[0])
	}
	for _, part := range []struct {
		key    string
		set    bool
		needed bool // without it another image would be made, or none
	}{
		{"additional_contexts", len(b.AdditionalContexts) > 0, true}, {"cache_to", len(b.CacheTo) > 0, false}, {"entitlements", len(b.Entitlements) > 0, true},
		{"no_cache_filter", len(b.NoCacheFilter) > 0, false}, {"platforms", len(b.Platforms) > 1, true}, {"privileged", b.Privileged, true},
		{"provenance", b.Provenance != "", false}, {"sbom", b.SBOM != "", false}, {"secrets", len(b.Secrets) > 0, true}, {"ssh", len(b.SSH) > 0, true},
	} {
		switch {
		case part.set && part.needed:
			v.list.Warn(v.at("build", part.key), "build it first: docker compose build "+v.key,
				"build.%s is not carried out: the image %s is used if it is there, and cannot be made here", part.key, v.spec.Image)
			out.Refused = "build." + part.key + " of service " + v.key + " is not carried out: docker compose build " + v.key + " makes it"
		case part.set:
			v.unknown("build", part.key)
		}
	}
	v.spec.Build = out
}

func (v *conversion) pull() containers.Pull {
	built := v.service.Build != nil
	policy, every, err := v.service.GetPullPolicy()
	if err != nil {
		v.list.Add(v.at("pull_policy"), "expected one of: always, build, daily, every_DURATION, missing, never, weekly", "pull_policy cannot be %q", v.service.PullPolicy)
		return containers.PullMissing
	}
	switch {
	case policy == types.PullPolicyAlways:
		return containers.PullAlways
	case policy == types.PullPolicyNever, built && v.service.Image == "" && policy == types.PullPolicyMissing:
		return containers.PullNever // what only a build makes is on no registry
	case policy == types.PullPolicyBuild && built:
		return containers.PullBuild
	case policy == types.PullPolicyBuild:
		v.list.Warn(v.at("pull_policy"), "", "pull_policy build says nothing of a service without build: the image is pulled if it is missing")
	case policy == types.PullPolicyRefresh && every > 0:
		v.list.Warn(v.at("pull_policy"), "", "pull_policy %s is not known here: the image is pulled every time (always)", v.service.PullPolicy)
		return containers.PullAlways
	case policy == types.PullPolicyRefresh:
		return containers.PullAlways
	}
	return containers.PullMissing
}
