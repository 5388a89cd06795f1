package upgrades

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// MaybeUpgradeTenant upgrades one tenant now, if it is old: as far as the steps have come, and again if it was set
// aside. It returns true where it has changed the tenant, so that what is known of it must be read again. A
// deployment that is not on its way yet is set on it. A batch that another process works on is waited for.
//
// Where nothing is to be done it does not look whether there is such a tenant: it may be called often.
func (s *Service) MaybeUpgradeTenant(ctx context.Context, tenant string) (bool, error) {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return false, err
	}
	defer end(nil)
	changed, err := s.one(ctx, tenant, s.o.Retries, false)
	return changed, caused(ctx, err)
}

// UpgradeTenant is MaybeUpgradeTenant with a number of further attempts of its own, for a tenant that must be there
// (ErrNoTenant). With all it upgrades all tenants, as BootstrapUpgrade does, and again those that were set aside; then
// tenant is not used. It returns when that is done, with an *AsideError where a tenant has failed.
func (s *Service) UpgradeTenant(ctx context.Context, tenant string, retries int, all bool) (changed bool, err error) {
	if retries < 0 {
		return false, fmt.Errorf("upgrades: %d retries: expected 0 or more", retries)
	}
	ctx, end, err := s.join(ctx)
	if err != nil {
		return false, err
	}
	defer end(nil)
	if !all {
		changed, err = s.one(ctx, tenant, retries, true)
		return changed, caused(ctx, err)
	}
	before := s.done.Load()
	if _, over, err := s.begin(ctx); err != nil || over {
		return false, caused(ctx, err)
	}
	if err = s.o.Store.Reopen(ctx, s.id, s.o.Deployment); err == nil {
		err = s.walk(ctx, retries)
	}
	return s.done.Load() > before, caused(ctx, err)
}

// one upgrades a tenant step by step; strict asks whether it is there where nothing is recorded of it.
func (s *Service) one(ctx context.Context, tenant string, retries int, strict bool) (changed bool, err error) {
	for i := 0; ; {
		status, over, err := s.begin(ctx)
		if err != nil || over || i >= len(status.Steps) {
			return changed, errors.Join(err, s.known(ctx, tenant, strict && over && !changed))
		}
		step := status.Steps[i]
		if step.State == StepCreated || step.State == StepPrepared {
			if first(status) < i {
				return changed, nil // not its turn before the last tenant of the step before
			}
			if err := s.cluster(ctx, i, status); err != nil {
				return changed, err
			}
			continue
		}
		did, held, err := s.oneStep(ctx, i, step.Step, tenant, retries)
		changed = changed || did
		switch {
		case errors.Is(err, ErrNoTenant):
			// Not one of this step's: made after it, and with its form.
			if err := s.known(ctx, tenant, strict); err != nil {
				return changed, err
			}
		case err != nil:
			return changed, err
		case held:
			if err := s.wait(ctx, s.o.CheckBootstrap); err != nil {
				return changed, err
			}
			continue
		}
		i++
	}
}

// known returns ErrNoTenant where the tenant is not there, if asked to look.
func (s *Service) known(ctx context.Context, tenant string, look bool) error {
	if !look || s.o.Tenants == nil {
		return nil
	}
	names, err := s.o.Tenants(ctx)
	if err == nil && !slices.Contains(names, tenant) {
		err = fmt.Errorf("%w: %s", ErrNoTenant, tenant)
	}
	return err
}

// oneStep takes a tenant through a step; held where another process has its batch.
func (s *Service) oneStep(ctx context.Context, i int, step Step, tenant string, retries int) (did, held bool, err error) {
	by, free := s.worker()
	defer free()
	t, got, err := s.o.Store.ClaimTenant(ctx, by, s.o.Deployment, i, tenant)
	if err != nil {
		return false, false, err
	}
	if !got {
		return false, t.State == TenantPending || t.State == TenantSetAside, nil
	}
	defer func() {
		err = errors.Join(err, s.release(ctx, func(ctx context.Context) error { return s.o.Store.EndBatch(ctx, by, s.o.Deployment, i, t.Batch) }))
	}()
	if t.State == TenantReady || t.State == TenantDeleted {
		return false, false, nil
	}
	handle, _ := s.handle(step)
	for t.Attempts = 0; ; {
		if t, err = s.tenant(ctx, step, handle, t, retries); err != nil {
			return false, false, err
		}
		switch {
		case t.State == TenantReady || t.State == TenantDeleted:
			return t.State == TenantReady, false, nil
		case t.Attempts > retries:
			return false, false, &AsideError{Target: s.final, Tenants: []TenantStatus{t}}
		}
		if err := pause(ctx, s.backoff(t.Attempts-1)); err != nil {
			return false, false, err
		}
	}
}
