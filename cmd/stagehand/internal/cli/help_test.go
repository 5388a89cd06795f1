package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
)

// TestHelpHasExamples: the help of every command shows it at work, by command lines that
// this program understands.
func TestHelpHasExamples(t *testing.T) {
	commands := flags.Commands((&invocation{}).root())
	if len(commands) < 30 {
		t.Fatalf("only %d commands", len(commands))
	}
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		var shown []string
		for _, words := range examples(t, c.Example) {
			name, err := understand(words)
			if err != nil {
				t.Errorf("the example %q of %s: %v", strings.Join(words, " "), c.CommandPath(), err)
			}
			shown = append(shown, name)
		}
		if !slices.Contains(shown, c.CommandPath()) && c.HasParent() || len(shown) == 0 {
			t.Errorf("%s --help has no example of itself: %q", c.CommandPath(), c.Example)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s says of itself %q", c.CommandPath(), c.Short)
		}
	}
}

// examples are the command lines of stagehand in the text, as words.
func examples(t *testing.T, text string) (lines [][]string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line, _, _ = strings.Cut(line, " # ")
		words, err := shellwords.Parse(strings.TrimSpace(line)) // ends at > and |
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if len(words) > 0 && words[0] == "stagehand" {
			lines = append(lines, words)
		}
	}
	return lines
}

// understand finds the command that the words mean, and has it read its flags and arguments.
func understand(words []string) (command string, err error) {
	root := (&invocation{}).root()
	c, rest, err := root.Find(flags.Arguments(root, words[1:]))
	if err != nil {
		return "", err
	}
	if err := c.ParseFlags(rest); err != nil {
		return "", err
	}
	if c.Name() == "help" {
		return c.CommandPath(), nil
	}
	return c.CommandPath(), c.ValidateArgs(c.Flags().Args())
}

// The test above must be able to fail.
func TestUnderstandRefuses(t *testing.T) {
	for _, words := range [][]string{
		{"stagehand", "up", "--no-such-flag"}, {"stagehand", "status", "argument"}, {"stagehand", "apps", "shw"}, {"stagehand", "completion", "tcsh"},
	} {
		if name, err := understand(words); err == nil {
			t.Errorf("%q is understood as %s", words, name)
		}
	}
}

// TestEveryWordCanBeCompleted: no command leaves it to the shell to offer files where it takes none.
func TestEveryWordCanBeCompleted(t *testing.T) {
	for _, c := range flags.Commands((&invocation{}).root()) {
		if !c.Hidden && c.HasParent() && c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && c.Name() != "test" {
			t.Errorf("%s: nothing completes its arguments", c.CommandPath())
		}
		for name := range map[string]bool{"run": true, "rerun": true, "from": true} {
			if c.LocalNonPersistentFlags().Lookup(name) == nil {
				continue
			}
			if _, ok := c.GetFlagCompletionFunc(name); !ok {
				t.Errorf("%s: nothing completes --%s", c.CommandPath(), name)
			}
		}
	}
}
