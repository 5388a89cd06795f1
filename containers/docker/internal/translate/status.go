package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/stagehand-dev/stagehand/containers"
)

// LabelImage is the image as the spec names it: Podman tells another name
// ("localhost/x" or "docker.io/library/x" for "x").
const LabelImage = "dev.stagehand.image"

// Status reads the engine's description of a container.
func Status(c container.InspectResponse) containers.Status {
	status := containers.Status{
		ID:       c.ID,
		Name:     strings.TrimPrefix(c.Name, "/"),
		ImageID:  c.Image,
		Restarts: c.RestartCount,
		Created:  Time(c.Created),
		Networks: map[string]string{},
	}
	if c.Config != nil {
		status.Image, status.Labels = c.Config.Image, c.Config.Labels
		if image, noted := c.Config.Labels[LabelImage]; noted {
			status.Image, status.Labels = image, maps.Clone(status.Labels)
			delete(status.Labels, LabelImage)
		}
		for port := range c.Config.ExposedPorts {
			status.Exposed = append(status.Exposed, fmt.Sprintf("%d/%s", port.Int(), port.Proto()))
		}
		status.Exposed = containers.SortPorts(status.Exposed)
	}
	if c.State != nil {
		status.State = stateOf(c.State)
		status.ExitCode = c.State.ExitCode
		status.OOMKilled = c.State.OOMKilled
		status.Error = c.State.Error
		status.Started = Time(c.State.StartedAt)
		status.Finished = Time(c.State.FinishedAt)
		status.Health, status.HealthLog = healthOf(c.State, status.Started)
	}
	if status.State != containers.StateExited {
		status.ExitCode = 0 // the engine still tells that of the run before
	} else if !status.Finished.IsZero() && status.Finished.Before(status.Started) {
		// Docker reads its clock for the start after the process began, and
		// containerd's for the end: a short run ends before it started.
		status.Started = status.Finished
	}
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume && m.Name != "" {
			status.Volumes = append(status.Volumes, m.Name)
		}
	}
	slices.Sort(status.Volumes)
	if c.NetworkSettings != nil {
		for name, endpoint := range c.NetworkSettings.Networks {
			if endpoint == nil {
				continue
			}
			status.Networks[name] = cmp.Or(endpoint.IPAddress, endpoint.GlobalIPv6Address)
		}
		status.Ports = portsOf(c.NetworkSettings)
	}
	return status
}

func stateOf(state *container.State) containers.State {
	switch state.Status {
	case container.StateCreated, "configured", "initialized": // the latter two are Podman's
		return containers.StateCreated
	case container.StateRunning:
		return containers.StateRunning
	case container.StatePaused:
		return containers.StatePaused
	case container.StateRestarting:
		return containers.StateRestarting
	case "stopping": // Podman: the stop signal was sent, the process is alive
		return containers.StateRunning
	default: // exited, removing, dead, Podman's stopped
		return containers.StateExited
	}
}

// healthOf gives the engine's verdict of the present run: one that was
// reached before the container's start says nothing about it.
func healthOf(state *container.State, started time.Time) (containers.Health, string) {
	if state.Health == nil || !state.Running {
		return containers.HealthNone, ""
	}
	log := ""
	var last time.Time
	for _, result := range state.Health.Log {
		if result == nil || result.Start.Before(started) {
			continue
		}
		last = result.Start
		if result.ExitCode != 0 {
			log = strings.TrimSpace(result.Output)
		}
	}
	switch state.Health.Status {
	case container.Healthy, container.Unhealthy:
		if last.IsZero() {
			return containers.HealthStarting, ""
		}
		return containers.Health(state.Health.Status), log
	case container.Starting:
		return containers.HealthStarting, log
	}
	return containers.HealthNone, ""
}

func portsOf(settings *container.NetworkSettings) []containers.Binding {
	var ports []containers.Binding
	for port, bindings := range settings.Ports {
		for _, binding := range bindings {
			host, err := strconv.ParseUint(binding.HostPort, 10, 16)
			if err != nil {
				continue // not bound yet
			}
			ports = append(ports, containers.Binding{
				HostIP: binding.HostIP, Host: uint16(host), Container: uint16(port.Int()), Protocol: port.Proto(),
			})
		}
	}
	slices.SortFunc(ports, func(a, b containers.Binding) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.Host, b.Host))
	})
	return ports
}

// Time reads the engine's time; the year 1 is its way to say "never".
func Time(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}
