package upgrades

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// AsideError names the tenants that are set aside: all others are upgraded.
type AsideError struct {
	Target Version
	// Tenants that are set aside, each as in the first step that it was in.
	Tenants []TenantStatus
	// Ready is how many tenants have passed the last step.
	Ready int
}

// Error names each with the error of its last attempt.
func (e *AsideError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d tenants could not be upgraded to %s and are set aside:", len(e.Tenants), e.Ready+len(e.Tenants), e.Target)
	for _, t := range e.Tenants {
		fmt.Fprintf(&b, " %s (attempt %d: %s);", t.Tenant, t.Attempts, t.Error)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// PartError is that the part of a step before its tenants has failed.
type PartError struct {
	Step Step
	// Part is prepare, cluster or tenants (their listing).
	Part string
	Err  error
}

// Error names step and part.
func (e *PartError) Error() string { return fmt.Sprintf("upgrade %s, %s: %v", e.Step, e.Part, e.Err) }

// Unwrap is what the handle returned.
func (e *PartError) Unwrap() error { return e.Err }

// Status is where the deployment stands, and the route from there to the final version: none where it is reached, or
// under way. The error may be a refusal. Nothing is written.
func (s *Service) Status(ctx context.Context) (Status, []Step, error) {
	status, err := s.o.Store.Status(ctx, s.o.Deployment)
	if err != nil {
		return status, nil, err
	}
	route, err := s.route(status)
	return status, route, err
}

// route leads from where the deployment stands to the final version. The error is a refusal.
func (s *Service) route(status Status) ([]Step, error) {
	switch target := status.Target; {
	case target != Version{} && target.Compare(s.final) != 0:
		return nil, fmt.Errorf("%w: the upgrade from %s to %s is not finished, and this is %s", ErrUnderWay, status.Recorded, target, s.final)
	case target != Version{}:
		for _, step := range status.Steps {
			if _, ok := s.handle(step.Step); !ok && step.State != StepReady {
				return nil, fmt.Errorf("%w: the upgrade %s is under way, and nothing is known of it any more", ErrGap, step.Step)
			}
		}
		return nil, nil
	case status.Recorded == Version{}:
		return nil, nil
	}
	return Route(status.Recorded, s.final, s.steps())
}

func (s *Service) steps() (known []Step) {
	for _, h := range s.o.Handles {
		m := h.Metadata()
		known = append(known, Step{To: m.Version, From: m.From})
	}
	return known
}

func (s *Service) handle(step Step) (VersionHandle, bool) {
	for _, h := range s.o.Handles {
		if h.Metadata().Version.compareNumber(step.To) == 0 {
			return h, true
		}
	}
	return nil, false
}

// BootstrapUpgrade takes the deployment to the final version, beside all others that do so, and
// returns when every tenant has arrived or is set aside (then the error is an *AsideError). A deployment of which nothing is
// recorded has the final version from now on, and nothing is upgraded. The error may be a refusal, a *PartError, ErrLost
// or what ErrAbort wraps; calling again goes on from there.
func (s *Service) BootstrapUpgrade(ctx context.Context) error {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer end(nil)
	return caused(ctx, s.walk(ctx, s.o.Retries))
}

// Upgrade is BootstrapUpgrade with a number of further attempts of its own; it tells whether this process has upgraded anything.
func (s *Service) Upgrade(ctx context.Context, retries int) (changed bool, err error) {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return false, err
	}
	defer end(nil)
	before := s.done.Load()
	err = caused(ctx, s.walk(ctx, retries))
	return s.done.Load() > before, err
}

// Record records the final version of a deployment of which nothing is recorded; any other it leaves alone.
func (s *Service) Record(ctx context.Context) error {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer end(nil)
	err = s.o.Store.Begin(ctx, s.id, s.o.Deployment, Version{}, s.final, nil)
	if errors.Is(err, ErrMoved) {
		return nil
	}
	return caused(ctx, err)
}

// caused is why ctx has ended, where that is what err comes from.
func caused(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrLost) {
		return ErrLost
	}
	return err
}

func (s *Service) walk(ctx context.Context, retries int) error {
	for {
		status, over, err := s.begin(ctx)
		if err != nil || over {
			return err
		}
		switch i := first(status); {
		case i < 0:
			return s.sweep(ctx, status)
		case status.Steps[i].State == UpgradingTenants:
			err = s.tenants(ctx, i, status.Steps[i].Step, retries)
		default:
			err = s.cluster(ctx, i, status)
		}
		if err != nil {
			return err
		}
	}
}

