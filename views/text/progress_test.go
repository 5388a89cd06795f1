package text

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/events"
)

var began = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// The estimate of a steady pace is right, whatever the pace.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.Float64Range(0.1, 1000).Draw(t, "pace")
		seconds := rapid.IntRange(10, 100000).Draw(t, "seconds")
		at := rapid.IntRange(1, seconds-1).Draw(t, "at")
		var e Pace
		total := perSecond * float64(seconds)
		e.Add(events.Progress{Done: 0, Total: total}, began)
		got := e.Add(events.Progress{Done: perSecond * float64(at), Total: total}, began.Add(time.Duration(at)*time.Second))
		left := time.Duration(seconds-at) * time.Second
		if left < 3*time.Second && got == 0 {
			return // it is over before it is read
		}
		if diff := (got - left).Abs(); diff > time.Millisecond {
			t.Errorf("%v, want %v", got, left)
		}
	})
	var e Pace
	for i, p := range []events.Progress{{Done: 5}, {Done: 6}, {Done: 1, Total: 10}, {Done: 1, Total: 10}, {Done: 10, Total: 10}, {Done: 11, Total: 10}} {
		if got := e.Add(p, began.Add(time.Duration(i)*time.Minute)); got != 0 {
			t.Errorf("report %d: %v where nothing can be known", i, got)
		}
	}
	// The next of several stretches begins a pace of its own.
	e = Pace{}
	for i, test := range []struct {
		done float64
		want time.Duration
	}{{0, 0}, {50, time.Minute}, {100, 0}, {0, 0}, {20, 4 * time.Minute}, {19, 8*time.Minute + 31*time.Second}} {
		if got := e.Add(events.Progress{Done: test.done, Total: 100}, began.Add(time.Duration(i)*time.Minute)); got.Truncate(time.Second) != test.want {
			t.Errorf("report %d, %v of 100: %v, want %v", i, test.done, got, test.want)
		}
	}
}
