package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
)

// The exit codes, as exitTable explains them.
const (
	exitDone        = 0
	exitOurs        = 1
	exitUsage       = 2
	exitFailed      = 3
	exitTimedOut    = 4
	exitEngine      = 5
	exitLock        = 6
	exitConflict    = 9
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitDone, "done"},
	{exitOurs, "stagehand itself failed, or its ledger"},
	{exitUsage, "the command line or the stack file has a problem"},
	{exitFailed, "a step failed"},
	{exitTimedOut, "a wait timed out"},
	{exitEngine, "the engine cannot be reached, or broke"},
	{exitLock, "another process holds the stack's lock"},
	{exitConflict, "a conflict: something that is not the stack's is in the way"},
	{exitInterrupted, "interrupted"},
}

// exitTable is the table of the help text.
func exitTable() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

// coded is an error with the exit code that it means. A nil err has been told already.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

// usage is a mistake in the command line.
func usage(format string, args ...any) error { return &coded{exitUsage, fmt.Errorf(format, args...)} }

// errInterrupted: the user asked to stop.
var errInterrupted = errors.New("interrupted")

// codeOf maps an error to its exit code.
func codeOf(err error) int {
	var explicit *coded
	var file *ledger.FileError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &explicit):
		return explicit.code
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, problems.ErrFile), errors.Is(err, ledger.ErrAddress):
		return exitUsage
	case errors.Is(err, runner.ErrLedger), errors.As(err, &file):
		return exitOurs
	case errors.Is(err, containers.ErrConflict):
		return exitConflict
	case errors.Is(err, containers.ErrUnavailable):
		return exitEngine
	}
	return exitOurs
}

// ofEngine marks what a call to the engine or the runner has failed with: what
// is neither the ledger's nor a conflict is a broken engine.
func ofEngine(err error) error {
	if code := codeOf(err); err == nil || code != exitOurs || errors.Is(err, runner.ErrLedger) || errors.Is(err, context.Canceled) {
		return err
	}
	return &coded{exitEngine, fmt.Errorf("the engine broke: %w", err)}
}

// report tells the error to people and returns its code.
func (in *invocation) report(err error) int {
	var explicit *coded
	var file *problems.Error
	switch {
	case err == nil, errors.As(err, &explicit) && explicit.err == nil:
	case errors.Is(err, syscall.EPIPE):
		return exitDone // whoever read our output has seen enough
	case errors.As(err, &file):
		fmt.Fprint(in.Stderr, err)
		in.say("%s: nothing was created", countProblems(file.All()))
	case errors.Is(err, errInterrupted) && err.Error() == errInterrupted.Error():
		in.say("interrupted")
	default:
		in.say("%v", err)
	}
	return codeOf(err)
}

func countProblems(all []problems.Problem) string {
	wrong, warnings := 0, 0
	for _, p := range all {
		if p.Warning {
			warnings++
		} else {
			wrong++
		}
	}
	text := plural(wrong, "problem")
	if warnings > 0 {
		text += ", " + plural(warnings, "warning")
	}
	return text
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