// first is the first step that is not ready; -1 where all are.
func first(status Status) int {
	for i, step := range status.Steps {
		if step.State != StepReady {
			return i
		}
	}
	return -1
}

// begin sees to it that the upgrade to the final version is recorded as begun; over where there is nothing (more) to do.
func (s *Service) begin(ctx context.Context) (status Status, over bool, err error) {
	for {
		status, route, err := s.Status(ctx)
		switch {
		case err != nil:
			return status, false, err
		case status.Target != Version{}:
			return status, false, nil
		case len(route) == 0 && status.Recorded != Version{}:
			return status, true, nil
		case status.Recorded == Version{}:
			if h, ok := s.handle(Step{To: s.final}); ok {
				if deps, ok := h.(FrameworkHandle); ok {
					if err := deps.HandleCreateFrameworkDeps(ctx); err != nil {
						return status, false, err
					}
				}
			}
		}
		err = s.o.Store.Begin(ctx, s.id, s.o.Deployment, status.Recorded, s.final, route)
		if err != nil && !errors.Is(err, ErrMoved) {
			return status, false, err
		}
	}
}

// cluster does the part of a step before its tenants, or waits for who does it.
func (s *Service) cluster(ctx context.Context, i int, status Status) (err error) {
	step := status.Steps[i].Step
	by, free := s.worker()
	defer free()
	got, err := s.o.Store.ClaimStep(ctx, by, s.o.Deployment, i)
	if err != nil {
		return err
	}
	if !got {
		return s.wait(ctx, s.o.CheckUpgrade)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release(ctx, func(ctx context.Context) error { return s.o.Store.ReleaseStep(ctx, by, s.o.Deployment, i) }))
		}
	}()
	if status, err = s.o.Store.Status(ctx, s.o.Deployment); err != nil { // somebody else may have prepared it
		return err
	}
	handle, _ := s.handle(step)
	if status.Steps[i].State == StepCreated {
		if err := s.part(ctx, step, "prepare", func(ctx context.Context) error { return handle.Prepare(ctx, step, i == len(status.Steps)-1) }); err != nil {
			return err
		}
		if err := s.o.Store.Prepared(ctx, by, s.o.Deployment, i); err != nil {
			return err
		}
		s.report(Report{Step: step, State: StepPrepared})
	}
	if handle.Metadata().UpgradeCluster {
		if err := s.part(ctx, step, "cluster", func(ctx context.Context) error { return handle.HandleClusterUpgrade(ctx, step) }); err != nil {
			return err
		}
	}
	var tenants []string
	if handle.Metadata().UpgradeTenant && s.o.Tenants != nil {
		err := s.part(ctx, step, "tenants", func(ctx context.Context) (err error) { tenants, err = s.o.Tenants(ctx); return err })
		if err != nil {
			return err
		}
	}
	if err := s.o.Store.List(ctx, by, s.o.Deployment, i, tenants, s.o.Batch); err != nil {
		return err
	}
	s.done.Add(1)
	s.report(Report{Step: step, State: UpgradingTenants})
	return nil
}

// part does what comes before the tenants, and again where it failed.
func (s *Service) part(ctx context.Context, step Step, name string, do func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrAbort), attempt >= s.o.Retries:
			return &PartError{Step: step, Part: name, Err: err}
		}
		if err := pause(ctx, s.backoff(attempt)); err != nil {
			return err
		}
	}
}

func (s *Service) backoff(round int) time.Duration {
	wait := s.o.Backoff
	for range round {
		if wait >= time.Minute/2 {
			return time.Minute
		}
		wait *= 2
	}
	return wait
}

// release gives something back, also where ctx has ended. Who was taken for dead holds nothing.
func (s *Service) release(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.TTL/2)
	defer cancel()
	if err := f(ctx); err != nil && !errors.Is(err, ErrLost) {
		return err
	}
	return nil
}

