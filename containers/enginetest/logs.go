package enginetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

var logCases = []Case{
	{"the log is the same before and after the end", logsBeforeAndAfter},
	{"both streams are in the log, whole lines", logsBothStreams},
	{"long lines arrive whole", logsLongLines},
	{"tail gives the last lines", logsTail},
	{"follow gives lines as they come and ends with the container", logsFollow},
	{"follow of an ended container gives all and ends", logsFollowEnded},
	{"ahead of its start a container's log is asked for, and is whole", logsAhead},
	{"timestamps stand before each line, and since leaves out what is older", logsTimes},
}

func logsBeforeAndAfter(t *testing.T, h Harness) {
	s := newStage(t, h)
	spec := s.spec("a", "count 3 line then trap SIGTERM 0s exit 0")
	equal(s, "log of a created one", s.logs(s.create(spec), containers.LogOptions{}), "")
	s.must(h.Engine.Start(s.ctx, spec.Name))
	s.printed(spec.Name, "ready")
	want := "line 1\nline 2\nline 3\nready\n"
	equal(s, "log while it runs", s.logs(spec.Name, containers.LogOptions{}), want)
	_, err := h.Engine.Stop(s.ctx, spec.Name, s.Slack)
	s.must(err)
	equal(s, "log after the end", s.logs(spec.Name, containers.LogOptions{}), want+"got SIGTERM\n")
}

func logsBothStreams(t *testing.T, h Harness) {
	s := newStage(t, h)
	// The engine may read the two streams one after the other, so only the
	// pauses make the order certain.
	status := s.finish(s.spec("a", "print out 1 then sleep 100ms then warn err 1 then sleep 100ms then print out 2"))
	equal(s, "log", s.logs(status.Name, containers.LogOptions{}), "out 1\nerr 1\nout 2\n")
}

func logsLongLines(t *testing.T, h Harness) {
	s := newStage(t, h)
	// Docker's json-file driver cuts lines at 16 KiB: three of its pieces and a bit.
	status := s.finish(s.spec("a", "print before then long 50000 then print after"))
	want := "before\n" + strings.Repeat("x", 50000) + "\nafter\n"
	if got := s.logs(status.Name, containers.LogOptions{}); got != want {
		t.Errorf("got %d bytes with %d lines, want %d bytes with 3 lines", len(got), strings.Count(got, "\n"), len(want))
	}
}

func logsTail(t *testing.T, h Harness) {
	s := newStage(t, h)
	status := s.finish(s.spec("a", "count 20 n"))
	equal(s, "tail 2", s.logs(status.Name, containers.LogOptions{Tail: 2}), "n 19\nn 20\n")
	equal(s, "tail of more than there is", strings.Count(s.logs(status.Name, containers.LogOptions{Tail: 100}), "\n"), 20)
	equal(s, "all", strings.Count(s.logs(status.Name, containers.LogOptions{}), "\n"), 20)
}

func logsFollow(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "count 3 early then trap SIGTERM 0s print late"))
	reader, err := h.Engine.Logs(s.ctx, name, containers.LogOptions{Follow: true, Tail: 1})
	s.must(err)
	defer reader.Close()
	lines := bufio.NewReader(reader)
	first, err := lines.ReadString('\n')
	s.must(err)
	equal(s, "first line", first, "ready\n")
	// Only now is there more: what came before was given while the program ran.
	_, err = h.Engine.Stop(s.ctx, name, s.Slack)
	s.must(err)
	rest, err := io.ReadAll(lines)
	s.must(err)
	equal(s, "the rest", string(rest), "got SIGTERM\nlate\n")
}

func logsFollowEnded(t *testing.T, h Harness) {
	s := newStage(t, h)
	status := s.finish(s.spec("a", "count 3 n then exit 1"))
	ctx, cancel := context.WithTimeout(s.ctx, s.Slack)
	defer cancel()
	reader, err := h.Engine.Logs(ctx, status.Name, containers.LogOptions{Follow: true})
	s.must(err)
	defer reader.Close()
	text, err := io.ReadAll(reader)
	s.must(err)
	equal(s, "log", string(text), "n 1\nn 2\nn 3\n")
}

func logsAhead(t *testing.T, h Harness) {
	s := newStage(t, h)
	spec := s.spec("a", "count 2000 n then long 50000 then print last then exit 3")
	spec.Labels[containers.LabelRole] = containers.RoleHelper
	s.create(spec)
	reader, err := h.Engine.Logs(s.ctx, spec.Name, containers.LogOptions{Follow: true, Ahead: true})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the engine has no stream of what does not run yet")
	}
	s.must(err)
	defer reader.Close()
	s.must(h.Engine.Start(s.ctx, spec.Name))
	text, err := io.ReadAll(reader)
	s.must(err)
	equal(s, "exit code", s.wait(spec.Name).ExitCode, 3)
	if want := s.logs(spec.Name, containers.LogOptions{}); string(text) != want || !strings.HasSuffix(want, "last\n") {
		t.Errorf("%d bytes ahead of its start, %d afterwards", len(text), len(want))
	}

	// A reading of what never starts ends when it is told to.
	spec = s.spec("b", "exit 0")
	spec.Labels[containers.LabelRole] = containers.RoleHelper
	s.create(spec)
	reader, err = h.Engine.Logs(s.ctx, spec.Name, containers.LogOptions{Follow: true, Ahead: true})
	s.must(err)
	s.check(reader.Close())
}

func logsTimes(t *testing.T, h Harness) {
	s := newStage(t, h)
	status := s.finish(s.spec("a", "print one then sleep 1500ms then print two"))
	text := s.logs(status.Name, containers.LogOptions{Timestamps: true})
	var times []time.Time
	var words []string
	for line := range strings.Lines(text) {
		stamp, word, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		s.must(err)
		times, words = append(times, at), append(words, word)
	}
	if fmt.Sprint(words) != "[one two]" {
		t.Fatalf("lines with time: %q", text)
	}
	if gap := times[1].Sub(times[0]); gap < time.Second || times[0].Before(status.Started.Add(-time.Second)) {
		t.Errorf("times %v, started %v", times, status.Started)
	}
	equal(s, "since between the two", s.logs(status.Name, containers.LogOptions{Since: times[0].Add(700 * time.Millisecond)}), "two\n")
}
