package upgrades

import (
	"context"
	"database/sql"
)

// Deployment is what has a version: a stack on an engine or, of a program of its own, a name.
type Deployment struct{ Name, Engine string }

// Holder is a process that is at work. What it holds is free once it is no longer there.
type Holder struct {
	ID string
	// Text says who it is, for people.
	Text string
	// Process lets others on the same host see whether it lives; "" where nobody can.
	Process string
	// Beat counts its signs of life.
	Beat int64
}

// Worker is one of those that work for a holder. What it claims again it gets again: the answer to its first claim may have got lost.
type Worker struct {
	Holder string // its ID
	Slot   int
}

// Work is what is done once, by one. tx is the transaction that marks it as done, in the
// ledger's database; nil where a Store has none. What it does elsewhere must be repeatable.
type Work func(ctx context.Context, tx *sql.Tx) error

// StepState is how far a step has come.
type StepState string

// The states of a step.
const (
	StepCreated      StepState = "created"
	StepPrepared     StepState = "prepared"
	UpgradingTenants StepState = "upgrading_tenants"
	StepReady        StepState = "ready"
)

// TenantState is how far a tenant has come in a step.
type TenantState string

// The states of a tenant.
const (
	TenantPending TenantState = "pending"
	TenantReady   TenantState = "ready"
	// TenantSetAside: it has failed too often. Only who asks for it tries it again.
	TenantSetAside TenantState = "set_aside"
	TenantDeleted  TenantState = "deleted"
)

// Status is where a deployment stands.
type Status struct {
	// Recorded is the version that it has reached; the zero value where none is recorded.
	Recorded Version `json:"recorded"`
	// Target is the version under way; the zero value while none is.
	Target Version `json:"target"`
	// Steps of the route to Target or, while none is under way, of the last one.
	Steps []StepStatus `json:"steps"`
}

// StepStatus is where a step stands.
type StepStatus struct {
	Step
	State StepState `json:"state"`
	// Tenants by their state.
	Tenants map[TenantState]int `json:"tenants"`
	// Batches, those of them that are done, and those that somebody works on.
	Batches      int `json:"batches"`
	BatchesReady int `json:"batches_ready"`
	BatchesHeld  int `json:"batches_held"`
}

// TenantStatus is where a tenant stands in a step.
type TenantStatus struct {
	Tenant string `json:"tenant"`
	// Step counts the route's steps from 0, Batch the step's batches.
	Step     int         `json:"step"`
	Batch    int         `json:"batch"`
	State    TenantState `json:"state"`
	Attempts int         `json:"attempts,omitempty"` // that have failed
	Error    string      `json:"error,omitempty"`    // of the last one
}

// Batch is a part of a step's tenants.
type Batch struct {
	Number int
	// Tenants that are pending, in order.
	Tenants []TenantStatus
}

// Store keeps what is recorded, and says who holds what. All of its methods are atomic, and may be
// called by any number of processes at a time. Those that take a holder's ID return ErrLost where there
// is no such holder (any more), and change nothing then. What a holder that is not there
// any more has held is free. A call that failed may or may not have been carried out, and may be repeated. Steps count from
// 0 and are those of Status.
type Store interface {
	// Join enters a holder, Beat shows that it lives, Leave takes it out. Bury takes one
	// out that has not shown itself since h was looked at.
	Join(ctx context.Context, h Holder) error
	Beat(ctx context.Context, holder string) error
	Leave(ctx context.Context, holder string) error
	Bury(ctx context.Context, h Holder) error
	Holders(ctx context.Context) ([]Holder, error)

	// Lock gives the holder the lock, if it is free or its own; Unlock gives it back.
	Lock(ctx context.Context, holder, key string) (bool, error)
	Unlock(ctx context.Context, holder, key string) error
	// Once does the work and marks it as done, in one transaction where the work uses it; it does nothing
	// where it is marked. It repeats the work only where it is known not to be marked. Marked tells whether it is.
	Once(ctx context.Context, holder, key string, work Work) error
	Marked(ctx context.Context, key string) (bool, error)

	Status(ctx context.Context, d Deployment) (Status, error)
	// Tenants of the route of Status, by step, batch and their order in it.
	Tenants(ctx context.Context, d Deployment) ([]TenantStatus, error)

	// Begin records that the deployment goes from the recorded version to the target by these
	// steps; without steps, that it has the target. Where that has been begun or reached already it does nothing; where
	// the recorded version is another, or another target is under way, the error is ErrMoved.
	Begin(ctx context.Context, holder string, d Deployment, recorded, target Version, steps []Step) error
	// ClaimStep gives the worker a step's work before the tenants, if nobody else has it, all steps
	// before it are ready and it is not done. Prepared and List record what of it is done;
	// ReleaseStep and List give it back.
	ClaimStep(ctx context.Context, by Worker, d Deployment, step int) (bool, error)
	ReleaseStep(ctx context.Context, by Worker, d Deployment, step int) error
	Prepared(ctx context.Context, by Worker, d Deployment, step int) error
	// List records the step's tenants in batches of size. Those that were set aside in the step before are here, too.
	List(ctx context.Context, by Worker, d Deployment, step int, tenants []string, size int) error
	// ClaimBatch gives the worker the batch that it holds or else the first one of the step that is not ready and that nobody holds, if all steps
	// before it are ready and fewer than limit are held (0: no limit). ClaimTenant gives it the tenant's batch, if nobody else holds it,
	// and says how the tenant stands; the error is ErrNoTenant where it is not listed. EndBatch gives a batch back, as
	// ready where none of its tenants is pending; the step and the version are ready then with the last.
	ClaimBatch(ctx context.Context, by Worker, d Deployment, step, limit int) (Batch, bool, error)
	ClaimTenant(ctx context.Context, by Worker, d Deployment, step int, tenant string) (TenantStatus, bool, error)
	EndBatch(ctx context.Context, by Worker, d Deployment, step, batch int) error
	// Settle records how a tenant stands. One that is set aside or deleted is so in the steps after, too.
	Settle(ctx context.Context, holder string, d Deployment, t TenantStatus) error
	// Reopen makes all tenants that were set aside pending again, as if never tried.
	Reopen(ctx context.Context, holder string, d Deployment) error
	// Forget makes the deployment one of which nothing is recorded.
	Forget(ctx context.Context, d Deployment) error
}
