package upgradestest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/upgrades"
)

// History plays a random history of one deployment against the store, and against a naive model of what an upgrade
// is: runs, of any version, that are killed anywhere between what they do and what they record; tenants that come,
// go, break and are mended; single tenants on demand. After each turn both must have done the same in the same order, come
// to the same end and record the same. ttl is how long a killed run's claims last.
func History(t *rapid.T, store upgrades.Store, ttl time.Duration) {
	h := &history{store: store, ttl: ttl, land: newLand(), model: &model{}}
	h.model.land = h.land
	defer h.end()
	for range rapid.IntRange(1, 12).Draw(t, "turns") {
		h.turn(t)
	}
}

const (
	modelBatch   = 2
	modelRetries = 1
)

// land is the world that both play in: who is there, and who is broken.
type land struct {
	tenants []string
	broken  map[string]bool
	next    int
}

func newLand() *land { return &land{broken: map[string]bool{}} }

// rude tenants are gone without a word: their upgrade just fails.
func rude(tenant string) bool { return tenant[len(tenant)-1]%2 == 0 }

// history is one being played.
type history struct {
	store upgrades.Store
	ttl   time.Duration
	land  *land
	model *model
	dead  []*upgrades.Service
}

func (h *history) end() {
	for _, s := range h.dead {
		_ = s.Close() // its store answers nothing any more
	}
}

var modelVersions = []string{"1.0", "1.1", "1.2", "1.2+1", "1.3"}

func (h *history) turn(t *rapid.T) {
	l := h.land
	switch act := rapid.SampledFrom([]string{"run", "run", "run", "one", "all", "add", "delete", "break", "mend"}).Draw(t, "turn"); act {
	case "add":
		for range rapid.IntRange(1, 4).Draw(t, "how many") {
			l.tenants = append(l.tenants, fmt.Sprintf("t%d", l.next))
			l.next++
		}
	case "delete", "break", "mend":
		if len(l.tenants) == 0 {
			return
		}
		who := rapid.SampledFrom(l.tenants).Draw(t, "who")
		if act == "delete" {
			l.tenants = slices.DeleteFunc(slices.Clone(l.tenants), func(n string) bool { return n == who })
		}
		l.broken[who] = act == "break"
	default:
		tenant := ""
		if act == "one" {
			tenant = fmt.Sprintf("t%d", rapid.IntRange(0, l.next).Draw(t, "who"))
		}
		death := death{at: -1}
		if rapid.Bool().Draw(t, "killed") {
			death.at, death.after = rapid.IntRange(0, 8).Draw(t, "at act"), rapid.Bool().Draw(t, "before it is recorded")
		}
		h.run(t, act, rapid.SampledFrom(modelVersions).Draw(t, "version"), tenant, death)
	}
}

// death comes with the act number at, before it or after it; never where at is negative.
type death struct {
	at    int
	after bool
}

var errDead = errors.New("this process is dead")

// run has both do the same.
func (h *history) run(t *rapid.T, act, version, tenant string, d death) {
	p := &process{Store: h.store, land: h.land, death: d}
	s, err := upgrades.New(upgrades.Options{
		Store: p, Deployment: shop, Version: upgrades.MustVersion(version), Handles: p.handles(), Tenants: p.list,
		CheckUpgrade: h.ttl / 4, CheckTenants: h.ttl / 4, CheckBootstrap: h.ttl / 4, TTL: h.ttl, Backoff: time.Microsecond,
		Workers: 1, Batch: modelBatch, Retries: modelRetries,
	})
	if err != nil {
		t.Fatal(err)
	}
	var changed bool
	switch act {
	case "run":
		err = s.BootstrapUpgrade(context.Background())
	case "one":
		changed, err = s.UpgradeTenant(context.Background(), tenant, modelRetries, false)
	case "all":
		changed, err = s.UpgradeTenant(context.Background(), "", modelRetries, true)
	}
	if p.dead.Load() {
		h.dead = append(h.dead, s)
	} else if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m := h.model
	m.acts, m.death = nil, d
	wantChanged, want := m.turn(act, version, tenant)
	if diff := cmp.Diff(m.acts, p.acts); diff != "" {
		t.Fatalf("what %s %s %s did (-model +store):\n%s", act, version, tenant, diff)
	}
	if got := ending(err); got != want || changed != wantChanged && !p.dead.Load() {
		t.Fatalf("%s %s %s ended with %s (%v), changed %t; the model: %s, %t", act, version, tenant, got, err, changed, want, wantChanged)
	}
	status, err := h.store.Status(context.Background(), shop)
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := h.store.Tenants(context.Background(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.recorded(), recorded(status, tenants)); diff != "" {
		t.Fatalf("what is recorded after %s %s %s (-model +store):\n%s", act, version, tenant, diff)
	}
}

// ending is an error as the model knows it.
func ending(err error) string {
	var aside *upgrades.AsideError
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, errDead):
		return "dead"
	case errors.As(err, &aside):
		var names []string
		for _, t := range aside.Tenants {
			names = append(names, t.Tenant)
		}
		slices.Sort(names)
		return "set aside: " + strings.Join(names, " ")
	case errors.Is(err, upgrades.ErrOlder):
		return "older"
	case errors.Is(err, upgrades.ErrUnderWay):
		return "under way"
	case errors.Is(err, upgrades.ErrGap):
		return "gap"
	case errors.Is(err, upgrades.ErrNoTenant):
		return "no tenant"
	}
	return err.Error()
}

