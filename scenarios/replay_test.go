package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// replayed is a stack in which a helper fills a volume, a service works on
// it, each app is set up through the service, and one helper needs nothing.
const replayed = `
apps: {a: {what: x}, b: {what: x}}
services:
  init: {image: ` + actorImage + `, command: [append, /data/log, init], volumes: ["data:/data"], network_mode: none}
  db: {image: ` + actorImage + `, command: [listen, ":80", hello], volumes: ["data:/data"]}
  setup: {image: ` + actorImage + `, command: [print, "set up ${APP} ${APP_WHAT}"]}
  check: {image: ` + actorImage + `, command: [print, checked]}
  aside: {image: ` + actorImage + `, command: [print, "${ASIDE:-aside}"], network_mode: none}
volumes: {data: {}}
stages:
  - {name: init, run: init}
  - {name: db, start: db}
  - {name: setup, run: setup, each: apps}
  - {name: check, run: check, each: apps, per_app: true}
  - {name: aside, run: aside, needs: []}
`

// started are the steps whose containers the engine started since then.
func (s *stack) started(since time.Time) string {
	var steps []string
	for _, e := range s.events(since) {
		if e.Action == "start" {
			steps = append(steps, e.step())
		}
	}
	slices.Sort(steps)
	return strings.Join(steps, " ")
}

func TestOneChangedArgumentRunsThatHelperAndWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-argument")
	s.file("stagehand.yaml", replayed)
	s.stagehand(0, "up")
	s.file("stagehand.yaml", strings.Replace(replayed, "b: {what: x}", "b: {what: y}", 1))
	if out := s.stagehand(0, "plan"); !strings.Contains(out, `argv changed: print "set up b x" → print "set up b y"`) {
		t.Errorf("plan:\n%s", out)
	}
	again := time.Now()
	s.stagehand(0, "up")
	if got := s.started(again); got != "check/b setup/b" {
		t.Errorf("started: %s", got)
	}
	again = time.Now()
	s.stagehand(0, "up")
	if got := s.started(again); got != "" {
		t.Errorf("then started: %s", got)
	}
	again = time.Now()
	s.stagehand(0, "up", "--rerun", "aside", "--rerun", "check/a")
	if got := s.started(again); got != "aside check/a" {
		t.Errorf("asked for, started: %s", got)
	}
}

func TestAVolumeMadeAnewByDockerItselfIsNoticed(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-volume")
	s.file("stagehand.yaml", replayed)
	s.stagehand(0, "up")
	volume := s.name + "_data"
	t.Cleanup(func() { s.docker("volume", "rm", "--force", volume) }) // it is not ours any more
	s.docker("rm", "--force", s.name+"-db-1")
	s.docker("volume", "rm", volume)
	s.docker("volume", "create", volume)
	out := s.stagehand(0, "plan")
	for _, want := range []string{"volume is new: " + volume + " was removed and made anew since", "init runs before it"} {
		if !strings.Contains(out, want) {
			t.Errorf("plan does not say %q:\n%s", want, out)
		}
	}
	again := time.Now()
	s.stagehand(0, "up")
	if got := s.started(again); got != "check/a check/b db init setup/a setup/b" {
		t.Errorf("started: %s", got)
	}
	again = time.Now()
	s.stagehand(0, "up")
	if got := s.started(again); got != "" {
		t.Errorf("then started: %s", got)
	}
	s.docker("rm", "--force", s.name+"-db-1")
	s.docker("volume", "rm", volume)
	if out := s.stagehand(0, "plan"); !strings.Contains(out, "volume is gone: "+volume) {
		t.Errorf("plan:\n%s", out)
	}
}

func TestAnImageThatMovedIsNamedWithBothIDs(t *testing.T) {
	t.Parallel()
	s := newStack(t, "re-image")
	tag := "stagehand-re-moving:" + s.name
	s.docker("tag", actorImage, tag)
	t.Cleanup(func() { s.docker("image", "rm", "--force", tag) })
	s.file("stagehand.yaml", strings.ReplaceAll(replayed, "init: {image: "+actorImage, "init: {image: "+tag))
	s.stagehand(0, "up")
	was := s.docker("image", "inspect", "--format", "{{.Id}}", tag)
	// The same files, another configuration: another image.
	container := s.docker("create", "--label", "dev.stagehand.stack="+s.name, actorImage)
	s.docker("commit", "--change", "LABEL moved=yes", container, tag)
	s.docker("rm", container)
	is := s.docker("image", "inspect", "--format", "{{.Id}}", tag)
	want := "image moved: " + tag + " " + short(was) + " → " + short(is)
	if out := s.stagehand(0, "plan"); !strings.Contains(out, want) {
		t.Errorf("plan does not say %q:\n%s", want, out)
	}
}

func short(id string) string { return strings.TrimPrefix(id, "sha256:")[:12] }
