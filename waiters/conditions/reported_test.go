package conditions_test

import (
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

func TestReported(t *testing.T) {
	healthy := containers.Status{State: containers.StateRunning, Health: containers.HealthHealthy}
	starting := containers.Status{State: containers.StateRunning, Health: containers.HealthStarting}
	ended := containers.Status{State: containers.StateExited, Health: containers.HealthHealthy}
	web := conditions.Healthy{Service: "web"}
	for _, c := range []struct {
		name      string
		condition waiters.Condition
		status    containers.Status
		want      bool
	}{
		{"healthy", web, healthy, true},
		{"with a timeout", waiters.Timed{Condition: web, Pace: waiters.Pace{Timeout: time.Minute}}, healthy, true},
		{"starting", web, starting, false},
		{"ended", web, ended, false},
		{"of another service", conditions.Healthy{Service: "db"}, healthy, false},
		{"must stay so", waiters.Timed{Condition: web, Pace: waiters.Pace{StableFor: time.Second}}, healthy, false},
		{"nothing that a status tells", conditions.TCP{Address: "web:80"}, healthy, false},
	} {
		if got := waiters.Reported(c.condition, "web", c.status); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
