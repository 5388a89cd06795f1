package translate

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
)

const never = "0001-01-01T00:00:00Z"

func at(second int) string { return moment(second).Format(time.RFC3339Nano) }
func moment(second int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, second, 5, time.UTC)
}

func TestStatus(t *testing.T) {
	check := func(second, code int, output string) *container.HealthcheckResult {
		return &container.HealthcheckResult{Start: moment(second), End: moment(second + 1), ExitCode: code, Output: output}
	}
	for _, test := range []struct {
		name  string
		state container.State
		want  containers.Status
	}{
		{"never started", container.State{Status: "created", ExitCode: 127, Error: "no such program", StartedAt: never, FinishedAt: never},
			containers.Status{State: containers.StateCreated, Error: "no such program"}},
		{"ended", container.State{Status: "exited", ExitCode: 3, StartedAt: at(10), FinishedAt: at(12)},
			containers.Status{State: containers.StateExited, ExitCode: 3, Started: moment(10), Finished: moment(12)}},
		{"ended before its start was written down", container.State{Status: "exited", StartedAt: at(12), FinishedAt: at(10)},
			containers.Status{State: containers.StateExited, Started: moment(10), Finished: moment(10)}},
		{"out of memory", container.State{Status: "exited", ExitCode: 137, OOMKilled: true, StartedAt: at(10), FinishedAt: at(12)},
			containers.Status{State: containers.StateExited, ExitCode: 137, OOMKilled: true, Started: moment(10), Finished: moment(12)}},
		{"being removed", container.State{Status: "removing", StartedAt: at(10), FinishedAt: at(12)},
			containers.Status{State: containers.StateExited, Started: moment(10), Finished: moment(12)}},
		{"dead", container.State{Status: "dead", Dead: true, StartedAt: at(10), FinishedAt: at(12)},
			containers.Status{State: containers.StateExited, Started: moment(10), Finished: moment(12)}},
		{"between two runs", container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 4, StartedAt: at(10), FinishedAt: at(12)},
			containers.Status{State: containers.StateRestarting, Started: moment(10), Finished: moment(12)}},
		{"Podman's stopping", container.State{Status: "stopping", Running: true, StartedAt: at(10), FinishedAt: never},
			containers.Status{State: containers.StateRunning, Started: moment(10)}},
		{"healthy", container.State{Status: "running", Running: true, StartedAt: at(10), FinishedAt: never,
			Health: &container.Health{Status: "healthy", Log: []*container.HealthcheckResult{check(11, 1, "not yet\n"), check(13, 0, "")}}},
			containers.Status{State: containers.StateRunning, Started: moment(10), Health: containers.HealthHealthy, HealthLog: "not yet"}},
		{"healthy in the run before", container.State{Status: "running", Running: true, StartedAt: at(10), FinishedAt: at(9),
			Health: &container.Health{Status: "healthy", Log: []*container.HealthcheckResult{check(5, 0, "")}}},
			containers.Status{State: containers.StateRunning, Started: moment(10), Finished: moment(9), Health: containers.HealthStarting}},
		{"healthy when it ended", container.State{Status: "exited", StartedAt: at(10), FinishedAt: at(20),
			Health: &container.Health{Status: "healthy", Log: []*container.HealthcheckResult{check(15, 0, "")}}},
			containers.Status{State: containers.StateExited, Started: moment(10), Finished: moment(20)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Status(container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{
				ID: "id", Name: "/name", Image: "sha256:x", Created: at(1), State: &test.state,
			}, Config: &container.Config{Image: "i:1"}})
			test.want.ID, test.want.Name, test.want.Image, test.want.ImageID = "id", "name", "i:1", "sha256:x"
			test.want.Created, test.want.Networks = moment(1), map[string]string{}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusWhatIsAttached(t *testing.T) {
	got := Status(container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{},
		Mounts: []container.MountPoint{
			{Type: mount.TypeVolume, Name: "b"}, {Type: mount.TypeBind, Source: "/x"}, {Type: mount.TypeVolume, Name: "a"},
		},
		NetworkSettings: &container.NetworkSettings{
			NetworkSettingsBase: container.NetworkSettingsBase{ //nolint:staticcheck // of this client, whose successor will have another name for it
				Ports: nat.PortMap{
					"80/tcp": {{HostIP: "::", HostPort: "8080"}, {HostIP: "0.0.0.0", HostPort: "8080"}}, "90/tcp": nil,
				}},
			Networks: map[string]*network.EndpointSettings{"four": {IPAddress: "10.0.0.1"}, "six": {GlobalIPv6Address: "fd::1"}},
		},
	})
	want := containers.Status{
		Volumes:  []string{"a", "b"},
		Networks: map[string]string{"four": "10.0.0.1", "six": "fd::1"},
		Ports: []containers.Binding{
			{HostIP: "0.0.0.0", Host: 8080, Container: 80, Protocol: "tcp"},
			{HostIP: "::", Host: 8080, Container: 80, Protocol: "tcp"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
