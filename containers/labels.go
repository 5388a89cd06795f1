package containers

// Labels that stagehand puts on everything it makes. The first group is
// Docker Compose's (source: docker/compose pkg/api/labels.go), so that its own
// commands and desktop tools see the stack; the second is ours.
const (
	LabelProject     = "com.docker.compose.project"
	LabelService     = "com.docker.compose.service"
	LabelNumber      = "com.docker.compose.container-number"
	LabelOneoff      = "com.docker.compose.oneoff"
	LabelConfigHash  = "com.docker.compose.config-hash"
	LabelConfigFiles = "com.docker.compose.project.config_files"
	LabelWorkingDir  = "com.docker.compose.project.working_dir"
	LabelEnvFiles    = "com.docker.compose.project.environment_file"
	LabelVersion     = "com.docker.compose.version"
	LabelDependsOn   = "com.docker.compose.depends_on"
	// LabelImage is the ID of the image that the container was made from.
	LabelImage   = "com.docker.compose.image"
	LabelNetwork = "com.docker.compose.network"
	LabelVolume  = "com.docker.compose.volume"

	// LabelStack is the stack's name; all that stagehand makes carries it.
	LabelStack = "dev.stagehand.stack"
	LabelStage = "dev.stagehand.stage"
	LabelStep  = "dev.stagehand.step"
	LabelApp   = "dev.stagehand.app"
	// LabelRole is RoleHelper, RoleService, RoleProbe, RoleNamespace, RoleDebug or RoleLease.
	LabelRole    = "dev.stagehand.role"
	LabelRun     = "dev.stagehand.run"
	LabelAttempt = "dev.stagehand.attempt"
	// LabelSpec is the spec's Hash: what Create compares.
	LabelSpec = "dev.stagehand.spec"
	// LabelKeep is how long a helper that ended is kept: a Go duration, always,
	// on_failure or next_up; none is not at all.
	LabelKeep = "dev.stagehand.keep"
	// LabelExclusive is the volume that the container holds for itself.
	LabelExclusive = "dev.stagehand.exclusive"
	// LabelCreated is when a volume was made, RFC 3339, for engines that do not
	// keep that themselves; of a container, when a runner had it made, by the
	// runner's clock.
	LabelCreated = "dev.stagehand.created"
	// LabelGrace is the spec's Grace, for whoever stops it without the stack
	// file at hand, as a Go duration.
	LabelGrace = "dev.stagehand.grace"
	// LabelPreStop is the spec's PreStop, likewise, as JSON.
	LabelPreStop = "dev.stagehand.pre_stop"
	// LabelLease is the name of the lease that a container stands for. Such a
	// container does not carry LabelStack: it is no part of what it guards.
	LabelLease = "dev.stagehand.lease"
	// LabelEphemeral is "true" on all that an ephemeral run makes, networks and
	// volumes too, with LabelRun beside it: it is to be gone when the run has ended.
	LabelEphemeral = "dev.stagehand.ephemeral"
)

// InstanceOf is the name of a stack's container among its services: the service's
// and, of a second and further container of one, its number behind a slash. "" where the labels tell none.
func InstanceOf(labels map[string]string) string {
	service, number := labels[LabelService], labels[LabelNumber]
	if service == "" || number == "" || number == "1" {
		return service
	}
	return service + "/" + number
}

// Aside tells of a container's labels that it is a means of stagehand's own in a stack's
// network: no file names it, and it goes without being asked for.
func Aside(labels map[string]string) bool {
	role := labels[LabelRole]
	return role == RoleProbe || role == RoleNamespace
}

// Namespaces are the labels of what lends its network to a stack's helpers. It does not carry
// LabelProject: to docker compose it would be a container of no service.
func Namespaces(stack string) map[string]string {
	return map[string]string{LabelStack: stack, LabelRole: RoleNamespace}
}

// The values of LabelRole.
const (
	RoleHelper  = "helper"
	RoleService = "service"
	RoleProbe   = "probe"
	// RoleNamespace is that of a container whose network namespace helpers share.
	RoleNamespace = "namespace"
	RoleDebug     = "debug" // a container for a person to look around in
	RoleLease     = "lease"
)
