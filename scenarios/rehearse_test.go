package scenarios

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rehearsed is a stack whose first helper does what is asked for.
const rehearsed = `
apps: {a: {}, b: {}}
services:
  init: {image: ` + actorImage + `, command: [INIT, /data/log, once], volumes: ["data:/data"], network_mode: none}
  db: {image: ` + actorImage + `, command: [trap, SIGTERM, 0s, exit, "0"], volumes: ["data:/data"]}
  setup: {image: ` + actorImage + `, command: [sleep, 2s, then, write, "/data/${APP}", done], volumes: ["data:/data"]}
volumes: {data: {}}
stages:
  - {name: init, run: init}
  - {name: db, start: db, ready: {log: {service: db, match: ready}}}
  - {name: setup, run: setup, each: apps}
`

type rehearsal struct {
	Checks        []struct{ Step, Moment, Killed, Verdict, Detail string }
	NotRepeatable []string `json:"not_repeatable"`
	Ignored       []string
	Runs, Kills   int
}

// rehearse runs the command and fails the test if anything of the copy is left.
func (s *stack) rehearse(code int, args ...string) (rehearsal, string) {
	s.t.Helper()
	out := s.stagehand(code, append([]string{"rehearse", "--json"}, args...)...)
	var report rehearsal
	begin := strings.Index(out, "{")
	if begin < 0 || json.NewDecoder(strings.NewReader(out[begin:])).Decode(&report) != nil {
		s.t.Fatalf("no report:\n%s", out)
	}
	for _, kind := range []string{"container", "volume", "network"} {
		args := []string{kind, "ls", "--quiet", "--filter", "name=" + s.name + "-rehearse"}
		if kind == "container" {
			args = append(args, "--all")
		}
		if left := s.docker(args...); left != "" {
			s.t.Errorf("left on the engine: %s %s", kind, left)
		}
	}
	return report, out
}

func TestRehearseNamesTheHelperThatAppendsBlindly(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-append")
	s.file("stagehand.yaml", strings.Replace(rehearsed, "INIT", "append", 1))
	report, out := s.rehearse(3)
	if !slices.Equal(report.NotRepeatable, []string{"init"}) {
		t.Errorf("not repeatable: %v", report.NotRepeatable)
	}
	if !strings.Contains(out, "bytes in place of 5") {
		t.Errorf("it does not say what differs:\n%s", out)
	}
	for _, c := range report.Checks {
		if c.Killed == "runner" && c.Verdict == "different" || c.Step != "init" && c.Verdict == "not repeatable" {
			t.Errorf("%+v", c)
		}
	}
}

func TestRehearsePassesOnWhatMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-write")
	s.file("stagehand.yaml", strings.Replace(rehearsed, "INIT", "write", 1))
	report, out := s.rehearse(0)
	killed := 0
	for _, c := range report.Checks {
		if c.Verdict == "same" {
			killed++
		}
		if c.Step == "setup/a" && c.Moment == "middle" && c.Verdict != "same" {
			t.Errorf("a helper of 2 s was not killed in the middle: %+v", c)
		}
	}
	if killed < len(report.Checks)-2 || report.Kills < killed {
		t.Errorf("%d of %d boundaries, %d kills:\n%s", killed, len(report.Checks), report.Kills, out)
	}
}

func TestRehearsePassesOnHAF(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	path, err := filepath.Abs("../examples/haf/stagehand.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, "re-haf", path)
	s.env = []string{"HAF_BLOCKS=200"}
	report, out := s.rehearse(0)
	if len(report.NotRepeatable) > 0 || report.Kills < 40 {
		t.Errorf("%d kills, not repeatable: %v\n%s", report.Kills, report.NotRepeatable, out)
	}
}

func TestRehearseRefusesWhatItCannotCopy(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-external")
	s.file("stagehand.yaml", `
services: {init: {image: `+actorImage+`, command: [exit, "0"], volumes: ["theirs:/data"], network_mode: none}}
volumes: {theirs: {external: true}}
stages: [{name: init, run: init}]
`)
	out := s.stagehand(2, "rehearse")
	if !strings.Contains(out, "the external volume theirs") || !strings.Contains(out, "--allow-external") {
		t.Errorf("it says:\n%s", out)
	}
}
