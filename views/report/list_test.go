package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/events"
)

// A run without an end goes on where it has its stack's lease, and else nobody knows.
func TestARunThatGoesOn(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var page bytes.Buffer
	if err := WriteList(&page, Listing{
		Standing: []Standing{{Stack: "demo", Run: "r2"}, {Stack: "other"}},
		Runs:     []Summary{{Stack: "demo", ID: "r2", Verb: "up", Started: began}, {Stack: "demo", ID: "r1", Verb: "up", Started: began}, {Stack: "other", ID: "r0", Verb: "up", Started: began}},
	}, ""); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"r2": "running", "r1": "no end", "r0": "no end"} {
		if !regexp.MustCompile(`(?s)run/` + id + `".{0,200}?>` + want + `<`).MatchString(page.String()) {
			t.Errorf("%s is not told as %s:\n%s", id, want, &page)
		}
	}
}

// So it is on its own page.
func TestThePageOfARunThatGoesOn(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	run := []events.Event{
		{Kind: events.RunStarted, Run: "r1", Stack: "demo", Verb: "up", Time: began},
		{Kind: events.StepStarted, Run: "r1", Stack: "demo", Step: "seed", Stage: "seed", Verb: "run", Time: began.Add(time.Second)},
	}
	for goes, want := range map[bool]string{true: "1 step: 1 running", false: "1 step: 1 no end"} {
		var page bytes.Buffer
		if err := Write(&page, Report{Run: run, Goes: goes}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page.String(), want) || strings.Contains(page.String(), ">no end<") == goes {
			t.Errorf("%v: no %q, or both words: %s", goes, want, &page)
		}
	}
}
