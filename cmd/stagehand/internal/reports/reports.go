// Package reports writes what a run leaves for others to read: JUnit, metrics, and what a CI system shows.
package reports

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/budget"
	"github.com/stagehand-dev/stagehand/views/junit"
	"github.com/stagehand-dev/stagehand/views/metrics"
)

// Flags are what a run is asked to leave for others to read.
type Flags struct {
	junit, metrics string
	strict         bool
}

// Bind declares the flags.
func (r *Flags) Bind(f *pflag.FlagSet) {
	f.StringVar(&r.junit, "junit", "", "`FILE` to write a JUnit report to, a case for each step")
	f.StringVar(&r.metrics, "metrics", "", "`FILE` to write the run's timings to, as Prometheus reads them")
	f.BoolVar(&r.strict, "strict", false, "a start-up that took longer than its budget is a failure, exit code 7")
}

// Prepare empties the JUnit report's file: an old report is not to pass for this
// run's. One that cannot be written is to be known now. Metrics stay until there are newer ones. within makes a path
// one from the current folder.
func (r *Flags) Prepare(within func(string) string) error {
	if r.metrics != "" {
		r.metrics = within(r.metrics)
		if err := atomically(r.metrics, nil); err != nil {
			return exit.Misuse("--metrics: %v: nothing was done", err)
		}
	}
	if r.junit == "" {
		return nil
	}
	r.junit = within(r.junit)
	if err := os.WriteFile(r.junit, nil, 0o644); err != nil {
		return exit.Misuse("--junit: %v: nothing was done", err)
	}
	return nil
}

// Writer writes the reports of one run. All must be set.
type Writer struct {
	Flags
	// Run is the run's ID.
	Run   string
	Stack *stages.Stack
	// Base is the stack's name in its file, which an ephemeral run's differs from.
	Base string
	// Ledger has the run's events.
	Ledger *ledger.Ledger
	// Host is this machine's name.
	Host   string
	Getenv func(name string) string
	// Say tells people what is no report; annotations go to Stderr, and Masker hides in them.
	Say    func(format string, args ...any)
	Stderr io.Writer
	Masker *secrets.Masker
}

// Write writes the reports of a run, and tells where it went over a budget. err is how the
// run has ended, and is returned unless it is nil and there is something worse to tell.
func (w Writer) Write(ctx context.Context, err error, more ...junit.Case) error {
	history, broken := w.Ledger.Events(context.WithoutCancel(ctx), w.Run, 0)
	if broken != nil {
		return errors.Join(err, broken)
	}
	over, notes := false, w.failures(history)
	for _, a := range budget.Of(w.Stack, history) {
		c := junit.Case{Class: "budget", Name: a.Stage, Took: a.Took}
		if a.Stage == "" {
			c.Name = w.Base
		}
		if a.Over() {
			over = true
			w.Say("warning: %s", a)
			level := "warning"
			if w.strict {
				level = "error"
			}
			notes = append(notes, note{level, "start-up took longer than its budget", a.String(), a.Stage})
			if w.strict {
				c.Failure, c.Kind = a.String(), "over budget"
			}
		}
		more = append(more, c)
	}
	for _, c := range more {
		if c.Class == "test" && c.Failure != "" {
			notes = append(notes, note{"error", "the command failed", c.Name + ": " + c.Failure, ""})
		}
	}
	w.annotate(history, notes)
	if err == nil && over && w.strict {
		err = &exit.Error{Code: exit.OverBudget}
	}
	if w.metrics != "" {
		broken := atomically(w.metrics, func(to io.Writer) error { return metrics.Write(to, w.Base, history) })
		if broken != nil {
			w.Say("no metrics: %v", broken)
			if err == nil {
				err = &exit.Error{Code: exit.Ours}
			}
		}
	}
	if w.junit == "" {
		return err
	}
	if broken := writeJUnit(w.junit, junit.Report{Name: w.Base, Host: w.Host, Run: history, More: more}); broken != nil {
		w.Say("no JUnit report: %v", broken)
		if err == nil {
			err = &exit.Error{Code: exit.Ours}
		}
	}
	return err
}

func writeJUnit(path string, r junit.Report) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(junit.Write(file, r), file.Close())
}

// atomically replaces the file by what write writes, which no reader ever sees in part. Everybody may read it, as who collects
// metrics is another user. With a nil write it only tries whether that can be done, and changes nothing.
func atomically(path string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // not *.prom: collectors pass it over
	if err != nil {
		return err
	}
	if write != nil {
		err = write(file)
	}
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil && write != nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil || write == nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}
