package timeline

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

// ran is a run of steps one after another, each with its length in
// milliseconds and its end.
func ran(id string, verdict events.Verdict, steps ...any) *Run {
	var all []events.Event
	now := 0
	all = append(all, at(0, events.RunStarted, "", events.Event{Verb: "up"}))
	for i := 0; i < len(steps); i += 3 {
		name, ms, end := steps[i].(string), steps[i+1].(int), steps[i+2].(events.Event)
		if ms > 0 {
			all = append(all, at(now, events.StepStarted, name, events.Event{Attempt: max(end.Attempt, 1), Cause: "never ran"}))
		}
		now += ms
		all = append(all, at(now, events.StepEnded, name, end))
	}
	all = append(all, at(now, events.RunEnded, "", events.Event{Verdict: verdict}))
	for i := range all {
		all[i].Run = id
	}
	return Of(all)
}

func TestCompare(t *testing.T) {
	done, fails := events.Event{Outcome: events.Done}, events.Event{Outcome: events.Failed, Error: "exit 7"}
	skip, missed := events.Event{Outcome: events.Skipped, Cause: "recorded by run r0"}, events.Event{Outcome: events.Skipped, Error: "not reached: breaks failed"}
	again := events.Event{Outcome: events.Done, Attempt: 3}
	before := ran("r1", events.VerdictDone,
		"slow", 1000, done, "slower", 1000, done, "fast", 9000, done, "noise", 1000, done, "little", 10, done,
		"breaks", 500, done, "after", 700, done, "mended", 100, fails, "gone", 4000, done, "spared", 3000, done, "repeated", 0, skip)
	after := ran("r2", events.VerdictFailed,
		"slow", 2000, done, "slower", 6000, again, "fast", 3000, done, "noise", 1090, done, "little", 105, done,
		"breaks", 500, fails, "after", 0, missed, "mended", 100, done, "new", 2500, done, "spared", 0, skip, "repeated", 200, done)
	c := Compare(before, after)
	want := `before  demo, up r1, done after 20.3s
after   demo, up r2, failed after 15.5s (-4.8s)

CHANGE       STEP      BEFORE   AFTER        EFFECT        WHY
failed       breaks    500ms    failed       +0ms          exit 7
not reached  after     700ms    not reached  -700ms        breaks failed
mended       mended    failed   100ms        +0ms
faster       fast      9.0s     3.0s         -6.0s, 0.33x
slower       slower    1.0s     6.0s         +5.0s, 6x
    3 attempts, had been 1
gone         gone      4.0s     -            -4.0s
skipped      spared    3.0s     skipped      -3.0s         recorded by run r0
new          new       -        2.5s         +2.5s         never ran
slower       slow      1.0s     2.0s         +1.0s, 2x
ran          repeated  skipped  200ms        +200ms        never ran

10 steps changed, 2 as before
`
	var got strings.Builder
	if _, err := c.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if c.Same != 2 {
		t.Errorf("%d as before, expected noise and little", c.Same)
	}
	// What is compared with itself has not changed.
	if same := Compare(before, before); len(same.Changes) != 0 || same.Same != len(before.Rows) || same.Effect != 0 {
		t.Errorf("%+v", same)
	}
	if body, err := json.Marshal(Compare(Of(nil), Of(nil))); err != nil || string(body) != `{"runs":["",""],"effect":0,"changes":[],"same":0}` {
		t.Errorf("%s, %v", body, err)
	}
}
