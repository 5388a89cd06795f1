package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the database driver "sqlite"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/runner"
)

const appsStack = `name: apps
immutable: [partitions, workspaces]
apps:
  one: {partitions: 2, workspaces: 10}
  two: {partitions: 2, workspaces: 10}
  three: {partitions: 2, workspaces: 10}
services:
  deploy: {image: "stagehand-actor:test", command: [print, "${APP_PARTITIONS}"]}
  api: {image: "stagehand-actor:test", command: [forever]}
stages:
  - {name: deploy, run: deploy, each: apps}
  - {name: api, start: api, each: apps}
`

// forbidAppWrites has the ledger refuse whatever is written to the registry.
func forbidAppWrites(t *testing.T, path string) {
	t.Helper()
	l, err := ledger.Open(t.Context(), path) // which makes it
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"apps", "app_history"} {
		for _, write := range []string{"INSERT", "UPDATE", "DELETE"} {
			statement := "CREATE TRIGGER no_" + write + table + " BEFORE " + write + " ON " + table + " BEGIN SELECT RAISE(ABORT, 'the registry is written to'); END"
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A second up of unchanged apps writes nothing to the registry, and no more to the ledger than that it
// was; a stack without immutable never writes to the registry, and no event more.
func TestUnchangedAppsAreNotWritten(t *testing.T) {
	plain := strings.Replace(appsStack, "immutable: [partitions, workspaces]\n", "", 1)
	counts := map[string]map[string]int{}
	for name, stack := range map[string]string{"apps": appsStack, "plain": plain} {
		b := newBench(t, stack)
		address := filepath.Join(t.TempDir(), "ledger.db")
		if name == "plain" {
			forbidAppWrites(t, address)
		}
		b.up(t, address)
		before := history(t, address)
		if name == "apps" {
			forbidAppWrites(t, address)
			if code, _, told := b.run(address, "apps", "remove", "one", "--force"); code == 0 {
				t.Errorf("the registry can be written to: %s", told)
			}
		}
		b.up(t, address)
		counts[name] = map[string]int{}
		for run, n := range history(t, address) {
			_, old := before[run]
			counts[name][map[bool]string{true: "first", false: "second"}[old]] += n
		}
	}
	// Of the run that could not remove there is the beginning, and its lease's.
	if counts["plain"]["second"] != 2 || counts["apps"]["second"] != 4 || counts["plain"]["first"] != counts["apps"]["first"] {
		t.Errorf("events: %v", counts)
	}
}

// What is refused leaves the ledger as it was, to the byte.
func TestRefusedAppsLeaveTheLedgerAsItWas(t *testing.T) {
	b := newBench(t, appsStack)
	address := filepath.Join(t.TempDir(), "ledger.db")
	b.up(t, address)
	before, calls := read(t, address), changes(b.engine)
	changed := strings.Replace(appsStack, "three: {partitions: 2", "three: {partitions: 3", 1)
	if err := os.WriteFile(filepath.Join(b.dir, "stagehand.yaml"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		code, stdout, stderr := b.run(address, "up")
		if want := "num partitions changed: app three declaring NumPartitions=3 but was previously deployed with NumPartitions=2"; code != 9 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
	}
	if !bytes.Equal(before, read(t, address)) {
		t.Error("the ledger is another one")
	}
	for call, n := range changes(b.engine) {
		if n != calls[call] {
			t.Errorf("%s was called", call)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// An app that somebody registers otherwise after up has looked: the ledger refuses the
// beginning of its first step, and nothing of it is made.
func TestAppsAreRefusedByTheLedgerItself(t *testing.T) {
	stack := strings.Replace(appsStack, "stages:\n", "  wait: {image: \"stagehand-actor:test\", command: [sleep, 1s]}\nstages:\n  - {name: wait, run: wait}\n", 1)
	b := newBench(t, stack)
	address := filepath.Join(t.TempDir(), "ledger.db")
	var code int
	var stderr string
	var group sync.WaitGroup
	group.Go(func() { code, _, stderr = b.run(address, "up") })
	l, err := ledger.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := b.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for begun := false; !begun; time.Sleep(5 * time.Millisecond) {
		run, ok, err := l.Last(t.Context(), "apps")
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			all, err := l.Events(t.Context(), run.ID, 0)
			if err != nil {
				t.Fatal(err)
			}
			begun = slices.ContainsFunc(all, func(e events.Event) bool { return e.Kind == events.StepStarted })
		}
	}
	_, made, err := runner.RegisterApp(t.Context(), runner.RegisterOptions{
		Stack: "apps", EngineID: info.ID, App: "three", Descriptor: map[string]string{"partitions": "3"}, Sink: l, Ledger: l, Run: "other",
	})
	if err != nil || !made {
		t.Fatalf("%v, %v", made, err)
	}
	group.Wait()
	if code != 9 || !strings.Contains(stderr, "app three: partitions is 2 and was 3 in run other") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	list, err := b.engine.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if strings.Contains(c.Name, "-three-") && !c.Started.IsZero() {
			t.Errorf("%s was started", c.Name)
		}
	}
}
