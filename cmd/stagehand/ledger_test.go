package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/cli"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

// bench is a folder with a stack file, and an engine.
type bench struct {
	dir    string
	engine *memory.Engine
}

func newBench(t *testing.T, stack string) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), engine: newMemory()}
	t.Cleanup(b.engine.Halt)
	if err := os.WriteFile(filepath.Join(b.dir, "stagehand.yaml"), []byte(stack), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a command line on the ledger and returns its exit code and what it said.
func (b *bench) run(address string, args ...string) (code int, stdout, stderr string) {
	var out, told bytes.Buffer
	command := cli.Command{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &told, Dir: b.dir, Environ: []string{"HOME=" + b.dir, "STAGEHAND_LEDGER=" + address},
		Open: func(context.Context, string) (containers.Engine, error) { return shared{b.engine}, nil },
	}
	code = command.Main(args)
	return code, out.String(), told.String()
}

func (b *bench) up(t *testing.T, address string) string {
	t.Helper()
	code, stdout, stderr := b.run(address, "up")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout
}

// effects are what the helpers of stack have appended to their log, as what serves sees it.
func (b *bench) effects(t *testing.T, stack string) string {
	t.Helper()
	list, err := b.engine.List(t.Context(), map[string]string{containers.LabelStack: stack})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if !c.Running() {
			continue
		}
		content, err := b.engine.CopyOut(t.Context(), c.Name, "/data/log")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(content)), " ")
	}
	t.Fatalf("nothing of %s runs", stack)
	return ""
}

// history is how many events each run of the ledger has.
func history(t *testing.T, address string) map[string]int {
	t.Helper()
	l, err := ledger.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	runs, err := l.Runs(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range runs {
		all, err := l.Events(t.Context(), r.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		counts[r.ID] = len(all)
	}
	return counts
}

// changes are the calls so far that change something at the engine.
func changes(engine *memory.Engine) map[string]int {
	calls := engine.Calls()
	maps.DeleteFunc(calls, func(call string, _ int) bool {
		return !slices.Contains([]string{"Create", "Start", "Stop", "Destroy", "RemoveNetwork", "RemoveVolume", "RemoveImage", "CopyIn", "Exec"}, call)
	})
	return calls
}

// A second up of an unchanged stack of 100 services and 20 helpers writes nothing but
// that it was, and status shows every step all the same, with the stack file and without.
func TestSecondUpWritesItsOwnRecordOnly(t *testing.T) {
	var stack strings.Builder
	stack.WriteString("name: la-second\nservices:\n")
	var services, helpers []string
	for i := range 100 {
		services = append(services, fmt.Sprintf("s%d", i))
		fmt.Fprintf(&stack, "  s%d: {image: %q, command: [forever]}\n", i, actorImage)
	}
	for i := range 20 {
		helpers = append(helpers, fmt.Sprintf("h%d", i))
		fmt.Fprintf(&stack, "  h%d: {image: %q, command: [exit, \"0\"]}\n", i, actorImage)
	}
	fmt.Fprintf(&stack, "stages:\n  - {name: prepare, run: [%s]}\n  - {name: serve, start: [%s]}\n", strings.Join(helpers, ", "), strings.Join(services, ", "))
	b := newBench(t, stack.String())
	address := filepath.Join(b.dir, "l.db")
	b.up(t, address)
	before, calls := history(t, address), changes(b.engine)
	b.up(t, address)
	if now := changes(b.engine); !maps.Equal(now, calls) {
		t.Errorf("the second up has changed the engine: %v, before it %v", now, calls)
	}
	after := history(t, address)
	maps.DeleteFunc(after, func(run string, n int) bool { return before[run] == n })
	for run, n := range after {
		_, stdout, _ := b.run(address, "events", "--run", run, "--json")
		others := strings.Count(stdout, `"kind":"lease.`) // a lease is of the run itself
		if n-others != 2 || strings.Count(stdout, `"kind":"run.`) != 2 {
			t.Errorf("the second up has written %d events:\n%s", n, stdout)
		}
	}
	if len(after) != 1 {
		t.Errorf("%d runs have changed or come", len(after))
	}
	for _, args := range [][]string{{"status"}, {"-p", "la-second", "status"}} {
		_, stdout, _ := b.run(address, args...)
		if recorded, adopted := strings.Count(stdout, " recorded "), strings.Count(stdout, " adopted "); recorded != 20 || adopted != 100 {
			t.Errorf("%v shows %d recorded and %d adopted steps:\n%s", args, recorded, adopted, stdout)
		}
	}
}

const slow = `
name: la-slow
services:
  first: {image: "stagehand-actor:test", command: [append, /data/log, first], volumes: ["data:/data"]}
  slow: {image: "stagehand-actor:test", command: [sleep, 2s, then, append, /data/log, slow], volumes: ["data:/data"]}
  after: {image: "stagehand-actor:test", command: [append, /data/log, after], volumes: ["data:/data"]}
  api: {image: "stagehand-actor:test", command: [forever], volumes: ["data:/data"]}
volumes: {data: {}}
stages:
  - {name: first, run: first}
  - {name: early, start: api}
  - {name: slow, run: slow}
  - {name: after, run: after}
`

// PostgreSQL ends in the middle of a run: the run stops in order and says what to do; the
// next one, with a good ledger, ends well. Nobody reads the password.
func TestPostgresEndsInTheMiddleOfARun(t *testing.T) {
	server, err := ledgertest.Start(t.Context())
	if errors.Is(err, ledgertest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Remove()
	b, address := newBench(t, slow), server.URL("la_middle")
	var told string
	var code int
	var group sync.WaitGroup
	group.Go(func() {
		var stdout, stderr string
		code, stdout, stderr = b.run(address, "up")
		told = stdout + stderr
	})
	l, err := ledger.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for began := time.Now(); !started(t, l, "slow"); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			group.Wait()
			t.Fatalf("the run does not get there:\n%s", told)
		}
	}
	if err := server.End(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if code != 1 || !strings.Contains(told, "PostgreSQL does not answer") || !strings.Contains(told, "run the same command again") || !strings.Contains(told, "@127.0.0.1") {
		t.Errorf("exit code %d\n%s", code, told)
	}
	list, err := b.engine.List(t.Context(), map[string]string{containers.LabelStack: "la-slow"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Labels[containers.LabelStep] == "after" {
			t.Error("a step was begun that could not be recorded")
		}
	}
	if err := server.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	told += b.up(t, address)
	if got := b.effects(t, "la-slow"); got != "first slow after" {
		t.Errorf("the helpers' effects are %q, want each once", got)
	}
	b.up(t, filepath.Join(b.dir, "other.db"))
	for _, args := range [][]string{{"status"}, {"runs"}, {"runs", "--json"}, {"events"}, {"--ledger", address, "up"}, {"--ledger", address, "events", "--run", "none"}, {"--ledger", address, "down", "--volumes"}, {"--ledger", address, "runs"}} {
		_, stdout, stderr := b.run(address, args...)
		told += stdout + stderr
	}
	if strings.Contains(told, "s3cr") || strings.Contains(told, "word@") {
		t.Errorf("the password was told:\n%s", told)
	}
}

func started(t *testing.T, l *ledger.Ledger, step string) bool {
	run, ok, err := l.Last(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return false
	}
	all, err := l.Events(t.Context(), run.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == events.StepStarted && e.Step == step {
			return true
		}
	}
	return false
}
