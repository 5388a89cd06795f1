package waiters

import (
	"bytes"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	// maxOutput is how much of a command's output is kept, in bytes.
	maxOutput = 64 << 10
	// maxShown is how much of a text appears in an Observation or a name, in characters.
	maxShown = 120
)

// capped keeps the first maxOutput bytes and lets the rest go by.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if room := maxOutput - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// last is the last line that is not empty.
func (c *capped) last() string { return lastLine(c.String()) }

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return shorten(text[strings.LastIndexByte(text, '\n')+1:])
}

// shown writes values that are handed on only in the run (stages.HandedOpen)
// as the stack file does.
var shown = strings.NewReplacer(handedOpen, "${", handedClose, "}")

const (
	handedOpen  = "\uE000"
	handedClose = "\uE001"
)

// shorten makes text one line that fits into a report.
func shorten(text string) string {
	text = clean(shown.Replace(strings.Join(strings.Fields(text), " ")))
	if r := []rune(text); len(r) > maxShown {
		return string(r[:maxShown-1]) + "…"
	}
	return text
}

// matches tells whether re matches text, with or without the line end that it
// closes with: ^live$ is meant for the file of one line, too.
func matches(re *regexp.Regexp, text []byte) bool {
	return re.Match(text) || re.Match(bytes.TrimRight(text, "\r\n"))
}

// withOutput adds what was printed, if anything was.
func withOutput(text, output string) string {
	if output == "" {
		return text
	}
	return text + ": " + output
}

// short reads the short form: a scalar that is not empty.
func (d *decoder) short(node *yaml.Node) (string, bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" || node.Value == "" {
		return "", false
	}
	return node.Value, true
}
