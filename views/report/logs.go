package report

import (
	"html/template"
	"slices"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/stagehand-dev/stagehand/views/text"
)

// Bytes of HTML that logs may take. What a run's steps take beside them, with errors and
// waits of common length, is about a kilobyte each; the page is to stay under 2 MB.
const (
	pageBytes    = 1400 << 10
	stepBytes    = 1 << 10
	leastBytes   = 300 << 10
	failureBytes = 64 << 10
)

// log is what a container has printed, as it is shown.
type log struct {
	Title string
	Lines []string
	// All is how many lines there were, where there were more.
	All int
	// Command prints all that is kept of them; "" where that is no more.
	Command string
}

// newLog makes a log of printed lines, without the sequences by which programs
// colour them and move the cursor; nil if there are none.
func newLog(title, command string, lines []string) *log {
	if len(lines) == 0 {
		return nil
	}
	l := &log{Title: title, Command: command, All: len(lines)}
	for _, line := range lines {
		l.Lines = append(l.Lines, text.Clean(ansi.Strip(line)))
	}
	return l
}

// last is a log of the last n lines.
func (l *log) last(n int) *log {
	if l == nil {
		return nil
	}
	short := *l
	short.Lines = slices.Clone(text.Tail(l.Lines, n))
	return &short
}

// Cut tells whether lines are missing.
func (l *log) Cut() bool { return len(l.Lines) < l.All }

func bytesOf(line string) int { return len(template.HTMLEscapeString(line)) + 1 }

// bytes is how much of a page the log takes.
func (l *log) bytes() (n int) {
	for _, line := range l.Lines {
		n += bytesOf(line)
	}
	return n
}

// cut drops lines from the beginning until the log takes at most so many bytes. Of the last line
// its beginning is kept, so that no log is dropped as a whole.
func (l *log) cut(most int) {
	size := l.bytes()
	for len(l.Lines) > 1 && size > most {
		size -= bytesOf(l.Lines[0])
		l.Lines = l.Lines[1:]
	}
	if len(l.Lines) == 1 && size > most {
		line := l.Lines[0]
		for line != "" && bytesOf(line)+len("…") > most {
			line = line[:len(line)/2]
		}
		for !utf8.ValidString(line) {
			line = line[:len(line)-1]
		}
		l.Lines = []string{line + "…"}
	}
}

// fit shortens the longest logs until all together take at most so many bytes, and
// returns how many they take: short logs stay whole, long ones get the same room.
func fit(logs []*log, most int) int {
	logs = slices.DeleteFunc(slices.Clone(logs), func(l *log) bool { return l == nil })
	size := make(map[*log]int, len(logs))
	for _, l := range logs {
		size[l] = l.bytes()
	}
	slices.SortStableFunc(logs, func(a, b *log) int { return size[a] - size[b] })
	left := most
	for i, l := range logs {
		l.cut(left / (len(logs) - i))
		left -= l.bytes()
	}
	return most - left
}
