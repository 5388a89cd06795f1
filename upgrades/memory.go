package upgrades

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store in this process's memory, for tests and for programs that are
// alone. The zero value is empty and ready.
type Memory struct {
	mu          sync.Mutex
	holders     map[string]Holder
	locks       map[string]string
	marks       map[string]bool
	deployments map[Deployment]*deployment
}

var _ Store = (*Memory)(nil)

type deployment struct {
	recorded, target Version
	steps            []*memoryStep
}

type memoryStep struct {
	Step
	state   StepState
	by      Worker
	batches []*memoryBatch
	tenants map[string]*TenantStatus
	counts  map[TenantState]int
	// open are the batches that are not ready.
	open int
}

type memoryBatch struct {
	by      Worker
	ready   bool
	tenants []*TenantStatus
}

// change runs f for a holder that is there.
func (m *Memory) change(holder string, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.holders[holder]; !there {
		return ErrLost
	}
	return f()
}

// changeStep runs f for a step of a deployment.
func (m *Memory) changeStep(holder string, d Deployment, step int, f func(*deployment, *memoryStep) error) error {
	return m.change(holder, func() error {
		known := m.deployments[d]
		if known == nil || step < 0 || step >= len(known.steps) {
			return fmt.Errorf("%w: it has no step %d", ErrMoved, step)
		}
		return f(known, known.steps[step])
	})
}

// free tells whether nobody who is there holds what the holder has.
func (m *Memory) free(holder string) bool {
	_, there := m.holders[holder]
	return !there
}

// open tells whether what one worker has another may have.
func (m *Memory) open(has, wants Worker) bool { return has == wants || m.free(has.Holder) }

// Join implements Store.
func (m *Memory) Join(_ context.Context, h Holder) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders == nil {
		m.holders, m.locks, m.marks, m.deployments = map[string]Holder{}, map[string]string{}, map[string]bool{}, map[Deployment]*deployment{}
	}
	m.holders[h.ID] = h
	return nil
}

// Beat implements Store.
func (m *Memory) Beat(_ context.Context, holder string) error {
	return m.change(holder, func() error {
		h := m.holders[holder]
		h.Beat++
		m.holders[holder] = h
		return nil
	})
}

// Leave implements Store.
func (m *Memory) Leave(_ context.Context, holder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.holders, holder)
	return nil
}

// Bury implements Store.
func (m *Memory) Bury(_ context.Context, h Holder) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders[h.ID].Beat == h.Beat {
		delete(m.holders, h.ID)
	}
	return nil
}

// Holders implements Store.
func (m *Memory) Holders(context.Context) ([]Holder, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.holders), func(a, b Holder) int { return strings.Compare(a.ID, b.ID) }), nil
}

// Lock implements Store.
func (m *Memory) Lock(_ context.Context, holder, key string) (got bool, err error) {
	err = m.change(holder, func() error {
		if got = m.locks[key] == holder || m.free(m.locks[key]); got {
			m.locks[key] = holder
		}
		return nil
	})
	return got, err
}

// Unlock implements Store.
func (m *Memory) Unlock(_ context.Context, holder, key string) error {
	return m.change(holder, func() error {
		if m.locks[key] == holder {
			delete(m.locks, key)
		}
		return nil
	})
}

// Once implements Store. Nobody else uses the store meanwhile.
func (m *Memory) Once(ctx context.Context, holder, key string, work Work) error {
	return m.change(holder, func() error {
		if m.marks[key] {
			return nil
		}
		if err := work(ctx, nil); err != nil {
			return err
		}
		m.marks[key] = true
		return nil
	})
}

// Marked implements Store.
func (m *Memory) Marked(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks[key], nil
}

// Status implements Store.
func (m *Memory) Status(_ context.Context, d Deployment) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.deployments[d]
	if known == nil {
		return Status{}, nil
	}
	s := Status{Recorded: known.recorded, Target: known.target}
	for _, step := range known.steps {
		status := StepStatus{Step: step.Step, State: step.state, Tenants: map[TenantState]int{}, Batches: len(step.batches), BatchesReady: len(step.batches) - step.open}
		for state, n := range step.counts {
			if n > 0 {
				status.Tenants[state] = n
			}
		}
		status.BatchesHeld = m.held(step)
		s.Steps = append(s.Steps, status)
	}
	return s, nil
}

