package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/ephemeral"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/reaper"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

func (in *invocation) gc() *cobra.Command {
	var dry bool
	var older time.Duration
	cmd := &cobra.Command{
		Use:   "gc [OPTIONS]",
		Short: "Finds and removes what dead runs have left on the engine",
		Long: `Shows what dead runs have left on the engine, of all stacks or with -p of one,
and removes it: ephemeral runs' containers, networks and volumes; helpers
that have ended and whose runner is dead, and those that were kept and whose
time is over; probes, and images of probes that nobody has used for a day.

It never touches a service of a lasting run, what belongs to a live runner, or
what stagehand did not make. A helper that still runs although its runner is dead is
shown and spared, since the next up takes it over; --older removes it too.`,
		Example: `  stagehand gc --dry-run
  stagehand gc --older 1h
  stagehand gc -p demo --older 0s  # helpers of demo that still run, too`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if older < 0 {
				return exit.Misuse("--older %s: expected a duration such as 1h30m", older)
			}
			s := reaper.Search{Stack: in.flags.Name}
			if cmd.Flags().Changed("older") {
				s.Older = &older
			}
			return in.runGC(cmd.Context(), s, dry)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show only, change nothing")
	cmd.Flags().DurationVar(&older, "older", 0, "spare what is younger than `DURATION` (as 90m), and take helpers too that still run")
	return cmd
}

func (in *invocation) runGC(ctx context.Context, s reaper.Search, dry bool) error {
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	s.Engine = engine
	if s.Alive, err = ephemeral.Alive(engine); err != nil {
		return exit.OfEngine(err)
	}
	found, err := reaper.Find(ctx, s)
	if err != nil {
		return exit.OfEngine(err)
	}
	if in.flags.JSON {
		return in.collectJSON(ctx, s, found, dry)
	}
	fmt.Fprint(in.Stdout, leftoverTable(found))
	if dry || len(found.Leftovers) == 0 {
		fmt.Fprintln(in.Stdout, leftoverCount(found.Leftovers)+ifAny(found.Leftovers, "; removed nothing (--dry-run)"))
		return nil
	}
	failed := 0
	err = reaper.Remove(ctx, s, found.Leftovers, func(l reaper.Leftover, err error) {
		if err != nil {
			failed++
		}
	})
	fmt.Fprintf(in.Stdout, "%s; removed %d\n", leftoverCount(found.Leftovers), len(found.Leftovers)-failed)
	return exit.OfEngine(err)
}

// collectJSON writes one object: what was found, and of each leftover what became of it.
func (in *invocation) collectJSON(ctx context.Context, s reaper.Search, found reaper.Findings, dry bool) error {
	type row struct {
		reaper.Leftover
		Removed bool   `json:"removed"`
		Error   string `json:"error,omitempty"`
	}
	out := struct {
		Leftovers []row             `json:"leftovers"`
		Spared    []reaper.Leftover `json:"spared"`
	}{[]row{}, append([]reaper.Leftover{}, found.Spared...)}
	var err error
	if dry {
		for _, l := range found.Leftovers {
			out.Leftovers = append(out.Leftovers, row{Leftover: l})
		}
	} else {
		err = reaper.Remove(ctx, s, found.Leftovers, func(l reaper.Leftover, err error) {
			r := row{Leftover: l, Removed: err == nil}
			if err != nil {
				r.Error = err.Error()
			}
			out.Leftovers = append(out.Leftovers, r)
		})
	}
	return errors.Join(views.WriteJSON(in.Stdout, out), exit.OfEngine(err))
}

func leftoverTable(found reaper.Findings) string {
	var rows [][]string
	now := time.Now()
	for _, group := range []struct {
		mark string
		list []reaper.Leftover
	}{{"remove", found.Leftovers}, {"spare", found.Spared}} {
		for _, l := range group.list {
			age := ""
			if !l.Since.IsZero() {
				age = text.Duration(now.Sub(l.Since))
			}
			rows = append(rows, []string{group.mark, string(l.Kind), l.Name, age, l.Cause})
		}
	}
	return text.Table(rows)
}

// leftoverCount is "3 leftovers: 1 container, 2 volumes".
func leftoverCount(list []reaper.Leftover) string {
	if len(list) == 0 {
		return "no leftovers"
	}
	var parts []string
	for _, kind := range []reaper.Kind{reaper.Container, reaper.Network, reaper.Volume, reaper.Image} {
		n := 0
		for _, l := range list {
			if l.Kind == kind {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, text.Plural(n, string(kind)))
		}
	}
	return text.Plural(len(list), "leftover") + ": " + strings.Join(parts, ", ")
}

func ifAny(list []reaper.Leftover, words string) string {
	if len(list) == 0 {
		return ""
	}
	return words
}