// recorded is what a store has, as lines.
func recorded(s upgrades.Status, tenants []upgrades.TenantStatus) []string {
	lines := []string{fmt.Sprintf("at %q, to %q", s.Recorded, s.Target)}
	for i, step := range s.Steps {
		lines = append(lines, fmt.Sprintf("%s prepared=%t listed=%t", step.Step, step.State != upgrades.StepCreated, step.State == upgrades.UpgradingTenants || step.State == upgrades.StepReady))
		for _, t := range tenants {
			if t.Step == i {
				lines = append(lines, fmt.Sprintf("%d %s %s", t.Batch, t.Tenant, t.State))
			}
		}
	}
	return lines
}

// process is a run that may be killed: from then on its store and its handles do nothing.
type process struct {
	upgrades.Store
	land  *land
	death death
	acts  []string
	dead  atomic.Bool // its signs of life come from a goroutine of their own
}

func (p *process) handles() []upgrades.VersionHandle {
	var all []upgrades.VersionHandle
	for _, step := range [][2]string{{"1.0", "1.1"}, {"1.1", "1.2"}} { // none leads to 1.3
		all = append(all, upgrades.Funcs{
			From: upgrades.MustVersion(step[0]), Version: upgrades.MustVersion(step[1]),
			PrepareFunc: func(_ context.Context, s upgrades.Step, _ bool) error { return p.act("prepare "+s.String(), nil) },
			Cluster:     func(_ context.Context, s upgrades.Step) error { return p.act("cluster "+s.String(), nil) },
			Tenant: func(_ context.Context, s upgrades.Step, tenant string) error {
				var err error
				switch there := slices.Contains(p.land.tenants, tenant); {
				case !there && !rude(tenant):
					err = upgrades.ErrDeleted
				case !there, p.land.broken[tenant]:
					err = errors.New("fails")
				}
				return p.act(tenant+" "+s.String(), err)
			},
		})
	}
	return all
}

func (p *process) act(name string, result error) error {
	switch {
	case p.dead.Load():
		return fmt.Errorf("%w: %w", upgrades.ErrAbort, errDead)
	case p.death.at != len(p.acts):
		p.acts = append(p.acts, name)
		return result
	}
	p.dead.Store(true)
	if p.death.after {
		p.acts = append(p.acts, name)
	}
	return fmt.Errorf("%w: %w", upgrades.ErrAbort, errDead)
}

func (p *process) list(context.Context) ([]string, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	return slices.Clone(p.land.tenants), nil
}

// The calls by which something would be given back: a process that is dead does not make them.

func (p *process) ReleaseStep(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Store.ReleaseStep(ctx, by, d, step)
}

func (p *process) EndBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, batch int) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Store.EndBatch(ctx, by, d, step, batch)
}

func (p *process) Beat(ctx context.Context, holder string) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Store.Beat(ctx, holder)
}

func (p *process) Leave(ctx context.Context, holder string) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Store.Leave(ctx, holder)
}
