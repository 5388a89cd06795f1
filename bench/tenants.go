//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/figures"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// tenantsCommand has this program upgrade a stack's tenants on the memory engine, in a process
// of its own whose memory can be read: on-memory-tenants TENANTS LEDGER.
const tenantsCommand = "on-memory-tenants"

// tenantSizes are numbers of tenants.
var tenantSizes = []int{1000, 10000}

func tenants(n int) string { return fmt.Sprintf("%d tenants", n) }

// tenantsWork measures how an upgrade grows with the number of tenants.
func (b *bench) tenantsWork() work {
	const title = "an upgrade's tenants on the memory engine"
	few, many := tenants(tenantSizes[0]), tenants(tenantSizes[1])
	w := work{
		name: "tenants", title: title, repetitions: 3,
		units: map[string]string{"plan and list": second, "upgrade": second, "upgrade: a tenant": milli, "peak": mebi},
		claims: []figures.Claim{
			{Title: "an upgrade of 1,000 tenants: its plan and the list of where each tenant stands", Metric: "plan and list", Ours: few, Statistic: figures.Maximum, AtMost: 1},
			{Title: "an upgrade of 10,000 tenants on the memory engine: peak memory", Metric: "peak", Ours: many, Statistic: figures.Maximum, AtMost: 200},
			{Title: "the same: time a tenant, against 1,000 tenants (linear is 1)", Metric: "upgrade: a tenant", Ours: many, Theirs: few, AtMost: 1.25},
		},
	}
	for _, n := range tenantSizes {
		w.parties = append(w.parties, party{tenants(n), func(ctx context.Context) (measurement, error) { return b.onMemoryTenants(ctx, n) }})
	}
	return w
}

func (b *bench) onMemoryTenants(ctx context.Context, n int) (measurement, error) {
	var took upgraded
	r, err := itself(ctx, &took, tenantsCommand, strconv.Itoa(n), b.newLedger())
	if err != nil {
		return nil, err
	}
	m := measurement{"plan and list": {took.PlanAndList}, "upgrade": {took.Upgrade}, "upgrade: a tenant": {1e3 * took.Upgrade / float64(n)}}
	m.peak("peak", r)
	return m, nil
}

// upgraded is what it took, in seconds.
type upgraded struct{ PlanAndList, Upgrade float64 }

func tenantsMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	took, err := upgradeTenants(ctx, args)
	return answered(took, err, stdout, stderr)
}

// tenanted is a stack whose tenants an upgrade takes from 1.0 to 2.0.
const tenanted = `
name: many
version: %s
upgrades: [{to: "2.0", from: "1.0", cluster: migrate, tenant: tenant}]
tenants: {list: list}
services:
  db: {image: db}
  migrate: {image: migrate}
  tenant: {image: migrate}
  list: {image: list}
stages: [{name: db, start: db}]
`

func upgradeTenants(ctx context.Context, args []string) (took upgraded, err error) {
	if len(args) != 2 {
		return upgraded{}, fmt.Errorf("%s: want TENANTS LEDGER", tenantsCommand)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return upgraded{}, err
	}
	engine := memory.New(memory.Options{Images: map[string]memory.Program{
		"migrate": func(context.Context, *memory.Process) int { return 0 },
		"db": func(ctx context.Context, _ *memory.Process) int {
			<-ctx.Done()
			return 0
		},
		"list": func(_ context.Context, p *memory.Process) int {
			for i := range n {
				if _, err := fmt.Fprintf(p.Stdout, "tenant%05d\n", i); err != nil {
					return 1
				}
			}
			return 0
		},
	}})
	defer engine.Halt()
	book, err := ledger.Open(ctx, args[1])
	if err != nil {
		return upgraded{}, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()

	old, err := tenantedStack(ctx, "1.0")
	if err != nil {
		return upgraded{}, err
	}
	result, err := runner.Up(ctx, old, runner.Options{Engine: engine, Sink: &ledger.News{To: book}, Ledger: book, Run: "first"})
	if err != nil || result.Verdict != events.VerdictDone {
		return upgraded{}, fmt.Errorf("the old version ended %s: %w", result.Verdict, err)
	}
	stack, err := tenantedStack(ctx, "2.0")
	if err != nil {
		return upgraded{}, err
	}
	began := time.Now()
	if _, err := runner.Plan(ctx, stack, engine, book, nil, runner.Wish{}); err != nil {
		return upgraded{}, err
	}
	planned := time.Since(began)

	began = time.Now()
	end, err := runner.UpgradeStack(ctx, stack, runner.UpgradeOptions{Engine: engine, Sink: &ledger.News{To: book}, Ledger: book, Run: "second", Retries: -1})
	took.Upgrade = time.Since(began).Seconds()
	if err != nil || end.Verdict != events.VerdictDone || !end.Changed {
		return upgraded{}, fmt.Errorf("the upgrade ended %s: %w", end.Verdict, err)
	}

	info, err := engine.Info(ctx)
	if err != nil {
		return upgraded{}, err
	}
	began = time.Now()
	store, deployment := book.Upgrades(), upgrades.Deployment{Name: stack.Name, Engine: info.ID}
	status, err := store.Status(ctx, deployment)
	if err != nil {
		return upgraded{}, err
	}
	list, err := store.Tenants(ctx, deployment)
	took.PlanAndList = (planned + time.Since(began)).Seconds()
	if err != nil {
		return upgraded{}, err
	}
	if status.Recorded.String() != "2.0" || len(list) != n {
		return upgraded{}, fmt.Errorf("version %s, %d tenants", status.Recorded, len(list))
	}
	return took, nil
}

func tenantedStack(ctx context.Context, version string) (*stages.Stack, error) {
	return stages.Load(ctx, compose.Options{Files: []string{"-"}, Stdin: fmt.Appendf(nil, tenanted, version), Name: "many"})
}
