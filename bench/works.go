//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/api"
	"github.com/stagehand-dev/stagehand/bench/internal/figures"
)

// works are all that is measured, in the order of the document.
func (b *bench) works() []work {
	return []work{
		b.withFloor(b.stackWork("staged", "1 init, 8 set-ups, 8 services with healthchecks every 1 s: to all healthy", staged(1), stagedApps, b.healthy, 0.55, 0.45), stagedApps, bareStaged),
		b.stackWork("slow", "the same with healthchecks every 5 s", staged(5), stagedApps, b.healthy, 0.33, 0.25),
		b.withFloor(b.stackWork("chain", "chain of 20 one-shots, then a service", chain(20), 1, b.first, 0.38, 0.34), 1, bareChain(20)),
		b.stackWork("staged-shared", "the first stack with `helper_network: shared`", sharing(staged(1)), stagedApps, b.healthy, 0.55, 0.45),
		b.stackWork("slow-shared", "the second, likewise", sharing(staged(5)), stagedApps, b.healthy, 0.33, 0.25),
		b.stackWork("chain-shared", "the chain, likewise", sharing(chain(20)), 1, b.first, 0.38, 0.34),
		b.stackWork("again", "second `up` of the first stack, nothing changed", staged(1), stagedApps, b.second, 0.06, 0.03),
		b.stackWork("plain", "second `up` of 25 plain services", plain(25), 25, b.second, 0.40, 0.25),
		b.stackWork("down", "`down` of 25 services", plain(25), 0, b.down, 0.80, 0.60),
		b.helpersWork("helpers", "100 helpers, 8 at a time, create to destroyed and recorded", "own", 1.05, 1.00),
		b.helpersWork("shared", "the same in one shared network namespace (`network: shared`)", "shared", 0.70, 0.40),
		b.planWork(),
		b.lagWork(),
		b.memoryWork(),
		b.tenantsWork(),
	}
}

// act is what of a tool is measured on a project.
type act func(ctx context.Context, t tool, p project) (reading, error)

// first brings the project up from nothing.
func (b *bench) first(ctx context.Context, t tool, p project) (reading, error) {
	return timed(ctx, t.program, t.up(p)...)
}

// healthy brings it up and fails unless the test of each running service's healthcheck
// was seen to pass before that was over, whoever asked for it.
func (b *bench) healthy(ctx context.Context, t tool, p project) (reading, error) {
	passed := map[string]time.Time{} // the first time, by container
	stop, err := p.follow(ctx, func(e api.Event) bool {
		if _, known := passed[e.Name]; !known && e.Action == "exec_die" && e.ExitCode == "0" {
			passed[e.Name] = e.At
		}
		return false
	})
	if err != nil {
		return reading{}, err
	}
	r, err := b.first(ctx, t, p)
	over := time.Now()
	if err := errors.Join(err, stop(false)); err != nil {
		return r, err
	}
	list, err := b.engine.Containers(ctx, p.name)
	if err != nil {
		return r, err
	}
	for _, c := range list {
		name := strings.TrimPrefix(c.Names[0], "/")
		if at, ok := passed[name]; c.State == "running" && (!ok || at.After(over)) {
			return r, fmt.Errorf("`up` was over before %s was healthy", name)
		}
	}
	return r, nil
}

// second brings it up and measures the next up.
func (b *bench) second(ctx context.Context, t tool, p project) (reading, error) {
	if r, err := b.first(ctx, t, p); err != nil {
		return r, err
	}
	return b.first(ctx, t, p)
}

// down brings it up and measures taking it down.
func (b *bench) down(ctx context.Context, t tool, p project) (reading, error) {
	if r, err := b.first(ctx, t, p); err != nil {
		return r, err
	}
	return timed(ctx, t.program, t.down(p)...)
}

// stackWork has each tool do the act on a project of its own, and afterwards
// looks whether as many containers run as should.
func (b *bench) stackWork(name, title, file string, running int, do act, atMost, reach float64) work {
	w := work{name: name, title: title, units: takenUnits, claims: []figures.Claim{
		{Title: title, Metric: "time", Ours: ours, Theirs: theirs, Also: theirs5, AtMost: atMost, Reach: reach},
	}}
	for _, t := range b.tools() {
		w.parties = append(w.parties, party{t.name, func(ctx context.Context) (measurement, error) {
			p, err := b.newProject(file)
			if err != nil {
				return nil, err
			}
			r, err := do(ctx, t, p)
			if err == nil {
				err = b.running(ctx, p, running)
			}
			if err := errors.Join(err, p.end(ctx)); err != nil {
				return nil, err
			}
			return r.taken(), nil
		}})
	}
	return w
}

// running is an error unless so many of the project's containers run.
func (b *bench) running(ctx context.Context, p project, want int) error {
	list, err := b.engine.Containers(ctx, p.name)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range list {
		if c.State == "running" {
			names = append(names, strings.Join(c.Names, " "))
		}
	}
	if len(names) != want {
		return fmt.Errorf("%d containers run, and it should be %d: %v", len(names), want, slices.Sorted(slices.Values(names)))
	}
	return nil
}

// planWork compares reading a large file.
func (b *bench) planWork() work {
	const title = "`plan` of 1,000 services, against `config -q`"
	w := work{name: "plan", title: title, units: takenUnits, claims: []figures.Claim{
		{Title: title + ": time", Metric: "time", Ours: ours, Theirs: theirs, Also: theirs5, AtMost: 1.10, Reach: 0.80},
		{Title: title + ": memory", Metric: "memory", Ours: ours, Theirs: theirs, Also: theirs5, AtMost: 1.10, Reach: 0.80},
	}}
	for _, t := range b.tools() {
		w.parties = append(w.parties, party{t.name, func(ctx context.Context) (measurement, error) {
			p, err := b.newProject(wide(1000))
			if err != nil {
				return nil, err
			}
			args := []string{"-p", p.name, "-f", p.file, "config", "-q"}
			if t.name == ours {
				args = []string{"plan", "--ledger", p.ledger, "-p", p.name, "-f", p.file}
			}
			r, err := timed(ctx, t.program, args...)
			if err != nil {
				return nil, err
			}
			return r.taken(), nil
		}})
	}
	return w
}
