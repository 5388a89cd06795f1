package steps

import (
	"fmt"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var short, long tail
	for i := range 3 * keptLines {
		short.add(fmt.Sprint(i))
		long.add(strings.Repeat("x", maxLine-8) + fmt.Sprintf("%08d", i))
	}
	if got := short.lines(); len(got) != keptLines || got[0] != fmt.Sprint(2*keptLines) || got[keptLines-1] != fmt.Sprint(3*keptLines-1) {
		t.Errorf("%d lines, from %s to %s", len(got), got[0], got[len(got)-1])
	}
	got := long.lines()
	if size := len(strings.Join(got, "")); len(got) != keptBytes/maxLine || size > keptBytes || !strings.HasSuffix(got[len(got)-1], "00002999") {
		t.Errorf("%d lines of %d bytes", len(got), size)
	}
	if got := few(short.lines()); len(got) != tailLines || got[tailLines-1] != fmt.Sprint(3*keptLines-1) {
		t.Errorf("%q", got)
	}
	if got := few([]string{"a"}); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
