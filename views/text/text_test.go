package text

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Tables keep to the screen where they can, and lose nothing.
func TestWrapped(t *testing.T) {
	words := strings.TrimSpace(strings.Repeat("word ", 30))
	for _, first := range []string{"a", strings.Repeat("long", 14)} {
		text := Wrapped([][]string{{"STEP", "DETAIL"}, {first, words}, {"b", ""}, {"c", "short"}})
		for line := range strings.Lines(text) {
			if len(strings.TrimRight(line, "\n")) > screen {
				t.Errorf("too long: %q", line)
			}
			if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("blanks at the end: %q", line)
			}
		}
		if got := strings.Count(text, "word"); got != 30 {
			t.Errorf("%d of 30 words:\n%s", got, text)
		}
	}
	if got := Wrapped([][]string{{"A", "B"}, {"x", strings.Repeat("y", 200)}}); got != "A  B\nx  "+strings.Repeat("y", 200)+"\n" {
		t.Error(got)
	}
}

// What a container prints must neither move the cursor nor break the line.
func TestClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := Clean(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")))
		if strings.ContainsAny(got, "\n\r\x1b\x00\x07\u009b") {
			t.Errorf("%q", got)
		}
	})
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * time.Millisecond: "999ms", 59940 * time.Millisecond: "59.9s", 59999 * time.Millisecond: "1m00s",
		185 * time.Second: "3m05s", 127 * time.Minute: "2h07m", 76 * time.Hour: "3d04h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("duration(%v) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0.00", 59999 * time.Millisecond: "59.99", 61 * time.Second: "1:01.00", 3*time.Hour + 2*time.Minute + 3250*time.Millisecond: "3:02:03.2",
	} {
		if got := Clock(d); got != want {
			t.Errorf("clock(%v) = %s, want %s", d, got, want)
		}
	}
}
