package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/upgrades"
)

const upgradeFile = "testdata/upgrade.yaml"

// upgraded are the effects of a stack that has come from 1.0 to 3.0.
var upgraded = map[string]int{
	"data": 1, "2.0-prepare": 1,
	"2.0-cluster": 1, "2.0-t1": 1, "2.0-t2": 1, "2.0-t3": 1,
	"3.0-cluster": 1, "3.0-t1": 1, "3.0-t2": 1, "3.0-t3": 1,
}

// TestUpgradeKilledAtEveryPoint: before and after each call of the store of versions, too. The next run goes on, each part
// is done once, and the version is reached.
func TestUpgradeKilledAtEveryPoint(t *testing.T) {
	first, stack := loadWith(t, upgradeFile, "VERSION=1.0"), loadWith(t, upgradeFile)
	ask := func(plan ...life) story { return story{first: first, stack: stack, lives: plan, versions: true} }
	undisturbed := tell(t, ask())
	if diff := cmp.Diff(upgraded, undisturbed.lines); diff != "" || len(undisturbed.bad) > 0 {
		t.Fatalf("undisturbed: %q, effects (-want +got):\n%s", undisturbed.bad, diff)
	}
	c := &court{t: t, want: undisturbed}
	judge := func(s story) {
		t.Helper()
		v := c.judge(s)
		if diff := cmp.Diff(upgraded, v.lines); diff != "" || v.version != "3.0" {
			t.Errorf("died %q: version %s, effects (-want +got):\n%s", v.deaths, v.version, diff)
		}
	}
	for point := 1; point <= undisturbed.points; point++ {
		// Nobody watches for long enough that what was begun has ended, or not at all.
		for _, pause := range []time.Duration{0, 5 * time.Second} {
			s := ask(life{Dies: point})
			s.pause = pause
			judge(s)
		}
		judge(ask(life{Dies: point}, life{Dies: undisturbed.points / 3}))
	}
	t.Logf("%d points, %d stories, %d bad", undisturbed.points, c.stories, c.bad)
}

// Upgrades is the store of versions, where the story has one.
func (p *process) Upgrades() upgrades.Store {
	if p.book.versions == nil {
		return nil
	}
	return versions{p}
}

// versions is the store as a process has it: each call that changes something has a point before it is
// durable and one after, each other one a point.
type versions struct{ p *process }

func (v versions) store() upgrades.Store { return v.p.book.versions }

func changing[R any](v versions, what string, act func() (R, error)) (R, error) {
	var none R
	if !v.p.point("before %s", what) {
		return none, errKilled
	}
	result, err := act()
	if !v.p.point("after %s", what) {
		return none, errKilled
	}
	return result, err
}

func changeOnly(v versions, what string, act func() error) error {
	_, err := changing(v, what, func() (struct{}, error) { return struct{}{}, act() })
	return err
}

func looking[R any](v versions, what string, act func() (R, error)) (R, error) {
	var none R
	if !v.p.point("reading %s", what) {
		return none, errKilled
	}
	return act()
}

func (v versions) Join(ctx context.Context, h upgrades.Holder) error {
	v.p.book.join(h, v.p)
	return changeOnly(v, "Join", func() error { return v.store().Join(ctx, h) })
}

// Beat has no point: when it comes depends on the clock alone.
func (v versions) Beat(ctx context.Context, holder string) error {
	if v.p.alive.Err() != nil {
		return errKilled
	}
	return v.store().Beat(ctx, holder)
}

func (v versions) Leave(ctx context.Context, holder string) error {
	return changeOnly(v, "Leave", func() error { return v.store().Leave(ctx, holder) })
}

func (v versions) Bury(ctx context.Context, h upgrades.Holder) error {
	return changeOnly(v, "Bury", func() error { return v.store().Bury(ctx, h) })
}

