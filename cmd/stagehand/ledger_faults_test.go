package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

// marks is how many helpers faulty has.
const marks = 12

// faulty is a stack with helpers one after another, each of which leaves its mark.
func faulty(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nservices:\n  api: {image: %q, command: [forever], volumes: [\"data:/data\"]}\n", name, actorImage)
	var run []string
	for i := range marks {
		fmt.Fprintf(&b, "  h%d: {image: %q, command: [append, /data/log, h%d], volumes: [\"data:/data\"]}\n", i, actorImage, i)
		run = append(run, fmt.Sprintf("  - {name: s%d, run: h%d}", i, i))
	}
	fmt.Fprintf(&b, "volumes: {data: {}}\nstages:\n%s\n  - {name: api, start: api}\n", strings.Join(run, "\n"))
	return b.String()
}

// onDisk is an empty ledger on a disk of a size, and that disk's folder.
func onDisk(t *testing.T, size string) (address, folder string) {
	t.Helper()
	folder = ledgertest.Disk(t, size)
	address = filepath.Join(folder, "l.db")
	l, err := ledger.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address, folder
}

// once fails the test unless each helper of faulty has left its mark once.
func (b *bench) once(t *testing.T, stack string) {
	t.Helper()
	seen := map[string]int{}
	for _, mark := range strings.Fields(b.effects(t, stack)) {
		seen[mark]++
	}
	for i := range marks {
		if name := fmt.Sprintf("h%d", i); seen[name] != 1 {
			t.Errorf("the effect of %s is there %d times", name, seen[name])
		}
	}
}

// untouched fails the test if anything of the stack is on the engine.
func (b *bench) untouched(t *testing.T, stack string) {
	t.Helper()
	list, err := b.engine.List(t.Context(), map[string]string{containers.LabelStack: stack})
	if err != nil || len(list) > 0 {
		t.Fatalf("%d containers, %v", len(list), err)
	}
}

// The disk of the ledger fills up in the middle of a run: the run stops in order, says why, and the
// same command goes on where there is room again, with no helper's effect twice.
func TestLedgerFillsItsDiskInTheMiddleOfARun(t *testing.T) {
	b := newBench(t, faulty("lf-full"))
	address, folder := onDisk(t, "1m")
	rest := filepath.Join(folder, "rest")
	// All room but a few pages of the log, so that a run can begin and not end.
	var told string
	for room := 0; ; room += 8 {
		if err := os.WriteFile(rest, make([]byte, 1<<20), 0o600); err == nil {
			t.Fatal("the disk does not fill up")
		}
		info, err := os.Stat(rest)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(rest, max(0, info.Size()-int64(room)<<10)); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := b.run(address, "up")
		told = stdout + stderr
		if code == 0 {
			t.Fatalf("with %d KiB of room it ended well: the disk never filled up in the middle", room)
		}
		if code != 1 || !strings.Contains(stderr, "the disk is full") {
			t.Fatalf("with %d KiB of room: exit code %d\n%s", room, code, told)
		}
		list, err := b.engine.List(t.Context(), map[string]string{containers.LabelStack: "lf-full"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			break
		}
	}
	if !strings.Contains(told, "run the same command again") {
		t.Errorf("it does not say how to go on:\n%s", told)
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	b.up(t, address)
	b.once(t, "lf-full")
}

// A ledger that cannot be written is met before anything is created, and the next run with a good one ends well.
func TestLedgerOnAReadOnlyDisk(t *testing.T) {
	b := newBench(t, faulty("lf-readonly"))
	address, folder := onDisk(t, "4m")
	if output, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,ro", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	code, stdout, stderr := b.run(address, "up")
	if code != 1 || !strings.Contains(stderr, "cannot be written") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	b.untouched(t, "lf-readonly")
	b.up(t, filepath.Join(b.dir, "good.db"))
	b.once(t, "lf-readonly")
}

// A ledger that was cut off, at every 100th byte: nothing is created, the error says so, and the whole one goes on.
func TestLedgerCutOffAnywhere(t *testing.T) {
	b := newBench(t, faulty("lf-cut"))
	address := filepath.Join(b.dir, "l.db")
	b.up(t, address)
	b.once(t, "lf-cut")
	whole, err := os.ReadFile(address)
	if err != nil {
		t.Fatal(err)
	}
	before := changes(b.engine)
	cut := filepath.Join(b.dir, "cut.db")
	for size := (len(whole) - 1) / 100 * 100; size > 0; size -= 100 {
		if err := os.WriteFile(cut, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := b.run(cut, "up"); code != 1 || !strings.Contains(stderr, "is damaged") {
			t.Fatalf("%d of %d bytes: exit code %d\n%s%s", size, len(whole), code, stdout, stderr)
		}
	}
	b.up(t, address)
	if now := changes(b.engine); !maps.Equal(now, before) {
		t.Errorf("the engine was changed: %v, before it %v", now, before)
	}
	b.once(t, "lf-cut")
}
