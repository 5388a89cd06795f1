package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("LEDGER_OPEN_AS_NOBODY"); path != "" {
		os.Exit(openAsNobody(path))
	}
	if address := os.Getenv("LEDGER_HOLD_LOCK"); address != "" {
		os.Exit(holdLock(address))
	}
	code := m.Run()
	if serverStarted.Load() {
		if server, err := startServer(); err == nil {
			if err := server.Remove(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "left behind:", err)
		code = 1
	}
	os.Exit(code)
}

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

func openAt(t testing.TB, address string) *Ledger {
	t.Helper()
	l, err := Open(context.Background(), address)
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

// places are where a ledger may live: each returns the address of a new one.
var places = map[string]func(t testing.TB) string{
	"sqlite": func(t testing.TB) string { return filepath.Join(t.TempDir(), "a new folder", "is?made#here%20.db") },
	"postgres": func(t testing.TB) string {
		return postgres(t).URL(fmt.Sprintf("ledger %d", schemas.Add(1)))
	},
}

var schemas atomic.Int64

// postgres is one server for all tests.
func postgres(t testing.TB) *ledgertest.Server {
	t.Helper()
	server, err := startServer()
	if errors.Is(err, ledgertest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

var (
	serverStarted atomic.Bool
	startServer   = sync.OnceValues(func() (*ledgertest.Server, error) {
		serverStarted.Store(true)
		return ledgertest.Start(context.Background())
	})
)

func everywhere(t *testing.T, test func(t *testing.T, address string)) {
	for _, name := range slices.Sorted(maps.Keys(places)) {
		t.Run(name, func(t *testing.T) { test(t, places[name](t)) })
	}
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

func TestEventsComeBackAsTheyWere(t *testing.T) { everywhere(t, testEventsComeBackAsTheyWere) }

func testEventsComeBackAsTheyWere(t *testing.T, address string) {
	code := 3
	started := event("r1", 1, events.RunStarted)
	started.Verb, started.Engine, started.Files, started.Plan = "up", "e1", []string{"/a b/stagehand.yaml"}, map[string]int{"run": 2}
	failed := ended("r1", 2, "setup/hivemind", events.Failed, "s1")
	failed.ExitCode, failed.Logs, failed.Values = &code, []string{"naïve \"quoted\"", "", "\x00"}, map[string]string{"k": "v"}
	failed.Progress = &events.Progress{Done: 41.2, Total: 98, Unit: "Mblocks"}
	over := event("r1", 3, events.RunEnded)
	over.Verdict = events.VerdictFailed
	want := []events.Event{started, failed, over}

	l := openAt(t, address)
	emit(t, l, want...)
	again := openAt(t, address)
	for _, reader := range []*Ledger{l, again} {
		got, err := reader.Events(t.Context(), "r1", 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if got, err := again.Events(t.Context(), "r1", 2); err != nil || len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("after 2: %v, %v", got, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	run, ok, err := again.Last(t.Context(), "haf")
	wantRun := Run{ID: "r1", Number: 1, Stack: "haf", Engine: "e1", Verb: "up", Host: host, Plan: map[string]int{"run": 2}, Started: t0.Add(time.Second), Ended: t0.Add(3 * time.Second), Verdict: events.VerdictFailed}
	if diff := cmp.Diff(wantRun, run); err != nil || !ok || diff != "" {
		t.Errorf("%v %v\n%s", ok, err, diff)
	}
}

func TestRepeatedEmit(t *testing.T) { everywhere(t, testRepeatedEmit) }

func testRepeatedEmit(t *testing.T, address string) {
	l := openAt(t, address)
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
	everywhere(t, testEmitKeepsWhatHappenedThoughCtxIsDone)
}

func testEmitKeepsWhatHappenedThoughCtxIsDone(t *testing.T, address string) {
	l := openAt(t, address)
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
func TestReadersWhileARunWrites(t *testing.T) { everywhere(t, testReadersWhileARunWrites) }

func testReadersWhileARunWrites(t *testing.T, address string) {
	writer := openAt(t, address)
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
		reader := openAt(t, address)
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
func TestConcurrentOpenAndEmit(t *testing.T) { everywhere(t, testConcurrentOpenAndEmit) }

func testConcurrentOpenAndEmit(t *testing.T, address string) {
	var group errgroup.Group
	for p := range 4 {
		group.Go(func() error {
			l, err := Open(t.Context(), address)
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
	l := openAt(t, address)
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

// go test -bench . -run '^$' ./ledger
func BenchmarkEmit(b *testing.B) {
	for _, place := range slices.Sorted(maps.Keys(places)) {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/writers=%d", place, writers), func(b *testing.B) {
				benchmarkEmit(b, openAt(b, places[place](b)), writers)
			})
		}
	}
}

func benchmarkEmit(b *testing.B, l *Ledger, writers int) {
	started := event("r1", 1, events.RunStarted)
	started.Engine = "e1"
	emit(b, l, started)
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
				if err := l.Emit(b.Context(), ended("r1", i+1, "setup/hivemind/app-setup", events.Done, strings.Repeat("f", 64))); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func TestSeveralEventsAtOnce(t *testing.T) { everywhere(t, testSeveralEventsAtOnce) }

// testSeveralEventsAtOnce: they are kept together, again without harm, and one
// that is no event keeps the others out.
func testSeveralEventsAtOnce(t *testing.T, address string) {
	l := openAt(t, address)
	all := []events.Event{started("r1", "haf", "e1"), event("r1", 2, events.StageStarted), event("r1", 3, events.StageCompleted)}
	for range 2 {
		if err := l.EmitAll(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.EmitAll(t.Context(), []events.Event{event("r1", 4, events.StageStarted), {Run: "r1"}}); err == nil {
		t.Error("an event without a number is taken")
	}
	got, err := openAt(t, address).Events(t.Context(), "r1", 0)
	if err != nil || len(got) != 3 || got[2].Kind != events.StageCompleted {
		t.Errorf("kept %v, %v", got, err)
	}
}
