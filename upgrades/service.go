package upgrades

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagehand-dev/stagehand/upgrades/internal/processes"
)

// Options of a Service. Store and Deployment must be set; zero values mean the defaults.
type Options struct {
	Store      Store
	Deployment Deployment
	// Version is the program's own; its zero value is the newest that the handles lead to.
	Version Version
	Handles []VersionHandle
	// Tenants lists the tenants that there are; nil where there are none.
	Tenants func(ctx context.Context) ([]string, error)
	// BootstrapWork is what Bootstrap does once.
	BootstrapWork Work

	// CheckUpgrade is how often a process looks again that waits for another's part of an upgrade (5 s),
	// CheckTenants the same while all batches that are left are held by others (10 s).
	CheckUpgrade, CheckTenants time.Duration
	// CheckBootstrap is how often one looks again that waits for another's bootstrap (200 ms).
	CheckBootstrap time.Duration
	// Workers is how many batches this process works on at a time (4), a batch one tenant after another.
	Workers int
	// MaxHeld is how many batches all processes together work on at a time; 0 is no bound.
	MaxHeld int
	// Batch is how many tenants are in a batch (16).
	Batch int
	// Retries are the further attempts at what failed; 0 is none. After the last a tenant is set aside.
	Retries int
	// Backoff is the pause before a further attempt (1 s), twice as long before each next one, a minute at most. A tenant's
	// comes when the others of its batch have had their turn.
	Backoff time.Duration
	// TTL is how long the sign of life of a process may stay away (20 s).
	TTL time.Duration
	// Dead, if not nil, says of another process that it is known to have ended; else only what is known of this
	// host's processes counts, and the TTL.
	Dead func(Holder) bool
	// Holder says who this is, for people (default: host and PID).
	Holder string
	// Report, if not nil, is told what has been recorded. Calls do not overlap.
	Report func(Report)
}

// Report is something that was recorded.
type Report struct {
	Step Step
	// State that the step has reached, where Tenant is nil.
	State StepState
	// Tenant is how a tenant stands now.
	Tenant *TenantStatus
}

// Service upgrades one deployment, beside any number of others that do the same. It is safe for
// concurrent use.
type Service struct {
	o     Options
	id    string
	final Version

	mu     sync.Mutex // guards joined, life, lost, cause, seen and slots
	joined bool
	life   context.CancelCauseFunc
	lost   <-chan struct{}
	cause  func() error
	beats  sync.WaitGroup
	seen   map[string]sign
	slots  []bool // that are taken
	told   sync.Mutex
	done   atomic.Int64 // parts and tenants that this process has upgraded
}

// sign is the last sign of life of another process, and since when it has not changed.
type sign struct {
	beat  int64
	since time.Time
}

var _ Locker = (*Service)(nil)

// New returns a service; end it with Close. The error says what is wrong with the options.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Deployment.Name == "" {
		return nil, errors.New("upgrades: Store and Deployment.Name must be set")
	}
	o.CheckUpgrade = cmp.Or(o.CheckUpgrade, 5*time.Second)
	o.CheckTenants = cmp.Or(o.CheckTenants, 10*time.Second)
	o.CheckBootstrap = cmp.Or(o.CheckBootstrap, 200*time.Millisecond)
	o.Workers, o.Batch = cmp.Or(o.Workers, 4), cmp.Or(o.Batch, 16)
	o.Backoff, o.TTL = cmp.Or(o.Backoff, time.Second), cmp.Or(o.TTL, 20*time.Second)
	if o.Workers < 1 || o.Batch < 1 || o.Retries < 0 || o.MaxHeld < 0 {
		return nil, fmt.Errorf("upgrades: Workers %d, Batch %d, Retries %d, MaxHeld %d: expected 1 or more of the first two, and no negative number", o.Workers, o.Batch, o.Retries, o.MaxHeld)
	}
	final := o.Version
	for _, h := range o.Handles {
		m := h.Metadata()
		if m.Version.Number == "" || m.From.compareNumber(m.Version) >= 0 {
			return nil, fmt.Errorf("upgrades: a handle leads from %q to %q: expected an older and a newer version", m.From, m.Version)
		}
		if o.Version == (Version{}) && m.Version.Compare(final) > 0 {
			final = m.Version
		}
	}
	if final.Number == "" {
		return nil, errors.New("upgrades: neither Version nor Handles say which version this is")
	}
	if o.Holder == "" {
		host, _ := os.Hostname() // nobody needs it but to find the process
		o.Holder = fmt.Sprintf("process %d on %s", os.Getpid(), host)
	}
	return &Service{o: o, id: rand.Text(), final: final, seen: map[string]sign{}}, nil
}

