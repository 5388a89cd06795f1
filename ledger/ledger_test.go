package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/events"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("LEDGER_OPEN_AS_NOBODY"); path != "" {
		os.Exit(openAsNobody(path))
	}
	goleak.VerifyTestMain(m)
}

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func emit(t testing.TB, l *Ledger, all ...events.Event) {
	t.Helper()
	for _, e := range all {
		if err := l.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func event(run string, seq int64, kind events.Kind) events.Event {
	return events.Event{V: 1, Run: run, Seq: seq, Kind: kind, Stack: "haf", Time: t0.Add(time.Duration(seq) * time.Second)}
}

func ended(run string, seq int64, step string, outcome events.Outcome, spec string) events.Event {
	e := event(run, seq, events.StepEnded)
	e.Step, e.Outcome, e.Spec = step, outcome, spec
	return e
}

func TestEventsComeBackAsTheyWere(t *testing.T) {
	code := 3
	started := event("r1", 1, events.RunStarted)
	started.Engine, started.Files, started.Plan = "e1", []string{"/a b/stagehand.yaml"}, map[string]int{"run": 2}
	failed := ended("r1", 2, "setup/hivemind", events.Failed, "s1")
	failed.ExitCode, failed.Logs, failed.Values = &code, []string{"naïve \"quoted\"", "", "\x00"}, map[string]string{"k": "v"}
	failed.Progress = &events.Progress{Done: 41.2, Total: 98, Unit: "Mblocks"}
	over := event("r1", 3, events.RunEnded)
	over.Verdict = events.VerdictFailed
	want := []events.Event{started, failed, over}

	path := filepath.Join(t.TempDir(), "a new folder", "is?made#here%20.db")
	l := open(t, path)
	emit(t, l, want...)
	again := open(t, path)
	for _, reader := range []*Ledger{l, again} {
		got, err := reader.Events(t.Context(), "r1", 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if got, err := again.Events(t.Context(), "r1", 2); err != nil || len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("after 2: %v, %v", got, err)
	}
	run, ok, err := again.Last(t.Context(), "haf")
	wantRun := Run{ID: "r1", Number: 1, Stack: "haf", Engine: "e1", Started: t0.Add(time.Second), Ended: t0.Add(3 * time.Second), Verdict: events.VerdictFailed}
	if diff := cmp.Diff(wantRun, run); err != nil || !ok || diff != "" {
		t.Errorf("%v %v\n%s", ok, err, diff)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestRepeatedEmit(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "l.db"))
	e := ended("r1", 1, "a", events.Done, "s")
	emit(t, l, e, e)
	other := e
	other.Spec = "other"
	if err := l.Emit(t.Context(), other); !errors.Is(err, errTaken) {
		t.Errorf("another event of the same number: %v", err)
	}
	for _, bad := range []events.Event{{}, {Run: "r", Seq: 1}, {Run: "r", Kind: events.StepEnded}} {
		if err := l.Emit(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if got, err := l.Events(t.Context(), "r1", 0); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestEmitKeepsWhatHappenedThoughCtxIsDone(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "l.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Emit(ctx, ended("r1", 1, "a", events.Failed, "s")); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Events(t.Context(), "r1", 0); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// Readers of other processes, here other Ledgers, see a growing prefix of
// what is written, and what Emit has returned for is there.
func TestReadersWhileARunWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	writer := open(t, path)
	const count = 300
	var written atomic.Int64
	var group errgroup.Group
	group.Go(func() error {
		for i := int64(1); i <= count; i++ {
			if err := writer.Emit(t.Context(), ended("r1", i, fmt.Sprint(i%7), events.Done, fmt.Sprint(i))); err != nil {
				return err
			}
			written.Store(i)
		}
		return nil
	})
	for range 4 {
		reader := open(t, path)
		group.Go(func() error {
			for last := int64(0); last < count; {
				atLeast := written.Load()
				fresh, err := reader.Events(t.Context(), "r1", last)
				if err != nil {
					return err
				}
				for _, e := range fresh {
					if last++; e.Seq != last {
						return fmt.Errorf("event %d where %d was due", e.Seq, last)
					}
				}
				if last < atLeast {
					return fmt.Errorf("saw %d events, %d were emitted", last, atLeast)
				}
				if _, err := reader.Recorded(t.Context(), "haf", ""); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// Many ledgers opened at once over no file at all, all writing.
func TestConcurrentOpenAndEmit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	var group errgroup.Group
	for p := range 4 {
		group.Go(func() error {
			l, err := Open(t.Context(), path)
			if err != nil {
				return err
			}
			defer l.Close()
			var inner errgroup.Group
			for g := range 8 {
				inner.Go(func() error {
					run := fmt.Sprintf("run-%d-%d", p, g)
					for i := int64(1); i <= 5; i++ {
						if err := l.Emit(t.Context(), event(run, i, events.StepStarted)); err != nil {
							return err
						}
					}
					// One of a batch that cannot be kept spoils no other.
					if err := l.Emit(t.Context(), event(run, 1, events.StepWaiting)); !errors.Is(err, errTaken) {
						return fmt.Errorf("a second event 1: %v", err)
					}
					return nil
				})
			}
			return inner.Wait()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	l := open(t, path)
	runs, err := l.Runs(t.Context(), "haf")
	if err != nil || len(runs) != 32 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for i, r := range runs {
		if r.Number != int64(32-i) {
			t.Errorf("run %d has number %d", i, r.Number)
		}
		if got, err := l.Events(t.Context(), r.ID, 0); err != nil || len(got) != 5 {
			t.Errorf("%s: %d events, %v", r.ID, len(got), err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	t.Setenv("HOME", "/home/u")
	if got, err := locate(""); err != nil || got != "/state/stagehand/ledger.db" {
		t.Error(got, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	if got, err := locate(""); err != nil || got != "/home/u/.local/state/stagehand/ledger.db" {
		t.Error(got, err)
	}
	for _, address := range []string{"postgres://db/x", "postgresql://db/x", "mysql://db/x"} {
		if _, err := Open(t.Context(), address); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(t *testing.T, path string) string
	}{
		{"text", "is damaged", func(t *testing.T, path string) string {
			return put(t, path, []byte(strings.Repeat("this is not a database\n", 400)))
		}},
		{"header only", "is damaged", func(t *testing.T, path string) string {
			return put(t, path, filled(t, path)[:1500])
		}},
		{"another program's", "is the database of another program", func(t *testing.T, path string) string {
			execute(t, path, `CREATE TABLE theirs (x TEXT)`)
			return path
		}},
		{"newer", "was written by a newer stagehand", func(t *testing.T, path string) string {
			filled(t, path)
			execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
			return path
		}},
		{"a folder", "it is a folder", func(t *testing.T, path string) string {
			return filepath.Dir(path)
		}},
		{"below a file", "its folder cannot be made", func(t *testing.T, path string) string {
			return filepath.Join(put(t, path, nil), "l.db")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.make(t, filepath.Join(t.TempDir(), "l.db"))
			l, err := Open(t.Context(), path)
			if err == nil {
				_ = l.Close()
				t.Fatal("opened")
			}
			var failed *FileError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || failed.Remedy == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

// Damage that opening does not meet shows when the events are read.
func TestDamageInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	content := filled(t, path)
	for i := 8 * 4096; i < len(content); i++ {
		content[i] = 0xaa
	}
	put(t, path, content)
	l := open(t, path)
	_, err := l.Events(t.Context(), "r1", 0)
	if err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// Permissions do not bind root, so the file is opened by a process of user nobody.
func TestReadOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	folder, err := os.MkdirTemp("", "ledger-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "l.db")
	filled(t, path)
	for _, name := range []string{folder, path} {
		if err := os.Chmod(name, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(folder, "test")
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Dir = "/"
	command.Env = []string{"LEDGER_OPEN_AS_NOBODY=" + path, "HOME=/nonexistent"}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "make the file and its folder writable") && !strings.Contains(string(output), "its folder must be writable") &&
		!strings.Contains(string(output), "permission denied") || !strings.Contains(string(output), path) {
		t.Errorf("%v: %s", err, output)
	}
}

// openAsNobody prints the error that it is expected to meet and returns 0 for it.
func openAsNobody(path string) int {
	ctx := context.Background()
	l, err := Open(ctx, path)
	if err == nil {
		err = l.Emit(ctx, event("r2", 1, events.RunStarted))
	}
	fmt.Println(err)
	if err == nil {
		return 1
	}
	return 0
}

// filled makes a ledger with events, closes it and returns the file's content.
func filled(t *testing.T, path string) []byte {
	t.Helper()
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(1); i <= 200; i++ {
		emit(t, l, ended("r1", i, "a", events.Done, strings.Repeat("x", 200)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func put(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// go test -bench . -run '^$' ./ledger
func BenchmarkEmit(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := open(b, filepath.Join(b.TempDir(), "l.db"))
			var next atomic.Int64
			var group errgroup.Group
			b.ResetTimer()
			for range writers {
				group.Go(func() error {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return nil
						}
						if err := l.Emit(b.Context(), ended("r1", i, "setup/hivemind/app-setup", events.Done, strings.Repeat("f", 64))); err != nil {
							return err
						}
					}
				})
			}
			if err := group.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
