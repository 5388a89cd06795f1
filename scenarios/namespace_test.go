package scenarios

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharing is a service, and helpers that dial it from one network, or from two; the last one not before it is let: see open.
const sharing = `
apps: {ada: {}, bob: {}, cyd: {}}
services:
  db: {image: ` + actorImage + `, command: [listen, ":5432", hello], networks: [back]}
  cache: {image: ` + actorImage + `, command: [listen, ":6379", cached], networks: [front]}
  setup: {image: ` + actorImage + `, command: [dial, "db:5432", then, dial, "cache:6379"], networks: [back, front]}
  first: {image: ` + actorImage + `, command: [await-file, /data/open, then, dial, "db:5432"], volumes: ["data:/data"], networks: [back]}
volumes: {data: {}}
networks: {back: {}, front: {}}
stages:
  - {name: db, start: db, ready: {tcp: "db:5432"}}
  - {name: cache, start: cache, ready: {tcp: "cache:6379"}}
  - {name: setup, run: setup, each: apps, network: shared, keep: 1h}
  - {name: first, run: first, network: shared}
`

// lenders are the containers that lend their network, each with its state.
func (s *stack) lenders() string {
	s.t.Helper()
	return s.docker("ps", "--all", "--filter", "label=dev.stagehand.stack="+s.name, "--filter", "label=dev.stagehand.role=namespace", "--format", "{{.Names}} {{.State}}")
}

func TestHelpersOfAStageShareANetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t, "net")
	s.file("stagehand.yaml", sharing)
	name := s.name + "-namespace-" + s.name + "_back"
	began := time.Now()

	r := s.startUp(nil)
	s.running()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.done
	if got := strings.Split(s.lenders(), "\n"); len(got) != 2 || !slices.Contains(got, name+" running") { // one for each set of networks
		t.Errorf("after the runner's death: %q", got)
	}
	if out := s.stagehand(0, "ps"); strings.Contains(out, "namespace") {
		t.Errorf("ps:\n%s", out)
	}
	run := regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{6}`).FindString(r.said())
	out, err := command(t.Context(), s.env, program, "logs", "-p", s.name, "--ledger", filepath.Join(s.dir, "ledger.db"), "--run", run)
	if err != nil || !strings.Contains(out, "hello") || strings.Contains(out, "namespace") {
		t.Errorf("logs: %v\n%s", err, out)
	}
	if out := s.stagehand(0, "report"); !strings.Contains(out, run) || strings.Contains(out, name) {
		t.Errorf("report:\n%s", out)
	}
	eventually(t, func() string { // the lease ends a moment after its holder
		if out := (made{s}).gc("--dry-run"); !strings.Contains(out, "lends its network to a helper that still runs") {
			return "gc:\n" + out
		}
		return ""
	})
	s.open()
	s.stagehand(0, "up")
	if got := s.lenders(); got != "" {
		t.Errorf("at the end: %q", got)
	}
	events := s.events(began)
	started := map[string]int{}
	for _, e := range events {
		if e.Action == "start" {
			started[e.name()]++
		}
	}
	if started[name] != 1 || started[s.name+"-first-1"] != 1 {
		t.Errorf("started: %v", started)
	}
	timeline{t, events}.diedWell("setup", "first")
	for _, app := range []string{"ada", "bob", "cyd"} {
		if mode := s.docker("inspect", "--format", "{{.HostConfig.NetworkMode}}", s.name+"-"+app+"-setup-1"); !strings.HasPrefix(mode, "container:") {
			t.Errorf("%s has a network of its own: %s", app, mode)
		}
	}
	if out := s.stagehand(0, "up"); !strings.Contains(out, "nothing new to do") {
		t.Errorf("another up:\n%s", out)
	}
}
