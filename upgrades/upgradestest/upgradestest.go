// Package upgradestest is what every upgrades.Store must pass.
package upgradestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/upgrades"
)

// Test runs the suite; open returns a further handle on one empty store each time that it is
// called within one test.
func Test(t *testing.T, open func(t *testing.T) func() upgrades.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, func() upgrades.Store)
	}{
		{"a route is walked in order", walked},
		{"two share the tenants", shared},
		{"a new deployment is not upgraded", fresh},
		{"refused with nothing changed", refused},
		{"a tenant that fails is set aside", poison},
		{"a tenant that fails once is tried again", flaky},
		{"deleted tenants do not block", deleted},
		{"one tenant on demand", onDemand},
		{"more entries run again", entries},
		{"what cannot go on stops", aborted},
		{"what the dead held is taken over", takenOver},
		{"who was taken for dead records nothing", lost},
		{"claims may be repeated", repeated},
		{"one bootstraps", bootstrapped},
		{"a failed bootstrap is tried by another", bootstrapFailed},
		{"a lock has one holder", locked},
		{"deployments do not know each other", apart},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

var (
	v12, v14, v15 = upgrades.MustVersion("1.2.0"), upgrades.MustVersion("1.4.0"), upgrades.MustVersion("1.5.0")
	shop          = upgrades.Deployment{Name: "shop", Engine: "e1"}
)

// world is what is upgraded: it notes what is done to it.
type world struct {
	mu       sync.Mutex
	tenants  []string
	acts     []string
	fails    map[string]int // by tenant: so many times more; negative for ever
	running  int
	parallel int // the most that ran at a time
	hook     func(act string) error
}

func newWorld(tenants int) *world {
	w := &world{fails: map[string]int{}}
	for i := range tenants {
		w.tenants = append(w.tenants, fmt.Sprintf("t%03d", i))
	}
	return w
}

func (w *world) list(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tenants), nil
}

func (w *world) act(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acts = append(w.acts, name)
	if w.hook != nil {
		return w.hook(name)
	}
	return nil
}

func (w *world) upgrade(step upgrades.Step, tenant string) error {
	w.mu.Lock()
	w.running++
	w.parallel = max(w.parallel, w.running)
	w.mu.Unlock()
	time.Sleep(time.Millisecond) //nolint:forbidigo // the others get to run, too
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	w.acts = append(w.acts, step.To.String()+" "+tenant)
	if w.hook != nil {
		if err := w.hook(tenant); err != nil {
			return err
		}
	}
	if !slices.Contains(w.tenants, tenant) {
		return errors.New("no such database")
	}
	if w.fails[tenant] != 0 {
		w.fails[tenant]--
		return errors.New("column exists")
	}
	return nil
}

func (w *world) handle(from, to upgrades.Version) upgrades.VersionHandle {
	return upgrades.Funcs{
		From: from, Version: to,
		PrepareFunc: func(_ context.Context, s upgrades.Step, final bool) error {
			return w.act(fmt.Sprintf("%s prepare final=%t", s.To, final))
		},
		Cluster: func(_ context.Context, s upgrades.Step) error { return w.act(s.To.String() + " cluster") },
		Tenant:  func(_ context.Context, s upgrades.Step, tenant string) error { return w.upgrade(s, tenant) },
	}
}

// counts are how often each tenant was tried, by "VERSION TENANT".
func (w *world) counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for _, a := range w.acts {
		out[a]++
	}
	return out
}

func (w *world) clear() { w.mu.Lock(); w.acts = nil; w.mu.Unlock() }

// options are those of a service for the world: quick to look again.
func (w *world) options(store upgrades.Store, version string) upgrades.Options {
	return upgrades.Options{
		Store: store, Deployment: shop, Version: upgrades.MustVersion(version), Tenants: w.list,
		Handles:      []upgrades.VersionHandle{w.handle(v12, v14), w.handle(v14, v15)},
		CheckUpgrade: 5 * time.Millisecond, CheckTenants: 5 * time.Millisecond, CheckBootstrap: 5 * time.Millisecond,
		Backoff: time.Millisecond, Workers: 4, Batch: 16, MaxHeld: 4, Holder: t0,
	}
}