func (m *Memory) held(step *memoryStep) (n int) {
	for _, b := range step.batches {
		if !m.free(b.by.Holder) {
			n++
		}
	}
	return n
}

// Tenants implements Store.
func (m *Memory) Tenants(_ context.Context, d Deployment) ([]TenantStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []TenantStatus
	if known := m.deployments[d]; known != nil {
		for _, step := range known.steps {
			for _, b := range step.batches {
				for _, t := range b.tenants {
					all = append(all, *t)
				}
			}
		}
	}
	return all, nil
}

// Begin implements Store.
func (m *Memory) Begin(_ context.Context, holder string, d Deployment, recorded, target Version, steps []Step) error {
	return m.change(holder, func() error {
		known := m.deployments[d]
		if known == nil {
			known = &deployment{}
		}
		switch {
		case known.target == target, known.target == Version{} && known.recorded == target:
			return nil
		case known.target != Version{} || known.recorded != recorded:
			return ErrMoved
		}
		m.deployments[d] = known
		if len(steps) == 0 {
			known.recorded = target
			return nil
		}
		known.target, known.steps = target, nil
		for _, s := range steps {
			known.steps = append(known.steps, &memoryStep{Step: s, state: StepCreated})
		}
		return nil
	})
}

// reached tells whether all steps before this one are ready.
func (d *deployment) reached(step int) bool {
	return !slices.ContainsFunc(d.steps[:step], func(s *memoryStep) bool { return s.state != StepReady })
}

// ClaimStep implements Store.
func (m *Memory) ClaimStep(_ context.Context, by Worker, d Deployment, step int) (got bool, err error) {
	err = m.changeStep(by.Holder, d, step, func(known *deployment, s *memoryStep) error {
		if got = known.reached(step) && (s.state == StepCreated || s.state == StepPrepared) && m.open(s.by, by); got {
			s.by = by
		}
		return nil
	})
	return got, err
}

// ReleaseStep implements Store.
func (m *Memory) ReleaseStep(_ context.Context, by Worker, d Deployment, step int) error {
	return m.changeStep(by.Holder, d, step, func(_ *deployment, s *memoryStep) error {
		if s.by == by {
			s.by = Worker{}
		}
		return nil
	})
}

// Prepared implements Store.
func (m *Memory) Prepared(_ context.Context, by Worker, d Deployment, step int) error {
	return m.changeStep(by.Holder, d, step, func(_ *deployment, s *memoryStep) error {
		if s.by == by && s.state == StepCreated {
			s.state = StepPrepared
		}
		return nil
	})
}

// List implements Store.
func (m *Memory) List(_ context.Context, by Worker, d Deployment, step int, tenants []string, size int) error {
	return m.changeStep(by.Holder, d, step, func(known *deployment, s *memoryStep) error {
		if s.by != by || s.state != StepPrepared {
			return nil
		}
		s.by, s.state, s.tenants, s.counts = Worker{}, UpgradingTenants, map[string]*TenantStatus{}, map[TenantState]int{}
		var aside []string
		var before Step
		if step > 0 {
			before = known.steps[step-1].Step
			for name, t := range known.steps[step-1].tenants {
				if t.State == TenantSetAside {
					aside = append(aside, name)
				}
			}
		}
		for _, t := range Listed(step, tenants, size, before, aside) {
			if t.Batch == len(s.batches) {
				s.batches = append(s.batches, &memoryBatch{})
				s.open++
			}
			s.tenants[t.Tenant] = &t
			s.batches[t.Batch].tenants = append(s.batches[t.Batch].tenants, &t)
			s.counts[t.State]++
		}
		known.complete(s)
		return nil
	})
}

// complete makes the step, and the version, ready where nothing is left to do.
func (d *deployment) complete(s *memoryStep) {
	if s.state == UpgradingTenants && s.open == 0 {
		s.state = StepReady
	}
	if !slices.ContainsFunc(d.steps, func(s *memoryStep) bool { return s.state != StepReady || s.counts[TenantSetAside] > 0 }) && d.target != (Version{}) {
		d.recorded, d.target = d.target, Version{}
	}
}

