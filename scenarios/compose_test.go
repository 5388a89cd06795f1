package scenarios

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// composeTool is the real Docker Compose, which scripts/test-tools.sh builds.
func composeTool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bench/bin/docker-compose")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no Docker Compose to try it with: %v (make test-tools brings it)", err)
	}
	return path
}

// compose runs Docker Compose on the stack and fails the test if its exit code
// is another one.
func (s *stack) compose(code int, args ...string) string {
	s.t.Helper()
	all := []string{"-p", s.name}
	for _, f := range s.files {
		all = append(all, "-f", f)
	}
	return s.composeOn(code, append(all, args...)...)
}

// composeOn is compose without the files.
func (s *stack) composeOn(code int, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := command(ctx, s.env, composeTool(s.t), args...)
	if got := exitCode(err); got != code {
		s.t.Fatalf("docker compose %s: exit %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// containersOf are the IDs of the stack's containers by Compose's service name.
func (s *stack) containersOf() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	list := s.docker("ps", "--all", "--no-trunc", "--filter", "label=com.docker.compose.project="+s.name, "--format", `{{.Label "com.docker.compose.service"}} {{.ID}}`)
	for line := range strings.Lines(list) {
		service, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[service] = id
	}
	return out
}

// label of a container, network or volume.
func (s *stack) labels(kind, name string) map[string]string {
	s.t.Helper()
	format := "{{json .Labels}}"
	if kind == "container" {
		format = "{{json .Config.Labels}}"
	}
	var labels map[string]string
	if err := json.Unmarshal([]byte(s.docker(kind, "inspect", "--format", format, name)), &labels); err != nil {
		s.t.Fatal(err)
	}
	return labels
}

// states are Compose's own words for the stack's services, of ended ones too.
func (s *stack) states() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(s.compose(0, "ps", "--all", "--format", "json")) {
		var row struct{ Service, State string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			continue // a warning
		}
		out[row.Service] = row.State
	}
	return out
}

func (s *stack) wantStates(want map[string]string) {
	s.t.Helper()
	got := s.states()
	for service, state := range want {
		if got[service] != state {
			s.t.Errorf("docker compose says that %s is %q, want %q", service, got[service], state)
		}
	}
	for service, state := range got {
		if want[service] == "" {
			s.t.Errorf("docker compose has %s (%s)", service, state)
		}
	}
}

// shared is a stack that both tools can read: a database with a volume, a
// helper and a service behind it, with much of what the hash of a service covers.
const shared = `
services:
  db:
    image: ` + actorImage + `
    command: [http, ":80"]
    healthcheck: {test: [CMD, /actor, print, fine], interval: 1s, retries: 20}
    volumes: ["data:/data", {type: bind, source: ., target: /here, read_only: true}, {type: bind, source: ., target: /there, bind: {create_host_path: false, propagation: rprivate}}]
    environment: {TEXT: "a<b & c", EMPTY: "", NONE: null}
    labels: {own: "label"}
    stop_grace_period: 1s
    deploy: {replicas: 1, resources: {limits: {memory: 64M}}}
    cap_drop: [ALL]
    ulimits: {nofile: {soft: 100, hard: 200}}
  migrate:
    image: ` + actorImage + `
    command: [print, migrated]
    depends_on: {db: {condition: service_healthy, restart: true}}
  web:
    image: ` + actorImage + `
    command: [print, "hello from web", then, trap, SIGTERM, 0s, exit, "0"]
    depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_healthy}}
    env_file: [a.env, {path: missing.env, required: false}]
    networks: {default: {aliases: [front]}, back: null}
    ports: ["127.0.0.1::8080"]
    expose: ["9090"]
    tmpfs: [/tmp]
    init: true
    user: "0:0"
    sysctls: {net.ipv4.ip_unprivileged_port_start: 0}
    extra_hosts: ["other:127.0.0.1"]
    profiles: []
volumes: {data: {labels: {kept: "yes"}}}
networks: {back: {internal: true, driver_opts: {com.docker.network.bridge.name: ""}}}
`

func newShared(t *testing.T, name string) *stack {
	t.Helper()
	composeTool(t)
	s := newStack(t, name)
	s.file("compose.yaml", shared)
	if err := os.WriteFile(filepath.Join(s.dir, "a.env"), []byte("FROM_FILE=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDockerComposeWorksOnAStackThatStagehandBroughtUp(t *testing.T) {
	t.Parallel()
	s := newShared(t, "ours")
	s.stagehand(0, "up")
	made := s.containersOf()
	if len(made) != 2 || made["db"] == "" || made["web"] == "" {
		t.Fatalf("stagehand made %v", made)
	}
	s.wantStates(map[string]string{"db": "running", "web": "running"})
	if out := s.compose(0, "logs", "web"); !strings.Contains(out, "hello from web") {
		t.Errorf("docker compose logs: %s", out)
	}
	if out := s.compose(0, "exec", "-T", "db", "/actor", "print", "inside"); strings.TrimSpace(out) != "inside" {
		t.Errorf("docker compose exec: %q", out)
	}
	// Without a file it reads the labels.
	s.composeOn(0, "-p", s.name, "stop")
	s.wantStates(map[string]string{"db": "exited", "web": "exited"})
	s.composeOn(0, "-p", s.name, "start")
	s.wantStates(map[string]string{"db": "running", "web": "running"})
	s.composeOn(0, "-p", s.name, "restart", "web")

	// Its own up makes the helper anew, which is gone, and nothing else.
	out := s.compose(0, "up", "--detach", "--wait")
	after := s.containersOf()
	for service, id := range made {
		if after[service] != id {
			t.Errorf("docker compose up made %s anew:\n%s", service, out)
		}
	}
	s.stagehand(0, "up")
	if again := s.containersOf(); again["db"] != made["db"] || again["web"] != made["web"] {
		t.Errorf("stagehand up after docker compose up: %v, before %v", again, made)
	}
	s.compose(0, "down")
	if left := s.containersOf(); len(left) > 0 {
		t.Errorf("docker compose down left %v", left)
	}
	for kind, want := range map[string]int{"network": 0, "volume": 1} {
		left := strings.Fields(s.docker(kind, "ls", "--quiet", "--filter", "label=com.docker.compose.project="+s.name))
		if len(left) != want {
			t.Errorf("docker compose down left %d of kind %s, want %d: %v", len(left), kind, want, left)
		}
	}
	s.compose(0, "down", "--volumes")
	if left := s.docker("volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+s.name); left != "" {
		t.Errorf("docker compose down --volumes left %s", left)
	}
}

// TestLabelsAreThoseThatDockerComposeGives makes one file by both tools.
func TestLabelsAreThoseThatDockerComposeGives(t *testing.T) {
	t.Parallel()
	ours, theirs := newShared(t, "labels"), newShared(t, "labels-theirs")
	theirs.files = ours.files // the labels tell them
	t.Cleanup(func() { theirs.compose(0, "down", "--volumes") })
	ours.stagehand(0, "up", "--keep-helpers")
	theirs.compose(0, "up", "--detach", "--wait")
	rename := func(s *stack) map[string]map[string]string {
		all := map[string]map[string]string{}
		note := func(kind, name, key string) {
			all[key] = map[string]string{}
			for label, value := range s.labels(kind, name) {
				if strings.HasPrefix(label, "dev.stagehand.") || label == "com.docker.compose.version" { // a development build has none
					continue
				}
				if label == "com.docker.compose.depends_on" { // in no order
					parts := strings.Split(value, ",")
					slices.Sort(parts)
					value = strings.Join(parts, ",")
				}
				all[key][label] = strings.ReplaceAll(value, s.name, "NAME")
			}
		}
		for service, id := range s.containersOf() {
			note("container", id, service)
		}
		for _, network := range []string{"default", "back"} {
			note("network", s.name+"_"+network, "network "+network)
		}
		note("volume", s.name+"_data", "volume data")
		return all
	}
	got, want := rename(ours), rename(theirs)
	// A helper that is gone must not be depended on: see compose/specs.
	want["web"]["com.docker.compose.depends_on"] = "db:service_healthy:false"
	// Hashes of objects cover their names.
	for _, object := range []string{"network default", "network back", "volume data"} {
		if got[object]["com.docker.compose.config-hash"] == "" {
			t.Errorf("%s has no hash", object)
		}
		delete(got[object], "com.docker.compose.config-hash")
		delete(want[object], "com.docker.compose.config-hash")
	}
	for _, key := range []string{"db", "migrate", "web", "network default", "network back", "volume data"} {
		for label, value := range want[key] {
			if got[key][label] != value {
				t.Errorf("%s: %s is %q, docker compose says %q", key, label, got[key][label], value)
			}
		}
		for label, value := range got[key] {
			if _, both := want[key][label]; !both {
				t.Errorf("%s: %s is %q, docker compose has no such label", key, label, value)
			}
		}
	}
	hashes := ours.compose(0, "config", "--hash", "db,migrate")
	for service, labels := range map[string]map[string]string{"db": got["db"], "migrate": got["migrate"]} {
		if line := service + " " + labels["com.docker.compose.config-hash"]; !strings.Contains(hashes, line) {
			t.Errorf("%q is not what docker compose config --hash says:\n%s", line, hashes)
		}
	}
}

func TestStagehandTakesOverWhatDockerComposeBroughtUp(t *testing.T) {
	t.Parallel()
	s := newShared(t, "theirs")
	other := newShared(t, "theirs-too") // has the name in its own: nobody's business
	other.compose(0, "up", "--detach", "--wait")
	t.Cleanup(func() { other.compose(0, "down", "--volumes") })
	foreign := other.containersOf()

	s.compose(0, "up", "--detach", "--wait")
	made := s.containersOf()
	if out := s.stagehand(0, "plan"); strings.Contains(out, "create") || !strings.Contains(out, "docker compose ran it") {
		t.Errorf("stagehand plan:\n%s", out)
	}
	s.unchanged("stagehand up", made, s.stagehand(0, "up"))
	for command, want := range map[string]string{
		"ps": "web", "status": "adopted",
	} {
		if out := s.stagehand(0, command); !strings.Contains(out, want) {
			t.Errorf("stagehand %s does not say %q:\n%s", command, want, out)
		}
	}
	files := s.files
	s.files = nil // after logs, -f means --follow
	if out := s.stagehand(0, "logs", "web"); !strings.Contains(out, "hello from web") {
		t.Errorf("stagehand logs:\n%s", out)
	}
	s.files = files
	if out := s.stagehand(0, "exec", "db", "/actor", "print", "inside"); strings.TrimSpace(out) != "inside" {
		t.Errorf("stagehand exec: %q", out)
	}
	s.stagehand(0, "stop", "web")
	s.wantStates(map[string]string{"db": "running", "migrate": "exited", "web": "exited"})
	s.stagehand(0, "start", "web")
	s.unchanged("docker compose up", made, s.compose(0, "up", "--detach", "--wait"))
	s.unchanged("stagehand up again", made, s.stagehand(0, "up"))

	// One service changes: it is made anew, and what stands behind it stays.
	s.file("override.yaml", "services: {web: {environment: {MORE: yes}}}\n")
	out := s.stagehand(0, "up")
	after := s.containersOf()
	if after["db"] != made["db"] || after["migrate"] != made["migrate"] || after["web"] == made["web"] {
		t.Errorf("web changed; before %v, after %v\n%s", made, after, out)
	}
	if !strings.Contains(out, "made by docker compose, and changed since") {
		t.Errorf("the output does not say why:\n%s", out)
	}
	s.unchanged("docker compose up after that", after, s.compose(0, "up", "--detach", "--wait"))

	// A helper whose container is gone is not known to have run.
	s.docker("rm", after["migrate"])
	if out := s.stagehand(0, "up"); !strings.Contains(out, "never ran") {
		t.Errorf("the helper did not run:\n%s", out)
	}
	s.stagehand(0, "down", "--volumes")
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{kind, "ls", "--quiet", "--filter", "label=com.docker.compose.project=" + s.name}
		if kind == "container" {
			args = append(args, "--all")
		}
		if left := s.docker(args...); left != "" {
			t.Errorf("stagehand down left %s %s", kind, left)
		}
	}
	other.unchanged("all that", foreign, "")
}

// composeV5 runs Docker Compose v5 on the stack, and skips the test where there is none.
func (s *stack) composeV5(args ...string) string {
	s.t.Helper()
	v5, err := filepath.Abs("../bench/bin/docker-compose5")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := os.Stat(v5); err != nil {
		s.t.Skipf("no Docker Compose v5 to try it with: %v (make test-tools brings it)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := command(ctx, s.env, v5, append([]string{"-p", s.name, "-f", s.files[0]}, args...)...)
	if err != nil {
		s.t.Fatalf("docker compose v5 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TestStagehandTakesOverWhatDockerComposeV5BroughtUp: it hashes bind mounts otherwise than v2, and db has one.
func TestStagehandTakesOverWhatDockerComposeV5BroughtUp(t *testing.T) {
	t.Parallel()
	s := newShared(t, "theirs5")
	s.composeV5("up", "--detach", "--wait")
	made := s.containersOf()
	if len(made) != 3 {
		t.Fatalf("docker compose v5 made %v", made)
	}
	s.unchanged("stagehand up", made, s.stagehand(0, "up"))
	s.unchanged("docker compose v5 up", made, s.composeV5("up", "--detach", "--wait"))
}

// TestPreStart: what Docker Compose v5 does before it starts a service, in containers that mount what the service mounts, is done.
func TestPreStart(t *testing.T) {
	t.Parallel()
	s := newStack(t, "prestart")
	s.file("compose.yaml", `services:
  web:
    image: `+actorImage+`
    command: [trap, SIGTERM, 0s, exit, "0"]
    volumes: [/own, "data:/data"]
    environment: {WHO: web}
    pre_start:
      - {command: [append, /own/log, first]}
      - {command: [append, /own/log, second, then, append, /data/log, kept]}
volumes: {data: }
`)
	log := func(path string) string {
		t.Helper()
		return s.docker("exec", s.name+"-web-1", "/actor", "cat", path)
	}
	s.composeV5("up", "--detach", "--wait")
	theirs := log("/own/log")
	s.composeV5("down", "--volumes")
	s.stagehand(0, "up")
	if ours := log("/own/log"); ours != theirs || ours != "first\nsecond" {
		t.Errorf("done before the start: %q, by docker compose %q", ours, theirs)
	}
	s.stagehand(0, "restart")
	if got := log("/own/log"); got != "first\nsecond\nfirst\nsecond" {
		t.Errorf("after a restart: %q", got)
	}
	if got := log("/data/log"); got != "kept\nkept" {
		t.Errorf("in the volume: %q", got)
	}
	if left := s.named(); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

// unchanged fails the test unless the stack has these very containers.
func (s *stack) unchanged(by string, want map[string]string, said string) {
	s.t.Helper()
	if got := s.containersOf(); !maps.Equal(got, want) {
		s.t.Errorf("after %s: %v, before %v\n%s", by, got, want, said)
	}
}

func TestExportedStacksAreDockerComposes(t *testing.T) {
	t.Parallel()
	composeTool(t)
	for _, example := range []string{"hello", "haf"} {
		s := &stack{t: t, name: "export-" + example, dir: t.TempDir(), files: []string{"../examples/" + example + "/stagehand.yaml"}}
		file := filepath.Join(s.dir, "compose.yaml")
		if out, err := command(t.Context(), nil, program, "export", "compose", "-f", s.files[0], "-o", file); err != nil {
			t.Fatalf("%s: %v\n%s", example, err, out)
		}
		s.files = []string{file}
		s.compose(0, "config", "--quiet")
	}

	// What an export says is what docker compose does.
	s := newStack(t, "exported")
	s.file("stagehand.yaml", `
name: exported
apps: {a: {}, b: {}}
services:
  db: {image: `+actorImage+`, command: [http, ":80"], healthcheck: {test: [CMD, /actor, print, fine], interval: 1s}}
  first: {image: `+actorImage+`, command: [print, "for ${APP}"], network_mode: none}
  api: {image: `+actorImage+`, command: [trap, SIGTERM, 0s, exit, "0"]}
stages:
  - {name: db, start: db, ready: healthy}
  - {name: first, run: first, each: apps, order: sequential}
  - {name: api, start: api, each: apps, per_app: true}
`)
	file := filepath.Join(s.dir, "compose.yaml")
	s.stagehand(0, "export", "compose", "-o", file)
	s.files = []string{file}
	t.Cleanup(func() { s.compose(0, "down") })
	s.compose(0, "up", "--detach", "--wait")
	s.wantStates(map[string]string{"db": "running", "a-first": "exited", "b-first": "exited", "a-api": "running", "b-api": "running"})
	at := func(service, when string) string {
		return s.docker("inspect", "--format", "{{.State."+when+"}}", s.name+"-"+service+"-1")
	}
	for _, pair := range [][2]string{{"a-first", "b-first"}, {"a-first", "a-api"}, {"b-first", "b-api"}} {
		if ended, started := at(pair[0], "FinishedAt"), at(pair[1], "StartedAt"); ended > started {
			t.Errorf("%s ended at %s, and %s began at %s", pair[0], ended, pair[1], started)
		}
	}
}

// named are the IDs of the stack's containers by their names.
func (s *stack) named() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(s.docker("ps", "--all", "--no-trunc", "--filter", "label=com.docker.compose.project="+s.name, "--format", "{{.Names}} {{.ID}}")) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[strings.TrimPrefix(name, s.name+"-")] = id
	}
	return out
}

// Either tool knows the containers that the other one made of a service that has several, and makes or
// removes those alone that are missing or too many.
func TestReplicasAreDockerComposes(t *testing.T) {
	t.Parallel()
	composeTool(t)
	s := newStack(t, "replicas")
	s.file("compose.yaml", `services:
  seed: {image: `+actorImage+`, command: [print, done], scale: 2}
  web:
    image: `+actorImage+`
    command: [trap, SIGTERM, 0s, exit, "0"]
    deploy: {replicas: 3}
    healthcheck: {test: [CMD, /actor, exit, "0"], interval: 1s}
    depends_on: {seed: {condition: service_completed_successfully}}
  api: {image: `+actorImage+`, command: [trap, SIGTERM, 0s, exit, "0"], depends_on: {web: {condition: service_healthy}}}
`)
	want := func(by string, before map[string]string, names ...string) map[string]string {
		t.Helper()
		now := s.named()
		for name := range now { // helpers of Docker Compose's stay
			if strings.HasPrefix(name, "seed-") {
				delete(now, name)
			}
		}
		if got := slices.Sorted(maps.Keys(now)); !slices.Equal(got, names) {
			t.Errorf("after %s: %v, want %v", by, got, names)
		}
		for name, id := range before {
			if now[name] != "" && now[name] != id {
				t.Errorf("%s made %s anew", by, name)
			}
		}
		return now
	}
	s.stagehand(0, "up")
	made := want("stagehand up", nil, "api-1", "web-1", "web-2", "web-3")
	s.compose(0, "up", "--detach", "--wait")
	made = want("docker compose up", made, "api-1", "web-1", "web-2", "web-3")
	s.compose(0, "up", "--detach", "--wait", "--scale", "web=4")
	made = want("docker compose up --scale web=4", made, "api-1", "web-1", "web-2", "web-3", "web-4")
	if out := s.stagehand(0, "plan"); !strings.Contains(out, "remove first: "+s.name+"-web-4, web is to have 3") {
		t.Errorf("plan: %s", out)
	}
	s.stagehand(0, "up", "--scale", "web=2")
	made = want("stagehand up --scale web=2", made, "api-1", "web-1", "web-2")
	s.stagehand(0, "up")
	made = want("stagehand up", made, "api-1", "web-1", "web-2", "web-3")
	if out := s.stagehand(0, "exec", "--index", "3", "web", "/actor", "print", "third"); strings.TrimSpace(out) != "third" {
		t.Errorf("exec: %q", out)
	}
	s.compose(0, "stop", "web")
	s.wantStates(map[string]string{"api": "running", "web": "exited", "seed": "exited"})
	s.stagehand(0, "start", "web")
	s.wantStates(map[string]string{"api": "running", "web": "running", "seed": "exited"})
	want("stop and start", made, "api-1", "web-1", "web-2", "web-3")
	s.compose(0, "down")

	s.compose(0, "up", "--detach", "--wait", "--scale", "web=2")
	made = want("docker compose up", nil, "api-1", "web-1", "web-2")
	s.stagehand(0, "up")
	want("stagehand up on that", made, "api-1", "web-1", "web-2", "web-3")
	s.stagehand(0, "down")
	want("stagehand down", nil)
}
