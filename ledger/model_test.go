package ledger

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/events"
)

// The ledger against a model of maps and slices, over any sequence of runs,
// outcomes, forgetting, and opening the file anew.
func TestModel(t *testing.T) {
	// The race detector makes SQLite ten times slower; 25 sequences of about 30 actions take seconds.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		t.Fatal(err)
	}
	t.Run("sqlite", func(t *testing.T) {
		folder := t.TempDir()
		empty, n := template(t, filepath.Join(folder, "template.db")), 0
		modelled(t, func(t *rapid.T) string {
			n++
			path := filepath.Join(folder, fmt.Sprint(n)+".db")
			if err := os.WriteFile(path, empty, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := postgres(t)
		modelled(t, func(*rapid.T) string { return server.URL(fmt.Sprintf("model%d", schemas.Add(1))) })
	})
}

func modelled(t *testing.T, address func(*rapid.T) string) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{path: address(t)}
		m.reopen(t)
		defer func() { _ = m.ledger.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "end a step": m.endStep, "forget": m.forget, "reopen": m.reopen, "prune": m.prune, "": m.check,
		})
	})
}

// template is a ledger without events: copying it is faster than making one.
func template(t *testing.T, path string) []byte {
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
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

type model struct {
	path   string
	ledger *Ledger
	runs   []Run // in order of beginning, those that were not pruned
	begun  int
	events map[string][]events.Event
	// recorded by stack, engine and step.
	recorded, holders map[[2]string]map[string]events.Event
}

var (
	someStack  = rapid.SampledFrom([]string{"haf", "hello"})
	someEngine = rapid.SampledFrom([]string{"e1", "e2"})
	someStep   = rapid.SampledFrom([]string{"a", "b", "c"})
	outcomes   = rapid.SampledFrom([]events.Outcome{events.Done, events.Done, events.Failed, events.Skipped, events.Adopted})
)

func (m *model) reopen(t *rapid.T) {
	if m.ledger != nil {
		if err := m.ledger.Close(); err != nil {
			t.Fatal(err)
		}
	} else {
		m.events = map[string][]events.Event{}
		m.recorded, m.holders = map[[2]string]map[string]events.Event{}, map[[2]string]map[string]events.Event{}
	}
	var err error
	if m.ledger, err = Open(context.Background(), m.path); err != nil {
		t.Fatal(err)
	}
}

func (m *model) emit(t *rapid.T, e events.Event) {
	e.V, e.Seq, e.Time = 1, int64(len(m.events[e.Run])+1), t0
	if err := m.ledger.Emit(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	m.events[e.Run] = append(m.events[e.Run], e)
}

func (m *model) begin(t *rapid.T) {
	m.begun++
	run := Run{ID: fmt.Sprintf("r%d", m.begun), Number: int64(m.begun), Stack: someStack.Draw(t, "stack"), Engine: someEngine.Draw(t, "engine"), Started: t0}
	m.runs = append(m.runs, run)
	m.emit(t, events.Event{Run: run.ID, Kind: events.RunStarted, Stack: run.Stack, Engine: run.Engine})
}

func (m *model) endStep(t *rapid.T) {
	if len(m.runs) == 0 {
		t.Skip("no run")
	}
	run := m.runs[len(m.runs)-1]
	e := events.Event{Run: run.ID, Kind: events.StepEnded, Step: someStep.Draw(t, "step"), Outcome: outcomes.Draw(t, "outcome"), Spec: rapid.StringN(0, 8, -1).Draw(t, "spec")}
	if rapid.Bool().Draw(t, "held a volume") {
		e.Exclusive = rapid.SampledFrom([]string{"data", "more"}).Draw(t, "volume")
	}
	if rapid.Bool().Draw(t, "ended") {
		code := rapid.IntRange(0, 255).Draw(t, "code")
		e.ExitCode = &code
	}
	m.emit(t, e)
	key, kept := [2]string{run.Stack, run.Engine}, m.events[run.ID][len(m.events[run.ID])-1]
	if m.recorded[key] == nil {
		m.recorded[key], m.holders[key] = map[string]events.Event{}, map[string]events.Event{}
	}
	if e.Outcome == events.Done {
		m.recorded[key][e.Step] = kept
	}
	if e.Exclusive != "" && e.ExitCode != nil {
		m.holders[key][e.Exclusive] = kept
	}
}

func (m *model) forget(t *rapid.T) {
	stack, engine := someStack.Draw(t, "stack"), someEngine.Draw(t, "engine")
	steps := rapid.SliceOfN(someStep, 0, 2).Draw(t, "steps")
	if err := m.ledger.Forget(context.Background(), stack, engine, steps...); err != nil {
		t.Fatal(err)
	}
	for step := range m.recorded[[2]string{stack, engine}] {
		if len(steps) == 0 || slices.Contains(steps, step) {
			delete(m.recorded[[2]string{stack, engine}], step)
		}
	}
}

// prune may take no fact away; the runs here began long ago, so that none counts as going on.
func (m *model) prune(t *rapid.T) {
	stack, keep := someStack.Draw(t, "stack"), rapid.IntRange(1, 3).Draw(t, "keep")
	if err := m.ledger.Prune(context.Background(), stack, keep); err != nil {
		t.Fatal(err)
	}
	var left []Run
	for _, run := range slices.Backward(m.runs) {
		if run.Stack == stack {
			if keep--; keep < 0 {
				continue
			}
		}
		left = append(left, run)
	}
	slices.Reverse(left)
	m.runs = left
}

func (m *model) check(t *rapid.T) {
	ctx := context.Background()
	stack, engine := someStack.Draw(t, "stack"), someEngine.Draw(t, "engine")
	for _, kept := range []struct {
		name string
		want map[string]events.Event
		read func(ctx context.Context, stack, engine string) (map[string]events.Event, error)
	}{
		{"recorded", m.recorded[[2]string{stack, engine}], m.ledger.Recorded},
		{"holders", m.holders[[2]string{stack, engine}], m.ledger.Holders},
	} {
		got, err := kept.read(ctx, stack, engine)
		if diff := cmp.Diff(kept.want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%s of %s on %s: %v\n%s", kept.name, stack, engine, err, diff)
		}
	}
	got, err := m.ledger.Runs(ctx, "")
	slices.Reverse(got)
	for i := range got {
		got[i].Host = "" // whatever this machine is called
	}
	if diff := cmp.Diff(m.runs, got); err != nil || diff != "" {
		t.Fatalf("runs: %v\n%s", err, diff)
	}
	if len(m.runs) == 0 {
		return
	}
	id := m.runs[len(m.runs)-1].ID
	stored, err := m.ledger.Events(ctx, id, 0)
	if diff := cmp.Diff(m.events[id], stored); err != nil || diff != "" {
		t.Fatalf("events of %s: %v\n%s", id, err, diff)
	}
}
