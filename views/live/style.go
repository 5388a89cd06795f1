package live

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// The styles use the terminal's own sixteen colours, so that they suit its theme. What
// they say is said by a sign or a word, too: there may be no colours.
var (
	plain  = inkOf(lipgloss.NewStyle())
	faint  = inkOf(lipgloss.NewStyle().Faint(true))
	strong = inkOf(lipgloss.NewStyle().Bold(true))
	good   = inkOf(lipgloss.NewStyle().Foreground(lipgloss.Green))
	busy   = inkOf(lipgloss.NewStyle().Foreground(lipgloss.Cyan))
	alert  = inkOf(lipgloss.NewStyle().Foreground(lipgloss.Yellow))
	bad    = inkOf(lipgloss.NewStyle().Foreground(lipgloss.Red))
)

// ink is what a style puts before and after a text. A style itself asks at each text for its
// borders and margins, which is most of what a frame would cost.
type ink struct{ before, after string }

func inkOf(s lipgloss.Style) ink {
	before, after, _ := strings.Cut(s.Render("x"), "x")
	return ink{before, after}
}

// Render puts the ink around a text.
func (i ink) Render(text string) string {
	if text == "" {
		return ""
	}
	return i.before + text + i.after
}

// spinner turns while something is at work.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// sign is a state's sign and its style; turn counts the frames.
func (s state) sign(turn int) (string, ink) {
	switch s {
	case failed:
		return "✗", bad
	case stopping:
		return "■", alert
	case retrying:
		return "↻", alert
	case running, waiting:
		return spinner[turn%len(spinner)], busy
	case pending:
		return "·", faint
	case missed:
		return "-", alert
	}
	return "✓", good
}