func (v versions) Holders(ctx context.Context) ([]upgrades.Holder, error) {
	return looking(v, "Holders", func() ([]upgrades.Holder, error) {
		holders, err := v.store().Holders(ctx)
		for i, h := range holders {
			if v.p.book.joined(h).alive.Err() != nil {
				holders[i].Process += "1" // the PID of one that began later: whoever is on the same host sees that
			}
		}
		return holders, err
	})
}

func (v versions) Lock(ctx context.Context, holder, key string) (bool, error) {
	return changing(v, "Lock", func() (bool, error) { return v.store().Lock(ctx, holder, key) })
}

func (v versions) Unlock(ctx context.Context, holder, key string) error {
	return changeOnly(v, "Unlock", func() error { return v.store().Unlock(ctx, holder, key) })
}

func (v versions) Once(ctx context.Context, holder, key string, work upgrades.Work) error {
	return changeOnly(v, "Once", func() error { return v.store().Once(ctx, holder, key, work) })
}

func (v versions) Marked(ctx context.Context, key string) (bool, error) {
	return looking(v, "Marked", func() (bool, error) { return v.store().Marked(ctx, key) })
}

func (v versions) Status(ctx context.Context, d upgrades.Deployment) (upgrades.Status, error) {
	return looking(v, "Status", func() (upgrades.Status, error) { return v.store().Status(ctx, d) })
}

func (v versions) Tenants(ctx context.Context, d upgrades.Deployment) ([]upgrades.TenantStatus, error) {
	return looking(v, "Tenants", func() ([]upgrades.TenantStatus, error) { return v.store().Tenants(ctx, d) })
}

func (v versions) Begin(ctx context.Context, holder string, d upgrades.Deployment, recorded, target upgrades.Version, steps []upgrades.Step) error {
	return changeOnly(v, "Begin", func() error { return v.store().Begin(ctx, holder, d, recorded, target, steps) })
}

func (v versions) ClaimStep(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) (bool, error) {
	return changing(v, "ClaimStep", func() (bool, error) { return v.store().ClaimStep(ctx, by, d, step) })
}

func (v versions) ReleaseStep(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) error {
	return changeOnly(v, "ReleaseStep", func() error { return v.store().ReleaseStep(ctx, by, d, step) })
}

func (v versions) Prepared(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) error {
	return changeOnly(v, "Prepared", func() error { return v.store().Prepared(ctx, by, d, step) })
}

func (v versions) List(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int, tenants []string, size int) error {
	return changeOnly(v, "List", func() error { return v.store().List(ctx, by, d, step, tenants, size) })
}

func (v versions) ClaimBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, limit int) (upgrades.Batch, bool, error) {
	type claim struct {
		batch upgrades.Batch
		got   bool
	}
	c, err := changing(v, "ClaimBatch", func() (claim, error) {
		batch, got, err := v.store().ClaimBatch(ctx, by, d, step, limit)
		return claim{batch, got}, err
	})
	return c.batch, c.got, err
}

func (v versions) ClaimTenant(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int, tenant string) (upgrades.TenantStatus, bool, error) {
	type claim struct {
		tenant upgrades.TenantStatus
		got    bool
	}
	c, err := changing(v, "ClaimTenant", func() (claim, error) {
		tenant, got, err := v.store().ClaimTenant(ctx, by, d, step, tenant)
		return claim{tenant, got}, err
	})
	return c.tenant, c.got, err
}

func (v versions) EndBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, batch int) error {
	return changeOnly(v, "EndBatch", func() error { return v.store().EndBatch(ctx, by, d, step, batch) })
}

func (v versions) Settle(ctx context.Context, holder string, d upgrades.Deployment, t upgrades.TenantStatus) error {
	return changeOnly(v, "Settle", func() error { return v.store().Settle(ctx, holder, d, t) })
}

func (v versions) Reopen(ctx context.Context, holder string, d upgrades.Deployment) error {
	return changeOnly(v, "Reopen", func() error { return v.store().Reopen(ctx, holder, d) })
}

func (v versions) Forget(ctx context.Context, d upgrades.Deployment) error {
	return changeOnly(v, "Forget", func() error { return v.store().Forget(ctx, d) })
}
