package texts

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestShorten(t *testing.T) {
	for text, want := range map[string]string{
		" two\n  words\t":                   "two words",
		"\x1b[31mred\a":                     "[31mred",
		"a\xffb":                            "ab",
		HandedOpen + "INIT_X" + handedClose: "${INIT_X}",
		strings.Repeat("é", 120):            strings.Repeat("é", 120),
		strings.Repeat("é", 121):            strings.Repeat("é", 119) + "…",
	} {
		if got := Shorten(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"^live$", "live", true}, {"^live$", "live\r\n", true}, {"^live$", "live\nx\n", false}, {`live\n$`, "live\n", true},
	} {
		if got := Match(regexp.MustCompile(c.pattern), []byte(c.text)); got != c.want {
			t.Errorf("/%s/ on %q: %v", c.pattern, c.text, got)
		}
	}
}

// A command that never stops printing takes no more memory than 64 KiB.
func TestCapped(t *testing.T) {
	var c Capped
	for i := range 10_000 {
		if n, err := fmt.Fprintf(&c, "line %d\n", i); n < 7 || err != nil {
			t.Fatal(n, err)
		}
	}
	if c.Len() != 64<<10 || !strings.HasPrefix(c.String(), "line 0\nline 1\n") {
		t.Errorf("kept %d bytes: %.20q", c.Len(), c.String())
	}
	c.Reset()
	_, _ = c.Write([]byte("first\nlast\n\n"))
	if got := c.Last(); got != "last" {
		t.Errorf("the last line is %q", got)
	}
}

func TestEachLine(t *testing.T) {
	text := "a\r\n\n" + strings.Repeat("x", 40_000) + "\nlast"
	var got []string
	add := func(line string) bool { got = append(got, line); return true }
	if err := EachLine(strings.NewReader(text), add); err != nil || !slices.Equal(got, []string{"a", "", strings.Repeat("x", maxLine), "last"}) {
		t.Errorf("%v: %.40q", err, got)
	}
	got = nil
	if err := EachLine(strings.NewReader("a\nb\n"), func(line string) bool { add(line); return false }); err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("told to stop: %v: %q", err, got)
	}
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "a\n"); _ = w.CloseWithError(io.ErrUnexpectedEOF) }()
	if err := EachLine(r, add); err != io.ErrUnexpectedEOF {
		t.Errorf("a log that breaks off: %v", err)
	}
}
