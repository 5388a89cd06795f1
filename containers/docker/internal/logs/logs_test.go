package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func frameOf(stream byte, content string) string {
	header := [8]byte{stream}
	binary.BigEndian.PutUint32(header[4:], uint32(len(content)))
	return string(header[:]) + content
}

func TestDemultiplex(t *testing.T) {
	const stamp, later = "2026-01-01T00:00:00.000000005Z ", "2026-01-01T00:00:01.000000005Z "
	for _, test := range []struct {
		name         string
		times, keep  bool
		frames, want string
	}{
		{"both streams in order", false, false, frameOf(1, "a\n") + frameOf(2, "b\n") + frameOf(1, "c\n"), "a\nb\nc\n"},
		{"a long line in parts, another stream in between", false, false,
			frameOf(1, "long") + frameOf(2, "b\n") + frameOf(1, "er\n"), "b\nlonger\n"},
		{"no newline at the end", false, false, frameOf(1, "a\n") + frameOf(1, "b"), "a\nb"},
		{"times that nobody asked for", true, false, frameOf(1, stamp+"a b\n") + frameOf(1, stamp+"\n"), "a b\n\n"},
		{"times", true, true, frameOf(1, stamp+"a\n") + frameOf(2, later+"b\n"), stamp + "a\n" + later + "b\n"},
		{"times within a long line", true, true, frameOf(1, stamp+"lo") + frameOf(1, later+"ng\n"), stamp + "long\n"},
		{"nothing", true, true, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			w := lineWriter{out: &out, times: test.times, keepTimes: test.keep}
			if err := errors.Join(w.demultiplex(strings.NewReader(test.frames)), w.flush()); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
			if test.name == "times" && !w.last.Equal(time.Date(2026, 1, 1, 0, 0, 1, 5, time.UTC)) {
				t.Errorf("time of the last line: %v", w.last)
			}
		})
	}
}

func TestDemultiplexErrors(t *testing.T) {
	whole := frameOf(1, "abc\n")
	for cut := 1; cut < len(whole); cut++ {
		w := lineWriter{out: io.Discard}
		if err := w.demultiplex(strings.NewReader(whole[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at byte %d: got %v, want unexpected EOF", cut, err)
		}
	}
	w := lineWriter{out: io.Discard}
	if err := w.demultiplex(strings.NewReader(frameOf(3, "disk gone\n"))); err == nil || !strings.Contains(err.Error(), "disk gone") {
		t.Errorf("the engine's own error: got %v", err)
	}
	if err := w.demultiplex(strings.NewReader(frameOf(9, "x"))); err == nil {
		t.Error("an unknown stream is no error")
	}
}