const t0 = "a test"

func service(t *testing.T, o upgrades.Options) *upgrades.Service {
	t.Helper()
	s, err := upgrades.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// at records the version as that of a new deployment.
func at(t *testing.T, store upgrades.Store, version string) {
	t.Helper()
	w := newWorld(0)
	s := service(t, w.options(store, version))
	if err := s.BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.acts) > 0 {
		t.Fatalf("a new deployment was upgraded: %v", w.acts)
	}
}

func status(t *testing.T, store upgrades.Store) upgrades.Status {
	t.Helper()
	s, err := store.Status(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all is everything that is recorded of the deployment.
func all(t *testing.T, store upgrades.Store) string {
	t.Helper()
	tenants, err := store.Tenants(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v %+v", status(t, store), tenants)
}

// reached fails the test unless the deployment has the version and nothing is under way.
func reached(t *testing.T, store upgrades.Store, version upgrades.Version) {
	t.Helper()
	if s := status(t, store); s.Recorded != version || s.Target != (upgrades.Version{}) {
		t.Errorf("recorded %q, under way %q; want %q", s.Recorded, s.Target, version)
	}
}

func walked(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(101)
	var reports []string
	o := w.options(open(), "1.5.0")
	o.Report = func(r upgrades.Report) {
		if r.Tenant == nil {
			reports = append(reports, fmt.Sprintf("%s %s", r.Step, r.State))
		}
	}
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	reached(t, open(), v15)
	// Order: each part stands alone, and all tenants between.
	want := []string{"1.4.0 prepare final=false", "1.4.0 cluster", "1.4.0 101", "1.5.0 prepare final=true", "1.5.0 cluster", "1.5.0 101"}
	var got []string
	for _, a := range w.acts {
		version, tenant, _ := strings.Cut(a, " ")
		n := 0
		if len(got) > 0 && strings.HasPrefix(tenant, "t0") || strings.HasPrefix(tenant, "t1") {
			if _, err := fmt.Sscanf(got[len(got)-1], version+" %d", &n); err == nil {
				got[len(got)-1] = fmt.Sprintf("%s %d", version, n+1)
				continue
			}
			a = version + " 1"
		}
		got = append(got, a)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	for act, n := range w.counts() {
		if n != 1 {
			t.Errorf("%s: %d times", act, n)
		}
	}
	if w.parallel > 4 {
		t.Errorf("%d tenants at a time", w.parallel)
	}
	for _, step := range status(t, open()).Steps {
		if step.Batches != 7 || step.BatchesReady != 7 || step.BatchesHeld != 0 || step.Tenants[upgrades.TenantReady] != 101 || len(step.Tenants) != 1 || step.State != upgrades.StepReady {
			t.Errorf("%+v", step)
		}
	}
	if diff := cmp.Diff([]string{
		"1.2.0 → 1.4.0 prepared", "1.2.0 → 1.4.0 upgrading_tenants", "1.2.0 → 1.4.0 ready",
		"1.4.0 → 1.5.0 prepared", "1.4.0 → 1.5.0 upgrading_tenants", "1.4.0 → 1.5.0 ready",
	}, reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	// Again: nothing.
	w.clear()
	before := all(t, open())
	if err := service(t, w.options(open(), "1.5.0")).BootstrapUpgrade(t.Context()); err != nil || len(w.acts) > 0 || all(t, open()) != before {
		t.Errorf("again: %v, %v", err, w.acts)
	}
}

func shared(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(101)
	var group errgroup.Group
	for range 3 {
		s := service(t, w.options(open(), "1.5.0"))
		group.Go(func() error { return s.BootstrapUpgrade(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	reached(t, open(), v15)
	counts := w.counts()
	if len(counts) != 2*(101+2) {
		t.Errorf("%d things were done", len(counts))
	}
	for act, n := range counts {
		if n != 1 {
			t.Errorf("%s: %d times", act, n)
		}
	}
	if w.parallel > 4 {
		t.Errorf("%d tenants at a time", w.parallel)
	}
}

func fresh(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.4.0+2")
	reached(t, open(), upgrades.MustVersion("1.4.0+2"))
	if s := status(t, open()); len(s.Steps) != 0 {
		t.Errorf("%+v", s)
	}
	if err := open().Forget(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	at(t, open(), "1.2.0")
	reached(t, open(), v12)
}

func refused(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(3)
	refuse := func(o upgrades.Options, want error, words ...string) {
		t.Helper()
		before := all(t, open())
		err := service(t, o).BootstrapUpgrade(t.Context())
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
			return
		}
		if _, err := service(t, o).MaybeUpgradeTenant(t.Context(), "t000"); !errors.Is(err, want) {
			t.Errorf("on demand: %v, want %v", err, want)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not name %s", err, word)
			}
		}
		if len(w.acts) > 0 || all(t, open()) != before {
			t.Errorf("%v, and still something was done: %v", err, w.acts)
		}
	}
	refuse(w.options(open(), "1.1.9"), upgrades.ErrOlder, "1.1.9", "1.2.0")
	gap := w.options(open(), "1.5.0")
	gap.Handles = gap.Handles[1:]
	refuse(gap, upgrades.ErrGap, "1.2.0", "1.4.0")
	refuse(w.options(open(), "1.6.0"), upgrades.ErrGap, "1.5.0", "1.6.0")

	w.fails["t001"] = -1
	var aside *upgrades.AsideError
	if err := service(t, w.options(open(), "1.4.0")).BootstrapUpgrade(t.Context()); !errors.As(err, &aside) {
		t.Fatal(err)
	}
	w.clear()
	refuse(w.options(open(), "1.5.0"), upgrades.ErrUnderWay, "1.2.0", "1.4.0", "1.5.0")
	refuse(w.options(open(), "1.2.0"), upgrades.ErrUnderWay, "1.2.0", "1.4.0")
	gone := w.options(open(), "1.4.0")
	gone.Handles = gone.Handles[1:]
	if _, _, err := service(t, gone).Status(t.Context()); err != nil {
		t.Errorf("all its steps are walked: %v", err)
	}
}

func poison(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(101)
	w.fails["t042"] = -1
	o := w.options(open(), "1.5.0")
	o.Retries = 2
	s := service(t, o)
	var aside *upgrades.AsideError
	if err := s.BootstrapUpgrade(t.Context()); !errors.As(err, &aside) || aside.Ready != 100 || len(aside.Tenants) != 1 || aside.Tenants[0].Tenant != "t042" || aside.Tenants[0].Attempts != 3 {
		t.Fatalf("%v", err)
	}
	for _, word := range []string{"1 of 101", "t042", "attempt 3", "column exists", "1.5.0"} {
		if !strings.Contains(aside.Error(), word) {
			t.Errorf("%v does not say %s", aside, word)
		}
	}
	counts := w.counts()
	if counts["1.4.0 t042"] != 3 || counts["1.5.0 t042"] != 0 || counts["1.5.0 t041"] != 1 {
		t.Errorf("%v", counts)
	}
	if s := status(t, open()); s.Target != v15 || s.Recorded != v12 || s.Steps[1].State != upgrades.StepReady || s.Steps[1].Tenants[upgrades.TenantSetAside] != 1 {
		t.Errorf("%+v", s)
	}
	// It is left alone, and named again.
	w.clear()
	if err := s.BootstrapUpgrade(t.Context()); !errors.As(err, &aside) || len(w.acts) > 0 {
		t.Fatalf("%v, %v", err, w.acts)
	}
	// Asked for: once more in vain, and then well.
	if changed, err := s.UpgradeTenant(t.Context(), "t042", 0, false); changed || !errors.As(err, &aside) || len(w.acts) != 1 {
		t.Fatalf("%t, %v, %v", changed, err, w.acts)
	}
	if changed, err := s.UpgradeTenant(t.Context(), "", 1, true); changed || !errors.As(err, &aside) || len(w.acts) != 3 {
		t.Fatalf("%t, %v, %v", changed, err, w.acts)
	}
	w.fails["t042"] = 0
	w.clear()
	if changed, err := s.UpgradeTenant(t.Context(), "t042", 0, false); !changed || err != nil {
		t.Fatalf("%t, %v", changed, err)
	}
	if diff := cmp.Diff([]string{"1.4.0 t042", "1.5.0 t042"}, w.acts); diff != "" {
		t.Error(diff)
	}
	reached(t, open(), v15)
	if changed, err := s.UpgradeTenant(t.Context(), "t042", 0, false); changed || err != nil {
		t.Errorf("once more: %t, %v", changed, err)
	}
}

func flaky(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(20)
	w.fails["t003"], w.fails["t004"] = 2, 3
	o := w.options(open(), "1.4.0")
	o.Retries = 2
	s := service(t, o)
	var aside *upgrades.AsideError
	if err := s.BootstrapUpgrade(t.Context()); !errors.As(err, &aside) || len(aside.Tenants) != 1 || aside.Tenants[0].Tenant != "t004" {
		t.Fatal(err)
	}
	if at := slices.Index(w.acts, "1.4.0 t003"); !slices.Contains(w.acts[at:], "1.4.0 t015") {
		t.Error("one that failed was tried again before the others of its batch")
	}
	if changed, err := s.UpgradeTenant(t.Context(), "", 0, true); !changed || err != nil {
		t.Errorf("%t, %v", changed, err)
	}
	reached(t, open(), v14)
}

func deleted(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(20)
	w.hook = func(act string) error {
		if act == "t000" { // others go meanwhile
			w.tenants = slices.DeleteFunc(w.tenants, func(t string) bool { return t == "t007" || t == "t008" })
		}
		if act == "t008" {
			return fmt.Errorf("no database of it: %w", upgrades.ErrDeleted)
		}
		return nil
	}
	o := w.options(open(), "1.5.0")
	o.Workers = 1
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	reached(t, open(), v15)
	s := status(t, open())
	if s.Steps[0].Tenants[upgrades.TenantDeleted] != 2 || s.Steps[0].Tenants[upgrades.TenantReady] != 18 || s.Steps[1].Tenants[upgrades.TenantReady] != 18 || len(s.Steps[1].Tenants) != 1 {
		t.Errorf("%+v", s)
	}
}

func onDemand(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(20)
	s := service(t, w.options(open(), "1.5.0"))
	if _, err := s.UpgradeTenant(t.Context(), "nobody", 0, false); !errors.Is(err, upgrades.ErrNoTenant) {
		t.Fatal(err)
	}
	w.clear()
	if changed, err := s.MaybeUpgradeTenant(t.Context(), "t005"); !changed || err != nil {
		t.Fatalf("%t, %v", changed, err)
	}
	if diff := cmp.Diff([]string{"1.4.0 t005"}, w.acts); diff != "" {
		t.Errorf("as far as the steps have come:\n%s", diff)
	}
	if changed, err := s.MaybeUpgradeTenant(t.Context(), "t005"); changed || err != nil {
		t.Errorf("again: %t, %v", changed, err)
	}
	if err := s.BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	for act, n := range w.counts() {
		if n != 1 {
			t.Errorf("%s: %d times", act, n)
		}
	}
	reached(t, open(), v15)
	w.tenants = append(w.tenants, "new")
	if changed, err := s.UpgradeTenant(t.Context(), "new", 0, false); changed || err != nil {
		t.Errorf("a new one: %t, %v", changed, err)
	}
	if _, err := s.UpgradeTenant(t.Context(), "nobody", 0, false); !errors.Is(err, upgrades.ErrNoTenant) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := s.UpgradeTenant(t.Context(), "t000", -1, false); err == nil {
		t.Error("-1 retries")
	}
}

func entries(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.4.0+2")
	w := newWorld(2)
	if err := service(t, w.options(open(), "1.4.0+3")).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.acts)
	if diff := cmp.Diff([]string{"1.4.0+3 cluster", "1.4.0+3 prepare final=true", "1.4.0+3 t000", "1.4.0+3 t001"}, w.acts); diff != "" {
		t.Error(diff)
	}
	reached(t, open(), upgrades.MustVersion("1.4.0+3"))
	if err := service(t, w.options(open(), "1.4.0+2")).BootstrapUpgrade(t.Context()); !errors.Is(err, upgrades.ErrOlder) {
		t.Error(err)
	}
	if err := service(t, w.options(open(), "1.5.0+1")).BootstrapUpgrade(t.Context()); err != nil {
		t.Error(err)
	}
	reached(t, open(), upgrades.MustVersion("1.5.0+1"))
}

func aborted(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(40)
	stop := "t020"
	w.hook = func(act string) error {
		if act == stop {
			return fmt.Errorf("the engine broke: %w", upgrades.ErrAbort)
		}
		return nil
	}
	o := w.options(open(), "1.4.0")
	o.Retries = 3
	s := service(t, o)
	if err := s.BootstrapUpgrade(t.Context()); !errors.Is(err, upgrades.ErrAbort) {
		t.Fatal(err)
	}
	if st := status(t, open()); st.Steps[0].Tenants[upgrades.TenantSetAside] != 0 || st.Steps[0].BatchesHeld != 0 {
		t.Errorf("%+v", st)
	}
	stop = ""
	if err := s.BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counts := w.counts(); counts["1.4.0 t020"] != 2 || counts["1.4.0 t000"] != 1 {
		t.Errorf("%v", counts)
	}
	reached(t, open(), v14)

	// A part before the tenants: tried again, then an error, and free for others.
	w.hook = func(act string) error {
		if act == "1.5.0 cluster" {
			return errors.New("no right")
		}
		return nil
	}
	w.clear()
	o.Version, o.Retries = v15, 1
	var part *upgrades.PartError
	if err := service(t, o).BootstrapUpgrade(t.Context()); !errors.As(err, &part) || part.Part != "cluster" || part.Step.To != v15 {
		t.Fatal(err)
	}
	if counts := w.counts(); counts["1.5.0 cluster"] != 2 || len(counts) != 2 {
		t.Errorf("%v", counts)
	}
	w.hook = nil
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counts := w.counts(); counts["1.5.0 prepare final=true"] != 1 {
		t.Errorf("prepared twice: %v", counts)
	}
}

func takenOver(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(40)
	// Two whose end is known: one had claimed the step's work, the other a batch. That the end is
	// found out by missing signs of life is for TestHistories, which has a clock of its own.
	store := open()
	dead := upgrades.Worker{Holder: "dead"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(store.Join(t.Context(), upgrades.Holder{ID: dead.Holder, Text: "elsewhere"}))
	must(store.Begin(t.Context(), dead.Holder, shop, v12, v14, []upgrades.Step{{To: v14, From: v12}}))
	if got, err := store.ClaimStep(t.Context(), dead, shop, 0); !got || err != nil {
		t.Fatal(got, err)
	}
	o := w.options(open(), "1.4.0")
	o.Dead = func(h upgrades.Holder) bool { return h.ID == dead.Holder }
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(store.Join(t.Context(), upgrades.Holder{ID: dead.Holder, Text: "elsewhere"}))
	must(store.Begin(t.Context(), dead.Holder, shop, v14, v15, []upgrades.Step{{To: v15, From: v14}}))
	_, err := store.ClaimStep(t.Context(), dead, shop, 0)
	must(err)
	must(store.Prepared(t.Context(), dead, shop, 0))
	must(store.List(t.Context(), dead, shop, 0, w.tenants, 16))
	batch, got, err := store.ClaimBatch(t.Context(), dead, shop, 0, 0)
	if !got || err != nil || len(batch.Tenants) != 16 {
		t.Fatal(batch, got, err)
	}
	first := batch.Tenants[0]
	first.State = upgrades.TenantReady
	must(store.Settle(t.Context(), dead.Holder, shop, first))
	w.clear()
	o.Version = v15
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	reached(t, store, v15)
	if counts := w.counts(); len(counts) != 39 || counts["1.5.0 t000"] != 0 {
		t.Errorf("%d: %v", len(counts), counts)
	}
}

func lost(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(40)
	store := open()
	o := w.options(store, "1.4.0")
	s := service(t, o)
	w.hook = func(act string) error {
		if act != "t003" {
			return nil
		}
		holders, err := store.Holders(t.Context())
		if err != nil {
			return err
		}
		for _, h := range holders {
			if err := store.Bury(t.Context(), h); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.BootstrapUpgrade(t.Context()); !errors.Is(err, upgrades.ErrLost) {
		t.Fatalf("%v", err)
	}
	tenants, err := store.Tenants(t.Context(), shop)
	if err != nil || tenants[3].State == upgrades.TenantReady {
		t.Errorf("%+v, %v", tenants[3], err)
	}
	w.hook = nil
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	reached(t, store, v14)
}

// repeated: a store's answer may get lost, and the call is made again.
func repeated(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	store, ctx := open(), t.Context()
	one, two := upgrades.Worker{Holder: "h", Slot: 1}, upgrades.Worker{Holder: "h", Slot: 2}
	steps := []upgrades.Step{{To: v14, From: v12}}
	tenants := newWorld(40).tenants
	for range 2 {
		if err := store.Join(ctx, upgrades.Holder{ID: "h"}); err != nil {
			t.Fatal(err)
		}
		if err := store.Begin(ctx, "h", shop, v12, v14, steps); err != nil {
			t.Fatal(err)
		}
		if got, err := store.ClaimStep(ctx, one, shop, 0); !got || err != nil {
			t.Fatal(got, err)
		}
		if got, err := store.ClaimStep(ctx, two, shop, 0); got || err != nil {
			t.Fatal(got, err)
		}
	}
	if err := store.Begin(ctx, "h", shop, v12, v15, steps); !errors.Is(err, upgrades.ErrMoved) {
		t.Errorf("another target: %v", err)
	}
	for range 2 {
		if err := store.Prepared(ctx, one, shop, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := store.List(ctx, one, shop, 0, append(tenants, tenants[0]), 16); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.Tenants(ctx, shop); err != nil || len(got) != 40 {
		t.Fatal(len(got), err)
	}
	for range 2 {
		for i, by := range []upgrades.Worker{one, two} {
			batch, got, err := store.ClaimBatch(ctx, by, shop, 0, 2)
			if !got || err != nil || batch.Number != i || len(batch.Tenants) != 16 || batch.Tenants[0].Tenant != tenants[16*i] {
				t.Fatal(batch, got, err)
			}
		}
	}
	three := upgrades.Worker{Holder: "h", Slot: 3}
	if _, got, err := store.ClaimBatch(ctx, three, shop, 0, 2); got || err != nil {
		t.Errorf("beyond the limit: %t, %v", got, err)
	}
	if _, got, err := store.ClaimTenant(ctx, three, shop, 0, tenants[0]); got || err != nil {
		t.Errorf("held by another: %t, %v", got, err)
	}
	for range 2 {
		if s, got, err := store.ClaimTenant(ctx, one, shop, 0, tenants[0]); !got || err != nil || s.State != upgrades.TenantPending {
			t.Errorf("its own: %+v, %t, %v", s, got, err)
		}
	}
	if _, _, err := store.ClaimTenant(ctx, three, shop, 0, "nobody"); !errors.Is(err, upgrades.ErrNoTenant) {
		t.Error(err)
	}
	if _, _, err := store.ClaimBatch(ctx, three, shop, 9, 0); !errors.Is(err, upgrades.ErrMoved) {
		t.Error(err)
	}
	for _, err := range []error{
		store.Beat(ctx, "x"), store.Begin(ctx, "x", shop, v12, v14, steps), store.Settle(ctx, "x", shop, upgrades.TenantStatus{}), store.Reopen(ctx, "x", shop), store.Unlock(ctx, "x", "k"),
		store.Once(ctx, "x", "k", func(context.Context, *sql.Tx) error { t.Error("done by nobody"); return nil }),
	} {
		if !errors.Is(err, upgrades.ErrLost) {
			t.Errorf("by nobody: %v", err)
		}
	}
}

func bootstrapped(t *testing.T, open func() upgrades.Store) {
	var mu sync.Mutex
	times := 0
	var group errgroup.Group
	for range 10 {
		w := newWorld(0)
		o := w.options(open(), "1.2.0")
		o.BootstrapWork = func(context.Context, *sql.Tx) error {
			mu.Lock()
			defer mu.Unlock()
			times++
			return nil
		}
		s := service(t, o)
		group.Go(func() error { return s.Bootstrap(t.Context()) })
	}
	if err := group.Wait(); err != nil || times != 1 {
		t.Errorf("%v, %d times", err, times)
	}
}

func bootstrapFailed(t *testing.T, open func() upgrades.Store) {
	w := newWorld(0)
	o := w.options(open(), "1.2.0")
	failed := errors.New("no right")
	o.BootstrapWork = func(context.Context, *sql.Tx) error { return failed }
	if err := service(t, o).Bootstrap(t.Context()); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	done := false
	o.BootstrapWork = func(context.Context, *sql.Tx) error { done = true; return nil }
	if err := service(t, o).Bootstrap(t.Context()); err != nil || !done {
		t.Fatal(err, done)
	}
}

func locked(t *testing.T, open func() upgrades.Store) {
	w := newWorld(0)
	one, two := service(t, w.options(open(), "1.2.0")), service(t, w.options(open(), "1.2.0"))
	get := func(s *upgrades.Service, want bool) {
		t.Helper()
		if got, err := s.Get(t.Context(), "key"); got != want || err != nil {
			t.Errorf("%t, %v; want %t", got, err, want)
		}
	}
	get(one, true)
	get(one, true)
	get(two, false)
	if got, err := two.Get(t.Context(), "another"); !got || err != nil {
		t.Error(got, err)
	}
	if err := two.Release(t.Context(), "key"); err != nil { // not its own
		t.Error(err)
	}
	get(two, false)
	if err := one.Release(t.Context(), "key"); err != nil {
		t.Error(err)
	}
	get(two, true)
	get(one, false)
	if err := two.Close(); err != nil {
		t.Error(err)
	}
	get(one, true)
	if _, err := two.Get(t.Context(), "key"); !errors.Is(err, upgrades.ErrLost) {
		t.Errorf("of one that is closed: %v", err)
	}
}

func apart(t *testing.T, open func() upgrades.Store) {
	at(t, open(), "1.2.0")
	w := newWorld(3)
	o := w.options(open(), "1.5.0")
	o.Deployment.Engine = "e2"
	if err := service(t, o).BootstrapUpgrade(t.Context()); err != nil || len(w.acts) > 0 {
		t.Errorf("%v, %v", err, w.acts)
	}
	reached(t, open(), v12)
}
