package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/doctor"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [OPTIONS]",
		Short: "Looks whether engine and ledger are well, and says what to do where not",
		Long: `Looks at what every run needs, and says of all that is not well what to do: whether
the engine answers, speaks an API that suits, and lets containers be made (it takes a
lease and gives it back); how much room its disk and the ledger's have; whether its
clock is right; what dead runs have left; what is known to go wrong with engines that
are set up like this one; and whether the ledger can be opened. No stack file is needed.

The exit code is 5 where something has failed that is the engine's, 1 where it is the
ledger's. Warnings leave it at 0.`,
		Example: `  stagehand doctor
  stagehand doctor --engine ssh://me@build --json`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runDoctor(cmd.Context()) },
	}
}

func (in *invocation) runDoctor(ctx context.Context) error {
	ours := in.examineLedger(ctx)
	theirs, err := in.examineEngine(ctx)
	if err != nil {
		return err
	}
	failed, warnings, code := 0, 0, exit.Done
	for i, list := range [][]doctor.Check{ours, theirs} {
		for _, c := range list {
			switch c.State {
			case doctor.Failed:
				failed, code = failed+1, []int{exit.Ours, exit.Engine}[i]
			case doctor.Warning:
				warnings++
			}
		}
	}
	checks := append(theirs, ours...)
	if in.flags.JSON {
		err = views.WriteJSON(in.Stdout, struct {
			Checks   []doctor.Check `json:"checks"`
			Failed   int            `json:"failed"`
			Warnings int            `json:"warnings"`
		}{checks, failed, warnings})
	} else {
		_, err = fmt.Fprint(in.Stdout, findings(checks, failed, warnings))
	}
	if err == nil && code != exit.Done {
		err = &exit.Error{Code: code}
	}
	return err
}

func findings(checks []doctor.Check, failed, warnings int) string {
	var rows [][]string
	for _, c := range checks {
		rows = append(rows, []string{string(c.State), c.Of, text.Clean(c.Text)})
		if c.Mend != "" {
			rows = append(rows, []string{"", "", "→ " + text.Clean(c.Mend)})
		}
	}
	verdict := "all is well"
	if failed+warnings > 0 {
		verdict = text.Plural(failed, "failure") + ", " + text.Plural(warnings, "warning")
	}
	return text.Wrapped(rows) + verdict + "\n"
}

func (in *invocation) examineEngine(ctx context.Context) ([]doctor.Check, error) {
	engine, err := in.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return doctor.Refusal(err), nil
	}
	id := runID()
	checks, err := doctor.Examination{
		Engine: engine, Holder: in.holder(), Free: free, Lease: "doctor-" + id[strings.LastIndexByte(id, '-')+1:],
	}.Run(ctx)
	return checks, errors.Join(err, engine.Close())
}

// free is how much room there is for everybody where the path leads.
func free(path string) (doctor.Room, error) {
	usage, err := disk.Usage(path)
	if err != nil {
		return doctor.Room{}, err
	}
	room := doctor.Room{Bytes: usage.Free, Files: -1}
	if usage.InodesTotal > 0 { // some file systems make them as they are needed
		room.Files = int64(usage.InodesFree)
	}
	return room, nil
}

func (in *invocation) examineLedger(ctx context.Context) []doctor.Check {
	l, err := in.OpenLedger(ctx)
	if err != nil {
		return []doctor.Check{doctor.Ledger("", err)}
	}
	path := l.Path()
	checks := []doctor.Check{doctor.Ledger(path, l.Close())}
	if _, err := os.Stat(path); err == nil {
		checks = append(checks, doctor.Disk(filepath.Dir(path), "remove what can go there, or name another file with --ledger", free))
	}
	return checks
}
