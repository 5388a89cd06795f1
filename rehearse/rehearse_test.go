package rehearse_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/rehearse"
	"github.com/stagehand-dev/stagehand/stages"
)

func load(t *testing.T, text, name string) *stages.Stack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stagehand.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Name: name, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// run rehearses on the memory engine and fails the test if anything is left.
func run(t *testing.T, text string) (rehearse.Report, error) {
	t.Helper()
	return runUntil(t.Context(), t, text, func(string) {})
}

func runUntil(ctx context.Context, t *testing.T, text string, say func(string)) (rehearse.Report, error) {
	t.Helper()
	stack := load(t, text, "re-copy")
	if shared := rehearse.Isolate(stack, load(t, text, "")); len(shared) > 0 {
		t.Fatal(shared)
	}
	engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	defer engine.Halt()
	dir, runs, ledgers := t.TempDir(), 0, 0
	report, err := rehearse.Run(ctx, rehearse.Options{
		Stack: stack, Engine: engine,
		Run: func() string { runs++; return fmt.Sprint("run", runs) },
		Ledger: func(ctx context.Context) (rehearse.Ledger, error) {
			ledgers++
			return ledger.Open(ctx, filepath.Join(dir, fmt.Sprint(ledgers, ".db")))
		},
		Say: func(text string) { t.Log(text); say(text) },
	})
	left, _ := engine.List(t.Context(), nil)
	volumes, _ := engine.ListVolumes(t.Context(), nil)
	if len(left)+len(volumes) > 0 {
		t.Errorf("left: %v %v", left, volumes)
	}
	t.Logf("\n%s", report)
	return report, err
}

const stack = `
name: re-user
apps: {a: {}, b: {}}
services:
  seed: {image: actor, command: [write, /data/seed, x], volumes: ["data:/data"]}
  init: {image: actor, command: [INIT], volumes: ["data:/data"]}
  db: {image: actor, command: [listen, ":80", hello], volumes: ["data:/data"]}
  setup: {image: actor, command: [sleep, 60ms, then, write, "/data/${APP}", done], volumes: ["data:/data"]}
  live: {image: actor, command: [print, live]}
  api: {image: actor, command: [forever], ports: ["80:80"]}
volumes: {data: {}}
stages:
  - {name: seed, run: seed}
  - {name: init, run: init}
  - {name: db, start: db, ready: {tcp: "db:80"}}
  - {name: setup, run: setup, each: apps}
  - {name: live, await: live, each: apps, per_app: true}
  - {name: api, start: api, each: apps, per_app: true}
`

func with(init string) string { return strings.Replace(stack, "INIT", init, 1) }

func TestARepeatableStackPasses(t *testing.T) {
	report, err := run(t, with(`write, /data/log, once`))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Good() || len(report.NotRepeatable) > 0 || len(report.Ignored) > 0 {
		t.Errorf("not good: %+v", report)
	}
	verdicts := map[string]rehearse.Verdict{}
	for _, c := range report.Checks {
		verdicts[c.Step+" "+string(c.Moment)] = c.Verdict
	}
	// 9 containers: 4 boundaries each; 6 helpers: 2 more each.
	if want := 9*4 + 6*2; len(report.Checks) != want {
		t.Errorf("%d checks, want %d", len(report.Checks), want)
	}
	for _, b := range []string{"init created", "init started", "init ended", "init recorded", "db created", "db started", "db ended", "db recorded", "init lost", "setup/a middle", "setup/a lost", "live/b lost"} {
		if verdicts[b] != rehearse.Same {
			t.Errorf("%s: %q", b, verdicts[b])
		}
	}
}

func TestHelpersThatAreNotRepeatableAreNamed(t *testing.T) {
	for _, test := range []struct{ name, init, says string }{
		{"it appends blindly", `append, /data/log, more`, "bytes in place of 5"},
		{"it fails the second time", `remove, /data/seed`, "init failed: exit 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := run(t, with(test.init))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(report.NotRepeatable, []string{"init"}) || report.Good() {
				t.Errorf("not repeatable: %v", report.NotRepeatable)
			}
			if !strings.Contains(report.String(), test.says) || !strings.Contains(report.String(), "not repeatable: init\n") {
				t.Errorf("does not say %q", test.says)
			}
		})
	}
}

func TestAStackThatDoesNotComeUpIsNotRehearsed(t *testing.T) {
	if _, err := run(t, with(`exit, "5"`)); err == nil || !strings.Contains(err.Error(), "does not come up undisturbed: init failed: exit 5") {
		t.Errorf("error: %v", err)
	}
}

// TestNothingIsLeftWhenItIsStopped: run looks for what is left.
func TestNothingIsLeftWhenItIsStopped(t *testing.T) {
	for _, at := range []string{"undisturbed", "killing the runner", "more than once"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("Ctrl-C")
		time.AfterFunc(time.Minute, func() { cancel(why) })
		_, err := runUntil(ctx, t, with(`write, /data/log, once`), func(text string) {
			if strings.Contains(text, at) {
				time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			}
		})
		if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at %q: %v", at, err)
		}
	}
}

func TestTheCopySharesNothing(t *testing.T) {
	text := `
name: re-user
services:
  a:
    image: actor
    container_name: fixed
    ports: ["80:80"]
    volumes: ["data:/data", "own:/own", "theirs:/theirs", "/etc:/host", "/usr:/usr:ro"]
    networks: {default: {}, net: {ipv4_address: 10.9.0.5}, far: {}}
  b: {image: actor, network_mode: host}
volumes:
  data: {name: fixed-data}
  own: {}
  theirs: {external: true}
networks:
  net: {name: fixed-net, ipam: {config: [{subnet: 10.9.0.0/24}]}}
  far: {external: true}
stages:
  - {name: a, start: a, exclusive: data}
  - {name: b, run: b}
`
	original, copied := load(t, text, ""), load(t, text, "re-copy")
	shared := rehearse.Isolate(copied, original)
	want := []string{
		"the external network far", "the external volume theirs",
		"the folder /etc of the host, which a may write to", "the host's network, which b uses",
	}
	if !slices.Equal(shared, want) {
		t.Errorf("shared: %q", shared)
	}
	spec := copied.Services["a"].Spec
	if spec.Name != "re-copy-fixed" || len(spec.Ports) > 0 {
		t.Errorf("container %s, ports %v", spec.Name, spec.Ports)
	}
	text = fmt.Sprint(spec.Mounts, spec.Networks, copied.Volumes, copied.Networks, copied.Stages[0].Exclusive)
	for _, name := range []string{"re-copy-fixed-data", "re-copy_own", "re-copy-fixed-net"} {
		if !strings.Contains(text, name) {
			t.Errorf("no %s in %s", name, text)
		}
	}
	for _, name := range []string{" fixed-data", "{fixed-data", " fixed-net", "10.9.0"} {
		if strings.Contains(text, name) {
			t.Errorf("%q stayed in %s", name, text)
		}
	}
}
