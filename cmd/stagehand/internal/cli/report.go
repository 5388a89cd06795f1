package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/budget"
	"github.com/stagehand-dev/stagehand/views/junit"
	"github.com/stagehand-dev/stagehand/views/metrics"
)

// reports is what a run is asked to leave for others to read.
type reports struct {
	junit, metrics string
	strict         bool
}

func (r *reports) bind(f *pflag.FlagSet) {
	f.StringVar(&r.junit, "junit", "", "`FILE` to write a JUnit report to, a case for each step")
	f.StringVar(&r.metrics, "metrics", "", "`FILE` to write the run's timings to, as Prometheus reads them")
	f.BoolVar(&r.strict, "strict", false, "a start-up that took longer than its budget is a failure, exit code 7")
}

// reported is which run a report is about.
type reported struct {
	run string
	// base is the stack's name in its file, which an ephemeral run's differs from.
	base string
}

// prepare empties the JUnit report's file: an old report is not to pass for this
// run's. One that cannot be written is to be known now. Metrics stay until there are newer ones.
func (in *invocation) prepare(r *reports) error {
	if r.metrics != "" {
		r.metrics = in.Within(r.metrics)
		if err := atomically(r.metrics, nil); err != nil {
			return exit.Misuse("--metrics: %v: nothing was done", err)
		}
	}
	if r.junit == "" {
		return nil
	}
	r.junit = in.Within(r.junit)
	if err := os.WriteFile(r.junit, nil, 0o644); err != nil {
		return exit.Misuse("--junit: %v: nothing was done", err)
	}
	return nil
}

// report writes the reports of a run, and tells where it went over a budget. err is how the
// run has ended, and is returned unless it is nil and there is something worse to tell.
func (in *invocation) report(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported, o reports, err error, more ...junit.Case) error {
	history, broken := w.Ledger.Events(context.WithoutCancel(ctx), r.run, 0)
	if broken != nil {
		return errors.Join(err, broken)
	}
	over, notes := false, in.failures(stack, history)
	for _, a := range budget.Of(stack, history) {
		c := junit.Case{Class: "budget", Name: a.Stage, Took: a.Took}
		if a.Stage == "" {
			c.Name = r.base
		}
		if a.Over() {
			over = true
			in.say("warning: %s", a)
			level := "warning"
			if o.strict {
				level = "error"
			}
			notes = append(notes, note{level, "start-up took longer than its budget", a.String(), a.Stage})
			if o.strict {
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
	in.annotate(stack, history, notes)
	if err == nil && over && o.strict {
		err = &exit.Error{Code: exit.OverBudget}
	}
	if o.metrics != "" {
		broken := atomically(o.metrics, func(w io.Writer) error { return metrics.Write(w, r.base, history) })
		if broken != nil {
			in.say("no metrics: %v", broken)
			if err == nil {
				err = &exit.Error{Code: exit.Ours}
			}
		}
	}
	if o.junit == "" {
		return err
	}
	if broken := writeJUnit(o.junit, junit.Report{Name: r.base, Host: in.holder().Host, Run: history, More: more}); broken != nil {
		in.say("no JUnit report: %v", broken)
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
