package text

import (
	"testing"

	"github.com/stagehand-dev/stagehand/events"
)

func TestHow(t *testing.T) {
	code := func(n int) *int { return &n }
	for want, e := range map[string]events.Event{
		"":                           {},
		"exit 3":                     {ExitCode: code(3), Error: "exit 3"},
		"out of memory (exit 137)":   {ExitCode: code(137), OOM: true},
		"did it, but not so: exit 3": {ExitCode: code(3), Error: "did it, but not so: exit 3"},
		"exit 3: vanished":           {ExitCode: code(3), Error: "vanished"},
		"exit 126: the command cannot be executed": {ExitCode: code(126), Error: "exit 126"},
	} {
		if got := How(e); got != want {
			t.Errorf("How(%+v) = %q, want %q", e, got, want)
		}
	}
}
