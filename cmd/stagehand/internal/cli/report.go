package cli

import (
	"context"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/reports"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/junit"
)

// reported is which run a report is about.
type reported struct {
	run string
	// base is the stack's name in its file, which an ephemeral run's differs from.
	base string
}

// report writes the reports of a run that has ended with err: see reports.Writer.
func (in *invocation) report(ctx context.Context, w *workshop.Tools, stack *stages.Stack, r reported, o reports.Flags, err error, more ...junit.Case) error {
	return reports.Writer{
		Flags: o, Run: r.run, Stack: stack, Base: r.base, Ledger: w.Ledger, Host: in.holder().Host,
		Getenv: in.Getenv, Say: in.say, Stderr: in.Stderr, Masker: in.masker,
	}.Write(ctx, err, more...)
}