// ClaimBatch implements Store.
func (m *Memory) ClaimBatch(_ context.Context, by Worker, d Deployment, step, limit int) (claimed Batch, got bool, err error) {
	err = m.changeStep(by.Holder, d, step, func(known *deployment, s *memoryStep) error {
		if !known.reached(step) || s.state != UpgradingTenants {
			return nil
		}
		own := slices.IndexFunc(s.batches, func(b *memoryBatch) bool { return b.by == by && !b.ready })
		if own < 0 && limit > 0 && m.held(s) >= limit {
			return nil
		}
		for i, b := range s.batches {
			if b.ready || own >= 0 && i != own || !m.open(b.by, by) {
				continue
			}
			b.by, claimed.Number, got = by, i, true
			for _, t := range b.tenants {
				if t.State == TenantPending {
					claimed.Tenants = append(claimed.Tenants, *t)
				}
			}
			return nil
		}
		return nil
	})
	return claimed, got, err
}

// ClaimTenant implements Store.
func (m *Memory) ClaimTenant(_ context.Context, by Worker, d Deployment, step int, tenant string) (t TenantStatus, got bool, err error) {
	err = m.changeStep(by.Holder, d, step, func(_ *deployment, s *memoryStep) error {
		known := s.tenants[tenant]
		if known == nil {
			return fmt.Errorf("%w: %s", ErrNoTenant, tenant)
		}
		t = *known
		if b := s.batches[t.Batch]; m.open(b.by, by) {
			b.by, got = by, true
		}
		return nil
	})
	return t, got, err
}

// EndBatch implements Store.
func (m *Memory) EndBatch(_ context.Context, by Worker, d Deployment, step, batch int) error {
	return m.changeStep(by.Holder, d, step, func(known *deployment, s *memoryStep) error {
		b := s.batches[batch]
		if b.by != by {
			return nil
		}
		b.by = Worker{}
		if !b.ready && !slices.ContainsFunc(b.tenants, func(t *TenantStatus) bool { return t.State == TenantPending }) {
			b.ready = true
			s.open--
		}
		known.complete(s)
		return nil
	})
}

// Settle implements Store.
func (m *Memory) Settle(_ context.Context, holder string, d Deployment, t TenantStatus) error {
	return m.changeStep(holder, d, t.Step, func(known *deployment, s *memoryStep) error {
		s.settle(t)
		if t.State == TenantSetAside || t.State == TenantDeleted {
			why := t.Error
			if t.State == TenantSetAside {
				why = Carried(s.Step)
			}
			for i, later := range known.steps[t.Step+1:] {
				if l := later.tenants[t.Tenant]; l != nil && (l.State == TenantPending || l.State == TenantSetAside) {
					later.settle(TenantStatus{Tenant: t.Tenant, Step: t.Step + 1 + i, State: t.State, Error: why})
				}
			}
		}
		known.complete(s)
		return nil
	})
}

func (s *memoryStep) settle(t TenantStatus) {
	if known := s.tenants[t.Tenant]; known != nil {
		s.counts[known.State]--
		s.counts[t.State]++
		known.State, known.Attempts, known.Error = t.State, t.Attempts, t.Error
	}
}

// Reopen implements Store.
func (m *Memory) Reopen(_ context.Context, holder string, d Deployment) error {
	return m.change(holder, func() error {
		known := m.deployments[d]
		if known == nil {
			return nil
		}
		for i, s := range known.steps {
			for _, b := range s.batches {
				for _, t := range b.tenants {
					if t.State != TenantSetAside {
						continue
					}
					s.settle(TenantStatus{Tenant: t.Tenant, Step: i, State: TenantPending})
					if b.ready {
						b.ready = false
						s.open++
					}
					if s.state == StepReady {
						s.state = UpgradingTenants
					}
				}
			}
		}
		return nil
	})
}

// Forget implements Store.
func (m *Memory) Forget(_ context.Context, d Deployment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.deployments, d)
	return nil
}
