// Package workshop finds and opens what a command line is about: the stack's
// files, the ledger, the engine; and closes what it has opened.
package workshop

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/secrets"
)

// Options are where a command line stands. All must be set but Dir and Environ.
type Options struct {
	Flags *flags.Globals
	Stdin io.Reader
	// Stderr gets warnings.
	Stderr io.Writer
	// Dir is the current folder; "" is the process's.
	Dir string
	// Environ is the environment as KEY=VALUE; nil is the process's.
	Environ []string
	// Connect connects to the engine that an endpoint names.
	Connect func(ctx context.Context, endpoint string) (containers.Engine, error)
	// Masker learns the secrets of what is read, and hides them in warnings.
	Masker *secrets.Masker
	// Say tells people what is no warning of the files.
	Say func(format string, args ...any)
}

// Workshop is one command line's. It is not safe for concurrent use, but for Connect and OpenLedger.
type Workshop struct {
	o      Options
	opened []io.Closer
}

// New returns a workshop that has opened nothing yet; it is to be closed.
func New(o Options) *Workshop { return &Workshop{o: o} }

// Close closes what Ledger, Engine and Tools have opened, the latest first.
func (w *Workshop) Close() error {
	var errs []error
	for _, opened := range slices.Backward(w.opened) {
		errs = append(errs, opened.Close())
	}
	return errors.Join(errs...)
}

// Within is a path as the user means it: from the current folder.
func (w *Workshop) Within(path string) string {
	if w.o.Dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(w.o.Dir, path)
}

// Getenv reads the environment.
func (w *Workshop) Getenv(name string) string {
	if w.o.Environ == nil {
		return os.Getenv(name)
	}
	for _, pair := range slices.Backward(w.o.Environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// Environment is the environment as KEY=VALUE.
func (w *Workshop) Environment() []string {
	if w.o.Environ == nil {
		return os.Environ()
	}
	return w.o.Environ
}
