// Package texts makes what containers and people wrote fit to be shown and
// compared: one line, no control characters, not too long.
package texts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"
)

const (
	// maxOutput is how much of a command's output is kept, in bytes.
	maxOutput = 64 << 10
	// maxLine is the longest part of a log line that is kept, in bytes.
	maxLine = 16 << 10
	// maxText is the longest text that Clean keeps, in characters.
	maxText = 200
	// maxShown is how much of a text appears in an Observation or a name, in characters.
	maxShown = 120
)

// Capped keeps the first 64 KiB that are written to it and lets the rest go by.
type Capped struct{ bytes.Buffer }

// Write never fails.
func (c *Capped) Write(p []byte) (int, error) {
	if room := maxOutput - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Last is the last line that is not empty, shortened.
func (c *Capped) Last() string { return LastLine(c.String()) }

// LastLine is the last line that is not empty, shortened.
func LastLine(text string) string {
	text = strings.TrimSpace(text)
	return Shorten(text[strings.LastIndexByte(text, '\n')+1:])
}

// shown writes values that are handed on only in the run as the stack file does.
var shown = strings.NewReplacer(HandedOpen, "${", handedClose, "}")

// HandedOpen and its counterpart stand around the name of a value that is
// handed on only in the run. They are those of package stages, a floor above.
const (
	HandedOpen  = "\uE000"
	handedClose = "\uE001"
)

// Shorten makes text one line that fits into a report.
func Shorten(text string) string {
	text = Clean(shown.Replace(strings.Join(strings.Fields(text), " ")))
	if r := []rune(text); len(r) > maxShown {
		return string(r[:maxShown-1]) + "…"
	}
	return text
}

// Match tells whether re matches text, with or without the line end that it
// closes with: ^live$ is meant for the file of one line, too.
func Match(re *regexp.Regexp, text []byte) bool {
	return re.Match(text) || re.Match(bytes.TrimRight(text, "\r\n"))
}

// WithOutput adds what was printed, if anything was.
func WithOutput(text, output string) string {
	if output == "" {
		return text
	}
	return text + ": " + output
}

// EachLine gives each line without its end to do, until do returns false. A
// line longer than 16 KiB is cut.
func EachLine(r io.Reader, do func(line string) bool) error {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		text := strings.TrimRight(string(line), "\r\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if len(line) > 0 && !do(text) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Clean makes text fit for a terminal: no control characters, at most 200 characters.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.TrimSpace(text)
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText-1]) + "…"
	}
	return text
}
