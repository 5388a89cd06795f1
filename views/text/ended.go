package text

import (
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
)

// Exit says in words how the container of an event ended; "" if it did not.
func Exit(e events.Event) string {
	if e.ExitCode == nil {
		return ""
	}
	words := containers.Status{State: containers.StateExited, ExitCode: *e.ExitCode, OOMKilled: e.OOM}.Verdict()
	// What shells and engines mean by these codes. Source: POSIX, Shell Command Language, 2.8.2.
	switch *e.ExitCode {
	case 126:
		words += ": the command cannot be executed"
	case 127:
		words += ": command not found"
	}
	return words
}

// How says how a step ended: its error, with the exit code where that says more.
func How(e events.Event) string {
	code := Exit(e)
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
