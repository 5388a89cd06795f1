package views

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
)

// duration in the two largest units that count: 340ms, 2.1s, 3m05s, 2h07m, 3d04h.
func duration(d time.Duration) string {
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

// clock is the time since a run's start: 12.345, 3:07.120, 2:03:07.1.
func clock(d time.Duration) string {
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

// exit says in words how the container of an event ended; "" if it did not.
func exit(e events.Event) string {
	if e.ExitCode == nil {
		return ""
	}
	text := containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	// What shells and engines mean by these codes. Source: POSIX, Shell Command Language, 2.8.2.
	switch *e.ExitCode {
	case 126:
		text += ": the command cannot be executed"
	case 127:
		text += ": command not found"
	}
	return text
}

// how says how a step ended: its error, with the exit code where that says more.
func how(e events.Event) string {
	code := exit(e)
	if e.Outcome == events.TimedOut {
		e.Error = strings.TrimPrefix(e.Error, "timed out, ") // its outcome says that
	}
	plain, _, _ := strings.Cut(code, ": ")
	switch {
	case e.Error == "" || e.Error == plain:
		return code
	case code == "" || strings.Contains(e.Error, plain):
		return e.Error
	}
	return code + ": " + e.Error
}

// progress is "41.2/98.0 Mblocks, 42%: text".
func progress(p events.Progress) string {
	if p.Done == 0 && p.Total == 0 && p.Unit == "" {
		return p.Text
	}
	var parts []string
	amount := number(p.Done)
	if p.Total > 0 {
		amount = fmt.Sprintf("%s/%s", amount, number(p.Total))
	}
	if p.Unit != "" {
		amount += " " + p.Unit
	}
	parts = append(parts, amount)
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", int(100*p.Done/p.Total)))
	}
	text := strings.Join(parts, ", ")
	if p.Text != "" {
		text += ": " + p.Text
	}
	return text
}

func number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}

// Clean makes text safe to print on one line of a terminal: what a container
// printed must not move the cursor or change the colours.
func Clean(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.TrimRight(text, "\r\n"), "\uFFFD"))
}

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

// wrapped is Table with the cells of the last column broken over several lines
// where they would not fit on the screen: beneath their column, or, where that
// is too narrow, beneath the whole row.
func wrapped(rows [][]string) string {
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
		line = joined(" ", line, word)
	}
	return append(lines, line)
}

// url turns an address of an event, HOST:PORT->PORT/PROTOCOL, into what a browser takes,
// with host in place of an address that stands for all.
func url(address, host string) string {
	outside, inside, ok := strings.Cut(address, "->")
	if !ok || !strings.HasSuffix(inside, "/tcp") {
		return address
	}
	at := strings.LastIndexByte(outside, ':')
	if at < 0 {
		return address
	}
	return link(strings.Trim(outside[:at], "[]"), outside[at+1:], strings.TrimSuffix(inside, "/tcp"), host)
}

// link is a URL for a published TCP port. Most ports of stacks speak HTTP;
// those known to be something else are left as they are.
func link(ip, port, inside, host string) string {
	if host == "" {
		host = "localhost"
	}
	if address, err := netip.ParseAddr(ip); err == nil && !address.IsUnspecified() {
		host = ip
		if address.Is6() {
			host = "[" + ip + "]"
		}
		if address.IsLoopback() {
			host = "localhost"
		}
	}
	scheme := "http"
	switch inside {
	case "443", "8443":
		scheme = "https"
	case "5432", "3306", "6379", "27017", "5672", "9042", "22", "1433", "9092", "11211":
		return host + ":" + port
	}
	return scheme + "://" + host + ":" + port
}

// links turns addresses into what people open, each once.
func links(addresses []string, host string) []string {
	var out []string
	for _, a := range addresses {
		if l := url(a, host); !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}
