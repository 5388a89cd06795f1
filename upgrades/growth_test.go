package upgrades_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/upgrades"
)

// counted counts the calls of a store.
type counted struct {
	upgrades.Store
	calls atomic.Int64
}

func (c *counted) Status(ctx context.Context, d upgrades.Deployment) (upgrades.Status, error) {
	c.calls.Add(1)
	return c.Store.Status(ctx, d)
}

func (c *counted) ClaimBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, limit int) (upgrades.Batch, bool, error) {
	c.calls.Add(1)
	return c.Store.ClaimBatch(ctx, by, d, step, limit)
}

func (c *counted) EndBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, batch int) error {
	c.calls.Add(1)
	return c.Store.EndBatch(ctx, by, d, step, batch)
}

func (c *counted) Settle(ctx context.Context, holder string, d upgrades.Deployment, t upgrades.TenantStatus) error {
	c.calls.Add(1)
	return c.Store.Settle(ctx, holder, d, t)
}

// TestGrowth: ten times as many tenants are ten times as many calls, and 10,000 of them fit into 200 MB. What it takes
// is told, not judged: that is the machine's.
func TestGrowth(t *testing.T) {
	upgrade := func(tenants int) (calls int64) {
		store := &counted{Store: &upgrades.Memory{}}
		names := make([]string, tenants)
		for i := range names {
			names[i] = fmt.Sprintf("tenant-%05d", i)
		}
		o := upgrades.Options{Store: store, Deployment: upgrades.Deployment{Name: "shop"}, Version: upgrades.MustVersion("1.2.0"), Workers: 4}
		at, err := upgrades.New(o)
		if err == nil {
			err = at.Record(t.Context())
			at.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		var done atomic.Int64
		work := func(context.Context, upgrades.Step, string) error {
			if done.Add(1)%1000 == 0 {
				var m runtime.MemStats
				if runtime.ReadMemStats(&m); m.HeapAlloc > 200<<20 {
					t.Errorf("%d MB after %d", m.HeapAlloc>>20, done.Load())
				}
			}
			return nil
		}
		o.Version = upgrades.Version{}
		o.Handles = []upgrades.VersionHandle{
			upgrades.Funcs{From: upgrades.MustVersion("1.2.0"), Version: upgrades.MustVersion("1.4.0"), Tenant: work},
			upgrades.Funcs{From: upgrades.MustVersion("1.4.0"), Version: upgrades.MustVersion("1.5.0"), Tenant: work},
		}
		o.Tenants = func(context.Context) ([]string, error) { return names, nil }
		s, err := upgrades.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		began := time.Now()
		if err := s.BootstrapUpgrade(t.Context()); err != nil || done.Load() != int64(2*tenants) {
			t.Fatalf("%v, %d of %d", err, done.Load(), 2*tenants)
		}
		t.Logf("%d tenants, 2 steps: %s, %d calls", tenants, time.Since(began), store.calls.Load())
		return store.calls.Load()
	}
	if few, many := upgrade(1000), upgrade(10000); many > few*10+few/10 {
		t.Errorf("%d calls for 1,000 tenants and %d for 10,000", few, many)
	}
}
