package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHelloIsUpAtOnceAndDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../examples/hello/stagehand.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, "hello", path)
	s.file("ports.yaml", fmt.Sprintf("apps: {greeter: {port: %d}, teller: {port: %d}}\n", freePort(t), freePort(t)))
	s.stagehand(0, "up")
	line := s.timeline(s.began)
	line.before("die", "storage", "start", "cluster")
	line.before("die", "bootstrap", "start", "setup")
	line.before("die", "setup/greeter", "start", "api/greeter")
	again := time.Now()
	s.stagehand(0, "up")
	if events := s.events(again); len(events) > 0 {
		t.Errorf("the second up made the engine do %d things, first: %+v", len(events), events[0])
	}
}

func TestAHolderThatMustBeKilledIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		grace string
		code  int
	}{{"2s", 3}, {"10s", 0}} {
		t.Run(test.grace, func(t *testing.T) {
			s := newStack(t, "grace-"+test.grace)
			s.file("stagehand.yaml", `
services:
  builder: # ignores SIGTERM for 5 s
    image: `+actorImage+`
    command: [trap, SIGTERM, 5s, exit, "0"]
    volumes: ["data:/data"]
    stop_grace_period: `+test.grace+`
    network_mode: none
  instance: {image: `+actorImage+`, command: [forever], volumes: ["data:/data"], network_mode: none}
volumes: {data: {}}
stages:
  - {name: builder, run: builder, exclusive: data, until: {log: {service: builder, match: ready}}}
  - {name: instance, start: instance}
`)
			out := s.stagehand(test.code, "up")
			started := len(s.timeline(s.began).find("start", "instance"))
			if test.code == 0 {
				if started != 1 {
					t.Errorf("the instance started %d times:\n%s", started, out)
				}
				return
			}
			if started != 0 || !strings.Contains(out, "did not shut down cleanly") || !strings.Contains(out, "SIGKILL") {
				t.Errorf("the instance started %d times; the output:\n%s", started, out)
			}
		})
	}
}

func TestEveryFailureOfAStageIsNamed(t *testing.T) {
	t.Parallel()
	s := newStack(t, "failures")
	s.file("stagehand.yaml", `
apps: {a: {code: 4}, b: {code: 0}, c: {code: 5}}
services:
  job: {image: `+actorImage+`, command: [print, "working for ${APP}", then, exit, "${APP_CODE}"], network_mode: none}
  after: {image: `+actorImage+`, command: [forever]}
stages:
  - {name: jobs, run: job, each: apps}
  - {name: after, start: after}
`)
	out := s.stagehand(3, "up")
	for _, want := range []string{"jobs/a", "exit 4", "working for a", "jobs/c", "exit 5"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not say %q:\n%s", want, out)
		}
	}
	if n := len(s.timeline(s.began).find("start", "after")); n != 0 {
		t.Error("the next stage began")
	}
}

func TestAFailedRunTakesDownWhatItMadeWhereAsked(t *testing.T) {
	t.Parallel()
	s := newStack(t, "down")
	s.file("stagehand.yaml", `
services:
  one: {image: `+actorImage+`, command: [trap, SIGTERM, 0s, exit, "0"]}
  two: {image: `+actorImage+`, command: [trap, SIGTERM, 0s, exit, "0"]}
  bad: {image: `+actorImage+`, command: [exit, "9"]}
stages:
  - {name: one, start: one, ready: {log: {service: one, match: ready}}}
  - {name: two, start: two, ready: {log: {service: two, match: ready}}}
  - {name: bad, run: bad}
`)
	s.stagehand(3, "up", "--on-failure", "down")
	s.timeline(s.began).before("die", "two", "die", "one")
	if left := s.docker("ps", "--all", "--quiet", "--filter", "label=dev.stagehand.stack="+s.name); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestAComposeFileWithoutStagesIsAStack(t *testing.T) {
	t.Parallel()
	s := newStack(t, "compose")
	s.file("compose.yaml", `
services:
  db: {image: `+actorImage+`, command: [http, ":80"], healthcheck: {test: [CMD, /actor, print, fine], interval: 1h}}
  migrate: {image: `+actorImage+`, command: [print, migrated], depends_on: {db: {condition: service_healthy}}}
  web: {image: `+actorImage+`, command: [forever], depends_on: {migrate: {condition: service_completed_successfully}}}
`)
	s.stagehand(0, "up")
	line := s.timeline(s.began)
	line.before("start", "db", "start", "migrate")
	line.before("die", "migrate", "start", "web")
	if len(line.find("destroy", "migrate")) != 1 {
		t.Error("the one-shot is not gone")
	}
	if took := time.Since(s.began); took > time.Hour/2 {
		t.Errorf("waited %s for a healthcheck with an interval of an hour", took)
	}
	again := time.Now()
	s.stagehand(0, "up")
	if n := len(s.events(again)); n > 1 { // the check itself is an exec on some engines
		for _, e := range s.events(again) {
			if !strings.HasPrefix(e.Action, "exec_") {
				t.Errorf("the second up made the engine %s %s", e.Action, e.name())
			}
		}
	}
}

// TestWhatTheEngineCannotMake: a volume whose device is not there fails the step that mounts it, by name and
// with the engine's words, and nobody else.
func TestWhatTheEngineCannotMake(t *testing.T) {
	t.Parallel()
	s := newStack(t, "unmade")
	s.file("stagehand.yaml", `
services:
  bad: {image: `+actorImage+`, command: [print, never], volumes: ["gone:/actor"]}
  good: {image: `+actorImage+`, command: [forever]}
volumes:
  gone: {driver_opts: {type: none, o: bind, device: /no/such/folder}}
stages:
  - {name: bad, run: bad, on_failure: continue}
  - {name: good, start: good}
`)
	out := s.stagehand(3, "up")
	for _, want := range []string{"bad", "could not be made", "no such file or directory"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	s.onlyServices(1)
}
