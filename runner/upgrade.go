package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/schedule"
	"github.com/stagehand-dev/stagehand/runner/internal/steps"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// versioned is a Ledger that keeps the versions of stacks.
type versioned interface{ Upgrades() upgrades.Store }

// storeOf is where the ledger keeps versions; nil where it does not.
func storeOf(l Ledger) upgrades.Store {
	if v, ok := l.(versioned); ok {
		return v.Upgrades()
	}
	return nil
}

// Upgrades are the ledger's own.
func (i *informed) Upgrades() upgrades.Store { return storeOf(i.Ledger) }

// version reads what is recorded of the stack's version; nil where it has none, or where none is kept. A refusal of the file's
// version is a *DeployedError.
func version(ctx context.Context, stack *stages.Stack, ledger Ledger, engineID string) (*plan.VersionFact, error) {
	store := storeOf(ledger)
	if store == nil || stack.Upgrades == nil {
		return nil, nil
	}
	o := steps.UpgradeOptions(stack.Upgrades, nil)
	o.Store, o.Deployment = store, upgrades.Deployment{Name: stack.Name, Engine: engineID}
	service, err := upgrades.New(o)
	if err != nil {
		return nil, err
	}
	status, route, err := service.Status(ctx)
	switch {
	case errors.Is(err, upgrades.ErrOlder):
		return nil, misversioned(stack, err, "the stack file of version "+status.Recorded.String())
	case errors.Is(err, upgrades.ErrUnderWay):
		return nil, misversioned(stack, err, fmt.Sprintf("version: %s until stagehand upgrade status says that it is reached", status.Target))
	case errors.Is(err, upgrades.ErrGap):
		return nil, misversioned(stack, err, "an upgrade for each version that has been deployed")
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return &plan.VersionFact{Status: status, Route: route}, nil
}

func misversioned(stack *stages.Stack, err error, expected string) error {
	return &DeployedError{stack.Misversioned(err, expected).Err()}
}

// upgrading is what the crew needs for the plan's upgrade.
func (r *run) upgrading(engineID string, stops map[string]events.Event) *steps.Upgrading {
	store := storeOf(r.opts.Ledger)
	if store == nil {
		return nil
	}
	h := r.opts.Lock.Holder
	h.Run = r.opts.Run
	return &steps.Upgrading{Store: store, Deployment: upgrades.Deployment{Name: r.stack.Name, Engine: engineID}, Holder: h.String(), Stops: stops}
}

// recordVersion records the version of a stack that has none: nothing of it can be old.
func (r *run) recordVersion(ctx context.Context, engineID string) error {
	if !r.plan.Version.New() {
		return nil
	}
	u := r.upgrading(engineID, nil)
	o := steps.UpgradeOptions(r.stack.Upgrades, nil)
	o.Store, o.Deployment, o.Holder = u.Store, u.Deployment, u.Holder
	service, err := upgrades.New(o)
	if err == nil {
		err = errors.Join(service.Record(ctx), service.Close())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return nil
}

// ErrNoVersion: nothing is recorded that could be upgraded.
var ErrNoVersion = errors.New("no version is recorded")

// UpgradeOptions say what of a stack to upgrade. Engine, Sink, Ledger and Run must be set.
type UpgradeOptions struct {
	Engine containers.Engine
	Sink   events.Sink
	Ledger Ledger
	Run    string
	// Tenant is the one to upgrade, "" for all; All takes up those that were set aside, too.
	Tenant string
	All    bool
	// Retries of a tenant; negative: as the stack file says.
	Retries int
	// Interrupt, closed, asks to stop in order; Kill, closed, to stop at once.
	Interrupt, Kill <-chan struct{}
	Holder          containers.Holder
	// Key is as in Options.
	Key *secrets.Key
}

// Upgraded is how an upgrade ended.
type Upgraded struct {
	Result
	// Changed tells whether anything was upgraded by this run.
	Changed bool
}

// UpgradeStack takes the stack from version to version, beside all others who do so: it takes no lease, as
// the ledger says who does what. Its services must be up as far as the upgrade needs them. A tenant, or a
// part, that fails is a Result; the error may be ErrNoVersion or a *DeployedError.
func UpgradeStack(ctx context.Context, stack *stages.Stack, o UpgradeOptions) (Upgraded, error) {
	engine := patient(o.Engine, 0)
	info, err := engine.Info(ctx)
	if err != nil {
		return Upgraded{}, err
	}
	p, known, err := prepare(ctx, stack, engine, o.Ledger, info.ID, o.Key, Wish{})
	if err != nil {
		return Upgraded{}, err
	}
	if p.Version == nil || p.Version.New() {
		return Upgraded{}, ErrNoVersion
	}
	p = p.OnlyUpgrade(o.Tenant != "")
	opts := Options{Sink: o.Sink, Ledger: o.Ledger, Run: o.Run, Interrupt: o.Interrupt, Kill: o.Kill, Lock: Lock{Holder: o.Holder}, Key: o.Key}
	r := newRun(opts, stack, p, opts.Lock.turn(stack.Name, engine, o.Run, nil), known, info.ID)
	changed := false
	retries := o.Retries
	if retries < 0 {
		retries = stack.Upgrades.Retries
	}
	r.crew.Upgrading.Walk = func(ctx context.Context, s *upgrades.Service) (err error) {
		if o.Tenant == "" && !o.All {
			changed, err = s.Upgrade(ctx, retries)
		} else {
			changed, err = s.UpgradeTenant(ctx, o.Tenant, retries, o.All)
		}
		return err
	}
	if err := r.record.Emit(events.Event{Kind: events.RunStarted, Verb: "upgrade", Engine: info.ID, Files: stack.Files, Plan: p.Counts()}); err != nil {
		return Upgraded{}, err
	}
	walked, broken := schedule.Result{}, r.ensure(ctx)
	if broken == nil {
		walked, broken = r.walk(ctx)
	}
	result, e := verdict("upgrade", r.began, walked, broken)
	if err := r.record.Emit(e); broken == nil {
		broken = err
	}
	result.Plan = p
	return Upgraded{Result: result, Changed: changed}, broken
}
