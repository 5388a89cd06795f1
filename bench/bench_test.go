//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestStacksLoad: what is measured is a stack, with as many steps as is claimed.
func TestStacksLoad(t *testing.T) {
	for _, test := range []struct {
		name, text string
		steps      int
	}{
		{"staged", staged(1), 25},
		{"chain", chain(20), 21},
		{"plain", plain(25), 25},
		{"wide", wide(30), 30},
		{"helpers", helpers(100, 8, "shared"), 100},
		{"waits", waits("http://192.0.2.1:80/w", 2, 3), 7},
		{"ends", ends(2, 3), 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "stack.yaml")
			if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, s := range stack.Stages {
				n += len(s.Units)
			}
			if n != test.steps {
				t.Errorf("%d steps, want %d", n, test.steps)
			}
		})
	}
}

func TestManySteps(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger.db")
	for _, phase := range []string{phaseRun, phaseReplay} {
		took, err := onMemoryEngine(t.Context(), []string{phase, "25", ledger})
		if err != nil || took.Up <= 0 || took.Allocations == 0 {
			t.Errorf("%s: %+v, %v", phase, took, err)
		}
	}
	// A ledger that knows nothing replays nothing.
	if _, err := onMemoryEngine(t.Context(), []string{phaseReplay, "25", filepath.Join(t.TempDir(), "ledger.db")}); err == nil {
		t.Error("a run from nothing passed for a replay")
	}
}

func TestTenants(t *testing.T) {
	took, err := upgradeTenants(t.Context(), []string{"20", filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil || took.PlanAndList <= 0 || took.Upgrade <= 0 {
		t.Errorf("%+v, %v", took, err)
	}
}

// TestPartiesTakeTurns: A B A B; what fails once is done again, who fails twice
// is left out, and both are told.
func TestPartiesTakeTurns(t *testing.T) {
	var order []string
	does := func(name string, fails ...int) party {
		n := 0
		return party{name, func(context.Context) (measurement, error) {
			n++
			order = append(order, name)
			if slices.Contains(fails, n) {
				return nil, errors.New("no such image")
			}
			return measurement{"time": {float64(n)}}, nil
		}}
	}
	var said bytes.Buffer
	b := &bench{stderr: &said}
	tally := newTally(work{name: "work", parties: []party{does("a"), does("b", 2), does("c", 2, 3)}, units: map[string]string{"time": "s"}})
	for round := range 3 {
		b.take(t.Context(), tally, round)
	}
	if want := strings.Fields("a b c a b b c c a b"); !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	got := tally.result()
	if len(got.Errors) != 3 || !strings.Contains(got.Errors[0], "b: no such image") || !strings.Contains(said.String(), "no such image") {
		t.Errorf("errors %q", got.Errors)
	}
	for party, want := range map[string][]float64{"a": {1, 2, 3}, "b": {1, 3, 4}, "c": {1}} {
		if s := got.Of(party, "time"); s == nil || !slices.Equal(s.Samples, want) {
			t.Errorf("%s: %+v", party, s)
		}
	}
}

// TestServerKeepsItsWord: what has become true stays true, from its instant on.
func TestServerKeepsItsWord(t *testing.T) {
	s := &server{truths: map[string]time.Time{}}
	ask := func(name string) int {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest("GET", "/"+name, nil))
		return answer.Code
	}
	if code := ask("w1"); code != 503 || s.truths["w1"].Before(time.Now()) {
		t.Errorf("at first: %d, true at %s", code, s.truths["w1"])
	}
	s.truths["w1"] = time.Now().Add(-time.Millisecond)
	if code := ask("w1"); code != 200 {
		t.Errorf("then: %d", code)
	}
}

func TestLags(t *testing.T) {
	at := time.Now()
	truths := map[string]time.Time{"w1": at, "w2": at}
	end := told{at.Add(20 * time.Millisecond), at.Add(30 * time.Millisecond)}
	got, err := lags(truths, map[string]told{"w1": end, "w2": end, "app": end}, 2)
	if err != nil || !slices.Equal(got["lag"], []float64{20, 20}) || !slices.Equal(got["lag to a reader"], []float64{30, 30}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := lags(truths, map[string]told{"w1": end}, 2); err == nil {
		t.Error("an end that nobody saw passed")
	}
}

func TestTimed(t *testing.T) {
	r, err := timed(t.Context(), "sh", "-c", "echo out; echo warn >&2")
	if err != nil || string(r.stdout) != "out\n" || r.wall <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, told := r.taken()["memory"]; told {
		t.Errorf("a shell takes %d bytes, more than this test?", r.rss)
	}
	if _, err := timed(t.Context(), "sh", "-c", "echo out; echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "why") {
		t.Errorf("%v", err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		said string
	}{
		{"-h", 0, "-run REGEX"},
		{"-n 0", exitUsage, "at least 1"},
		{"-run (", exitUsage, "-run"},
		{"-run plan -doc x.md", exitUsage, "the document shows the whole"},
		{"-nonsense", exitUsage, "-nonsense"},
		{"word", exitUsage, "no arguments"},
		{"-from nowhere.json", exitFailed, "nowhere.json"},
		{"-list", 0, "staged"},
	} {
		var out bytes.Buffer
		if code := Main(t.Context(), strings.Fields(test.args), &out, &out); code != test.code || !strings.Contains(out.String(), test.said) {
			t.Errorf("%s: exit %d, said %s", test.args, code, &out)
		}
	}
}
