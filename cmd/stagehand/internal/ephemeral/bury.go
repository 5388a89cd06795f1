package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/reaper"
)

// Bury does in the ledger what a runner that died did not: nothing that its
// run did counts any more, and the run has an end. A ledger that is gone is
// not made anew.
func Bury(ctx context.Context, r reaper.Request) (err error) {
	if !strings.Contains(r.Ledger, "://") {
		if _, err := os.Stat(r.Ledger); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	l, err := ledger.Open(ctx, r.Ledger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Forget(ctx, r.Stack, r.EngineID); err != nil {
		return err
	}
	all, err := l.Events(ctx, r.Run, 0)
	if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(e events.Event) bool { return e.Kind == events.RunEnded }) {
		return err
	}
	first, last := all[0], all[len(all)-1]
	now := time.Now().UTC()
	err = l.Emit(ctx, events.Event{
		V: events.Version, Seq: last.Seq + 1, Time: now, Run: r.Run, Stack: r.Stack, Kind: events.RunEnded, Verb: first.Verb,
		Verdict: events.VerdictInterrupted, Elapsed: now.Sub(first.Time), Error: "the runner died; what the run had made was removed",
	})
	if err != nil {
		return fmt.Errorf("the end of run %s: %w", r.Run, err)
	}
	return nil
}
