package waiters

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stagehand-dev/stagehand/events"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string]events.Progress{
		"::progress 41.2/98.0 Mblocks::syncing":        {Done: 41.2, Total: 98, Unit: "Mblocks", Text: "syncing"},
		"::progress 12::text":                          {Done: 12, Text: "text"},
		"::progress 12::":                              {Done: 12},
		"::progress 3 files::a::b \r\n":                {Done: 3, Unit: "files", Text: "a::b"},
		"::progress 0/0::":                             {},
		"::progress 5/3 million blocks::\x1b[31mred\a": {Done: 5, Total: 3, Unit: "million blocks", Text: "[31mred"},
	} {
		p, key, value, ok := ParseLine(line)
		if !ok || p == nil || *p != want || key+value != "" {
			t.Errorf("%q: got %+v, %q, %q, %v; want %+v", line, p, key, value, ok, want)
		}
	}
	for line, want := range map[string][2]string{
		"::set port=8080::":          {"port", "8080"},
		"::set a_B-1=x=y::z:: \r\n":  {"a_B-1", "x=y::z"},
		"::set empty=::":             {"empty", ""},
		"::set spaced= two words ::": {"spaced", " two words "},
	} {
		p, key, value, ok := ParseLine(line)
		if !ok || p != nil || key != want[0] || value != want[1] {
			t.Errorf("%q: got %v, %q, %q, %v", line, p, key, value, ok)
		}
	}
	for _, line := range []string{
		"", "hello", "::progress", "::progress 12", "::progress -1::", "::progress NaN::", "::progress 0x10::", "::progress 1/x::", "::progress 1/2/3::",
		"::progress ::text", "::progress 1_000::", " ::progress 1::", "::set x=1", "::set =1::", "::set 1x=1::", "::set x::", "::set a b=1::",
		"::progress 1e5::", "::progress " + strings.Repeat("9", 400) + "::",
	} {
		if p, key, value, ok := ParseLine(line); ok || p != nil || key+value != "" {
			t.Errorf("%q: got %v, %q, %q", line, p, key, value)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"::progress 41.2/98.0 Mblocks::syncing", "::set key=value::", "::progress 12::text", "::set a=\xff::"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, key, _, ok := ParseLine(line)
		switch {
		case ok != (p != nil || key != ""):
			t.Fatalf("%q: ok is %v with %v and %q", line, ok, p, key)
		case p != nil && (p.Done < 0 || p.Total < 0 || !utf8.ValidString(p.Text+p.Unit) || strings.ContainsAny(p.Text+p.Unit, "\x1b\r\n")):
			t.Fatalf("%q: %+v", line, p)
		case ok && !strings.HasPrefix(line, "::"):
			t.Fatalf("%q is no directive", line)
		}
	})
}
