// Package upgrades carries a deployment and all its tenants from version to version, and
// lets one of many processes bootstrap while the others wait. It needs no
// containers: a Go program that keeps a ledger (package ledger, a SQLite file or a
// PostgreSQL database) uses it by itself; stagehand's own stacks use it, too.
//
// Any number of processes may run the same upgrade at one time. What each of them
// does is recorded in the Store, per version, step, batch and tenant, so that no two do
// the same, and so that what one leaves behind that dies another takes up:
//
//	version  created ─────────────────────────────────────────→ ready
//	step     created → prepared → upgrading_tenants ──────────→ ready
//	batch                         pending ────────────────────→ ready
//	tenant                        pending → ready | set_aside | deleted
//
// The steps of a route run one after another: Prepare, then the cluster once, then the
// tenants in batches by parallel workers; the next step begins after the last tenant. A
// tenant that fails more often than Options.Retries is set aside, and named at the end;
// it holds up the version, which stays under way, but no other tenant.
//
// What a process holds is free again when the process has ended: at once where another
// on the same host looks (Linux), else once its sign of life has not changed for
// Options.TTL. A process that was taken for dead can record nothing any more (ErrLost).
package upgrades

import (
	"context"
	"errors"
)

// Locker gives a lock to one of many.
type Locker interface {
	// Get returns true for the one that has the lock now, until it ends or gives
	// it back; the others get false at once, and no error.
	Get(ctx context.Context, key string) (bool, error)
}

// Metadata of a version says what it follows on, and what there is to do for it.
type Metadata struct {
	// Version that the upgrade leads to, From the one that it starts from. Their entries do not count.
	Version, From Version
	// UpgradeCluster, UpgradeTenant: there is something to do for the cluster, for each tenant.
	UpgradeCluster, UpgradeTenant bool
}

// VersionHandle does the work of one version. Each of its methods may be called again after
// it was cut short, by this process or by another: it must be repeatable. An error means that it failed and
// may be tried again; one that is ErrAbort, that nothing is known and the whole upgrade is to stop here.
type VersionHandle interface {
	Metadata() Metadata
	// Prepare comes first. final: the step is the route's last.
	Prepare(ctx context.Context, step Step, final bool) error
	// HandleClusterUpgrade comes once, before all tenants.
	HandleClusterUpgrade(ctx context.Context, step Step) error
	// HandleTenantUpgrade upgrades one tenant, side by side with others. ErrDeleted
	// says that there is no such tenant any more.
	HandleTenantUpgrade(ctx context.Context, step Step, tenant string) error
}

// FrameworkHandle is what the handle of the final version also is where something must be
// there before a first version can be recorded.
type FrameworkHandle interface {
	// HandleCreateFrameworkDeps is called before the version of a new deployment is recorded.
	HandleCreateFrameworkDeps(ctx context.Context) error
}

// Errors of an upgrade. All but ErrAbort, ErrDeleted and ErrLost are refusals: nothing was changed.
var (
	// ErrOlder: the program is older than the version that is recorded.
	ErrOlder = errors.New("older than the recorded version")
	// ErrUnderWay: an upgrade to another version is under way.
	ErrUnderWay = errors.New("another version is under way")
	// ErrGap: no chain of upgrades leads from the recorded version to the program's.
	ErrGap = errors.New("a gap in the chain of upgrades")
	// ErrNoTenant: there is no such tenant.
	ErrNoTenant = errors.New("no such tenant")
	// ErrAbort, returned by a handle: the upgrade cannot go on here. Nothing is recorded of what was tried.
	ErrAbort = errors.New("the upgrade cannot go on")
	// ErrDeleted, returned by a handle: the tenant is gone.
	ErrDeleted = errors.New("the tenant is deleted")
	// ErrLost: this process was taken for dead, and another does its work now.
	ErrLost = errors.New("taken for dead: another has taken over")
	// ErrMoved: the deployment is no more what it was looked at as. Look again.
	ErrMoved = errors.New("the deployment has moved on")
)

// Funcs is a VersionHandle made of functions; nil ones have nothing to do.
type Funcs struct {
	Version, From Version
	PrepareFunc   func(ctx context.Context, step Step, final bool) error
	Cluster       func(ctx context.Context, step Step) error
	Tenant        func(ctx context.Context, step Step, tenant string) error
}

// Metadata implements VersionHandle.
func (f Funcs) Metadata() Metadata {
	return Metadata{Version: f.Version, From: f.From, UpgradeCluster: f.Cluster != nil, UpgradeTenant: f.Tenant != nil}
}

// Prepare implements VersionHandle.
func (f Funcs) Prepare(ctx context.Context, step Step, final bool) error {
	if f.PrepareFunc == nil {
		return nil
	}
	return f.PrepareFunc(ctx, step, final)
}

// HandleClusterUpgrade implements VersionHandle.
func (f Funcs) HandleClusterUpgrade(ctx context.Context, step Step) error {
	return f.Cluster(ctx, step)
}

// HandleTenantUpgrade implements VersionHandle.
func (f Funcs) HandleTenantUpgrade(ctx context.Context, step Step, tenant string) error {
	return f.Tenant(ctx, step, tenant)
}