// tenants works on a step's batches until none is free, and waits where others hold some.
func (s *Service) tenants(ctx context.Context, i int, step Step, retries int) error {
	handle, _ := s.handle(step)
	group, working := errgroup.WithContext(ctx) // once one cannot go on, no other begins anything
	for range s.o.Workers {
		group.Go(func() error {
			by, free := s.worker()
			defer free()
			for {
				if working.Err() != nil {
					return context.Cause(working)
				}
				batch, got, err := s.o.Store.ClaimBatch(working, by, s.o.Deployment, i, s.o.MaxHeld)
				if err != nil || !got {
					return err
				}
				if err := s.batch(working, step, handle, batch, retries); err != nil {
					return errors.Join(err, s.release(ctx, func(ctx context.Context) error { return s.o.Store.EndBatch(ctx, by, s.o.Deployment, i, batch.Number) }))
				}
				if err := s.release(ctx, func(ctx context.Context) error { return s.o.Store.EndBatch(ctx, by, s.o.Deployment, i, batch.Number) }); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	status, err := s.o.Store.Status(ctx, s.o.Deployment)
	if err != nil {
		return err
	}
	switch {
	case first(status) != i: // the step, and with the last one the version, is ready
		s.report(Report{Step: step, State: StepReady})
		return nil
	case status.Steps[i].Batches-status.Steps[i].BatchesReady == status.Steps[i].BatchesHeld, s.o.MaxHeld > 0 && status.Steps[i].BatchesHeld >= s.o.MaxHeld:
		return s.wait(ctx, s.o.CheckTenants)
	}
	return nil
}

// batch upgrades a batch's tenants, one after another; those that failed again when all had their turn.
func (s *Service) batch(ctx context.Context, step Step, handle VersionHandle, batch Batch, retries int) error {
	left := batch.Tenants
	for round := 0; len(left) > 0; round++ {
		if round > 0 {
			if err := pause(ctx, s.backoff(round-1)); err != nil {
				return err
			}
		}
		var again []TenantStatus
		for _, t := range left {
			t, err := s.tenant(ctx, step, handle, t, retries)
			if err != nil {
				return err
			}
			if t.State == TenantPending {
				again = append(again, t)
			}
		}
		left = again
	}
	return nil
}

// tenant tries a tenant once, and records how it stands then. One that has failed is what it was until its attempts are used up: who
// is set aside stays so, as nobody works on its batch any more.
func (s *Service) tenant(ctx context.Context, step Step, handle VersionHandle, t TenantStatus, retries int) (TenantStatus, error) {
	if ctx.Err() != nil {
		return t, context.Cause(ctx)
	}
	err := handle.HandleTenantUpgrade(ctx, step, t.Tenant)
	switch {
	case err == nil:
		t.State, t.Error = TenantReady, ""
	case ctx.Err() != nil:
		return t, context.Cause(ctx)
	case errors.Is(err, ErrAbort):
		return t, err
	case errors.Is(err, ErrDeleted):
		t.State, t.Error = TenantDeleted, ""
	default:
		t.Attempts++
		t.Error = err.Error()
		if t.Attempts > retries {
			t.State = TenantSetAside
		}
	}
	if err := s.o.Store.Settle(context.WithoutCancel(ctx), s.id, s.o.Deployment, t); err != nil {
		return t, err
	}
	if t.State == TenantReady {
		s.done.Add(1)
	}
	s.report(Report{Step: step, Tenant: &t})
	return t, nil
}

// sweep is the end of a walk that has set tenants aside: those that are not there any more do not count.
func (s *Service) sweep(ctx context.Context, status Status) error {
	aside, err := s.aside(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	if s.o.Tenants != nil {
		names, err := s.o.Tenants(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			there[name] = true
		}
	}
	left := &AsideError{Target: status.Target, Ready: status.Steps[len(status.Steps)-1].Tenants[TenantReady]}
	for _, t := range aside {
		if there[t.Tenant] {
			left.Tenants = append(left.Tenants, t)
			continue
		}
		t.State = TenantDeleted
		if err := s.o.Store.Settle(ctx, s.id, s.o.Deployment, t); err != nil {
			return err
		}
		s.report(Report{Step: status.Steps[t.Step].Step, Tenant: &t})
	}
	if len(left.Tenants) > 0 {
		return left
	}
	return nil
}

// aside are the tenants that are set aside, each as in the first step that it is in.
func (s *Service) aside(ctx context.Context) ([]TenantStatus, error) {
	all, err := s.o.Store.Tenants(ctx, s.o.Deployment)
	var found []TenantStatus
	seen := map[string]bool{}
	for _, t := range all {
		if t.State == TenantSetAside && !seen[t.Tenant] {
			seen[t.Tenant] = true
			found = append(found, t)
		}
	}
	return found, err
}
