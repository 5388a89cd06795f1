package scenarios

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARealStacksOrderHolds runs all services of the real HAF API node, with stubs for its images: no edge of its
// depends_on, as Docker Compose reads them, is violated by what the engine tells of its containers.
func TestARealStacksOrderHolds(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("STAGEHAND_CORPUS")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "compose-corpus")
	}
	folder = filepath.Join(folder, "haf_api_node")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the corpus of other projects' Compose files is not here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	text, err := command(ctx, nil, composeTool(t), "--env-file", filepath.Join(folder, ".env.example"), "-f", filepath.Join(folder, "compose.yml"),
		"--profile", "*", "config", "--format", "json")
	if err != nil {
		t.Fatalf("docker compose config: %v\n%s", err, text)
	}
	type dependency struct {
		Condition string `json:"condition"`
		Restart   bool   `json:"restart,omitempty"`
		Required  bool   `json:"required"`
	}
	type service struct {
		Image       string                `json:"image"`
		Command     []string              `json:"command"`
		NetworkMode string                `json:"network_mode"`
		Healthcheck map[string]any        `json:"healthcheck,omitempty"`
		DependsOn   map[string]dependency `json:"depends_on,omitempty"`
	}
	var file struct {
		Services map[string]*service `json:"services"`
	}
	if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &file); err != nil { // warnings stand before it
		t.Fatal(err)
	}
	const services, edges = 78, 91
	helpers, found := 0, 0
	for _, s := range file.Services {
		s.Image, s.NetworkMode, s.Command, s.Healthcheck = actorImage, "none", []string{"forever"}, nil
	}
	for _, s := range file.Services {
		for needed, on := range s.DependsOn {
			found++
			switch other := file.Services[needed]; on.Condition {
			case "service_completed_successfully":
				if other.Command[0] == "forever" {
					helpers++
				}
				other.Command = []string{"sleep", "100ms"}
			case "service_healthy":
				other.Healthcheck = map[string]any{"test": []string{"CMD", "/actor", "print", "fine"}, "interval": "1s", "timeout": "5m", "retries": 100}
			}
		}
	}
	if len(file.Services) != services || found != edges {
		t.Errorf("%d services with %d edges, want %d and %d", len(file.Services), found, services, edges)
	}
	stub, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, "haf-api")
	s.file("compose.yaml", string(stub))
	s.stagehand(0, "up")
	s.onlyServices(len(file.Services) - helpers)
	line := s.timeline(s.began)
	for name, service := range file.Services {
		for needed, on := range service.DependsOn {
			switch on.Condition {
			case "service_started":
				line.before("start", needed, "start", name)
			case "service_completed_successfully":
				line.before("die", needed, "start", name)
				line.diedWell(needed)
			case "service_healthy":
				line.healthyBefore(needed, name)
			}
		}
	}
}

// healthyBefore fails the test unless a healthcheck's test of the one has passed before the other was started.
func (l timeline) healthyBefore(step, later string) {
	l.t.Helper()
	start := l.find("start", later)
	if len(start) == 0 {
		l.t.Errorf("%s was not started", later)
		return
	}
	for _, e := range l.find("exec_die", step) {
		if e.Actor.Attributes["exitCode"] == "0" && e.TimeNano < start[0].TimeNano {
			return
		}
	}
	l.t.Errorf("%s is started before a test of %s has passed", later, step)
}