// FinalVersion is the program's own version.
func (s *Service) FinalVersion() Version { return s.final }

// join enters this process among those at work, if it is not there yet, and returns a context that
// ends with ErrLost as its cause once it was taken for dead.
func (s *Service) join(ctx context.Context) (context.Context, context.CancelCauseFunc, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.joined {
		if err := s.o.Store.Join(ctx, Holder{ID: s.id, Text: s.o.Holder, Process: processes.Self()}); err != nil {
			return nil, nil, err
		}
		life, end := context.WithCancelCause(context.Background())
		s.joined, s.life, s.lost, s.cause = true, end, life.Done(), func() error { return context.Cause(life) }
		s.beats.Go(func() { s.beat(life, end) })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	lost, cause := s.lost, s.cause
	s.beats.Go(func() {
		select {
		case <-lost:
			cancel(cause())
		case <-ctx.Done():
		}
	})
	return ctx, cancel, nil
}

// worker is one that works for this process until free is called. Slots are used again, so that what one could not
// give back its successor has.
func (s *Service) worker() (by Worker, free func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := slices.Index(s.slots, false)
	if slot < 0 {
		slot, s.slots = len(s.slots), append(s.slots, false)
	}
	s.slots[slot] = true
	return Worker{s.id, slot}, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.slots[slot] = false
	}
}

// beat shows, each quarter of the TTL, that this process lives. One that could not for three
// quarters of it counts itself as lost before others do.
func (s *Service) beat(life context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(s.o.TTL / 4)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-life.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(life, s.o.TTL/2)
		err := s.o.Store.Beat(ctx, s.id)
		cancel()
		switch {
		case err == nil:
			last = time.Now()
		case errors.Is(err, ErrLost), time.Since(last) > s.o.TTL*3/4:
			end(ErrLost)
			return
		}
	}
}

// Close ends this process's part: what it holds is free. Calls of its other methods that are under way end, and
// later ones fail with ErrLost.
func (s *Service) Close() error {
	s.mu.Lock()
	joined := s.joined
	s.joined = true // for ever: nothing joins again
	if s.life == nil {
		life, end := context.WithCancelCause(context.Background())
		s.life, s.lost, s.cause = end, life.Done(), func() error { return context.Cause(life) }
	}
	s.life(ErrLost)
	s.mu.Unlock()
	s.beats.Wait()
	if !joined {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.TTL)
	defer cancel()
	return s.o.Store.Leave(ctx, s.id)
}

// wait waits for d, and takes those out of the way that have died.
func (s *Service) wait(ctx context.Context, d time.Duration) error {
	for until := time.Now().Add(d); ; {
		buried, err := s.bury(ctx)
		if err != nil || buried {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if err := pause(ctx, min(left, s.o.CheckBootstrap)); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bury takes those out who have died, as far as can be told; it says whether there were any.
func (s *Service) bury(ctx context.Context) (buried bool, err error) {
	holders, err := s.o.Store.Holders(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	for _, h := range holders {
		if h.ID == s.id || !s.silent(h, now) && !processes.Dead(h.Process) && (s.o.Dead == nil || !s.o.Dead(h)) {
			continue
		}
		if err := s.o.Store.Bury(ctx, h); err != nil {
			return buried, err
		}
		buried = true
	}
	return buried, nil
}

// Holders are the processes at work, this one too; those that are known to have died are taken out before.
func (s *Service) Holders(ctx context.Context) ([]Holder, error) {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return nil, err
	}
	defer end(nil)
	if _, err := s.bury(ctx); err != nil {
		return nil, caused(ctx, err)
	}
	holders, err := s.o.Store.Holders(ctx)
	return holders, caused(ctx, err)
}

// silent tells whether the holder has shown no sign of life for the TTL, by this process's own clock.
func (s *Service) silent(h Holder, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.seen[h.ID]
	if !ok || known.beat != h.Beat {
		s.seen[h.ID] = sign{h.Beat, now}
		return false
	}
	return now.Sub(known.since) > s.o.TTL
}

func (s *Service) report(r Report) {
	if s.o.Report != nil {
		s.told.Lock()
		defer s.told.Unlock()
		s.o.Report(r)
	}
}
