// Package exit is how a command line ends: the table of exit codes, the errors
// that mean them, and what people are told.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views/text"
)

// The exit codes, as Table explains them.
const (
	Done        = 0
	Ours        = 1
	Usage       = 2
	Failed      = 3
	TimedOut    = 4
	Engine      = 5
	Lock        = 6
	OverBudget  = 7
	Conflict    = 9
	Interrupted = 130 // 128 + SIGINT, as shells have it
)

var codes = []struct {
	code    int
	meaning string
}{
	{Done, "done"},
	{Ours, "stagehand itself failed, or its ledger"},
	{Usage, "the command line or the stack file has a problem"},
	{Failed, "a step failed"},
	{TimedOut, "a wait timed out"},
	{Engine, "the engine cannot be reached, or broke"},
	{Lock, "another run holds the stack's lock, or it was lost"},
	{OverBudget, "start-up took longer than its budget, with --strict"},
	{Conflict, "a conflict: something that is not the stack's is in the way, an app is deployed otherwise, or the version does not follow on the recorded one"},
	{Interrupted, "interrupted"},
}

// Table is the table of the help text.
func Table() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range codes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

// Error is an error with the exit code that it means. A nil Err has been told already.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Misuse is a mistake in the command line.
func Misuse(format string, args ...any) error { return &Error{Usage, fmt.Errorf(format, args...)} }

// ErrInterrupted: the user asked to stop.
var ErrInterrupted = errors.New("interrupted")

// CodeOf maps an error to its exit code.
func CodeOf(err error) int {
	var explicit *Error
	var file *ledger.FileError
	var held *containers.HeldError
	var deployed *runner.DeployedError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &explicit):
		return explicit.Code
	case errors.As(err, &held), errors.Is(err, containers.ErrLeaseLost), errors.Is(err, ledger.ErrFenced):
		return Lock
	case errors.Is(err, ErrInterrupted):
		return Interrupted
	case errors.As(err, &deployed), errors.Is(err, ledger.ErrDeployed):
		return Conflict
	case errors.Is(err, problems.ErrFile), errors.Is(err, ledger.ErrAddress):
		return Usage
	case errors.Is(err, runner.ErrLedger), errors.As(err, &file):
		return Ours
	case errors.Is(err, containers.ErrConflict):
		return Conflict
	case errors.Is(err, containers.ErrUnavailable):
		return Engine
	}
	return Ours
}

// OfEngine marks what a call to the engine or the runner has failed with: what
// is neither the ledger's nor a conflict is a broken engine.
func OfEngine(err error) error {
	if code := CodeOf(err); err == nil || code != Ours || errors.Is(err, runner.ErrLedger) || errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Engine, fmt.Errorf("the engine broke: %w", err)}
}

// Tell tells the error to people and returns its code.
func Tell(w io.Writer, err error) int {
	var explicit *Error
	var file *problems.Error
	var deployed *runner.DeployedError
	switch {
	case err == nil, errors.As(err, &explicit) && explicit.Err == nil:
	case errors.Is(err, syscall.EPIPE):
		return Done // whoever read our output has seen enough
	case errors.As(err, &deployed) && errors.As(err, &file):
		fmt.Fprint(w, err)
		fmt.Fprintf(w, "stagehand: %s: nothing was done\n", text.Plural(len(file.All()), "conflict"))
	case errors.As(err, &file):
		fmt.Fprint(w, err)
		fmt.Fprintf(w, "stagehand: %s: nothing was done\n", count(file.All()))
	case errors.Is(err, ErrInterrupted) && err.Error() == ErrInterrupted.Error():
		fmt.Fprintln(w, "stagehand: interrupted")
	default:
		fmt.Fprintf(w, "stagehand: %v\n", err)
	}
	return CodeOf(err)
}

func count(all []problems.Problem) string {
	wrong, warnings := 0, 0
	for _, p := range all {
		if p.Warning {
			warnings++
		} else {
			wrong++
		}
	}
	said := text.Plural(wrong, "problem")
	if warnings > 0 {
		said += ", " + text.Plural(warnings, "warning")
	}
	return said
}
