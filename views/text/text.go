// Package text writes what people read: times, counts, tables, and nothing
// that could disturb their terminal.
package text

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Duration in the two largest units that count: 340ms, 2.1s, 3m05s, 2h07m, 3d04h.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 59950*time.Millisecond: // later ones would be rounded to 60.0s
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Clock is the time since a run's start: 12.345, 3:07.120, 2:03:07.1.
func Clock(d time.Duration) string {
	d = max(d, 0)
	seconds := float64(d%time.Minute) / float64(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.2f", truncate(seconds, 100))
	case d < time.Hour:
		return fmt.Sprintf("%d:%05.2f", int(d.Minutes()), truncate(seconds, 100))
	}
	return fmt.Sprintf("%d:%02d:%04.1f", int(d.Hours()), int(d.Minutes())%60, truncate(seconds, 10))
}

// truncate keeps 59.999 from being printed as 60.00.
func truncate(seconds, parts float64) float64 { return float64(int(seconds*parts)) / parts }

// Plural is "1 step", "2 steps".
func Plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Joined joins what is not empty.
func Joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}

// Tail is the last n lines.
func Tail(lines []string, n int) []string { return lines[max(len(lines)-n, 0):] }

// Clean makes text safe to print on one line of a terminal: what a container
// printed must not move the cursor or change the colours.
func Clean(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, unshown) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case unshown(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.TrimRight(text, "\r\n"), "\uFFFD"))
}

// unshown tells of what controls the terminal, or how wide the sign before it is: terminals, and those who
// measure for them, disagree about the latter.
func unshown(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Variation_Selector, r) }

// Table aligns rows; the first is the heading. Cells of the last column are
// not padded.
func Table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// screen is the width, in characters, that tables keep to where they can.
const screen = 80

// Wrapped is Table with the cells of the last column broken over several lines
// where they would not fit on the screen: beneath their column, or, where that
// is too narrow, beneath the whole row.
func Wrapped(rows [][]string) string {
	heads := make([][]string, len(rows))
	for i, row := range rows {
		heads[i] = append(slices.Clone(row[:len(row)-1]), "")
	}
	width := 0
	for text := range strings.Lines(Table(heads)) {
		width = max(width, utf8.RuneCountInString(strings.TrimRight(text, "\n")))
	}
	width += 2
	var b strings.Builder
	lines := strings.Split(Table(heads), "\n")
	for i, row := range rows {
		head, cell := lines[i], row[len(row)-1]
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(head))
		room, margin := screen-width, strings.Repeat(" ", width)
		switch {
		case cell == "":
			b.WriteString(head + "\n")
			continue
		case utf8.RuneCountInString(cell) <= room:
			b.WriteString(head + pad + cell + "\n")
			continue
		case room >= 30:
			b.WriteString(head + pad)
		default:
			margin, room = "    ", screen-4
			b.WriteString(head + "\n" + margin)
		}
		b.WriteString(strings.Join(wrap(cell, room), "\n"+margin) + "\n")
	}
	return b.String()
}

// wrap breaks text at spaces into lines of at most width characters; a longer word stands alone.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		line = Joined(" ", line, word)
	}
	return append(lines, line)
}
