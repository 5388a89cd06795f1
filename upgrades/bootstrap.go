package upgrades

import (
	"context"
	"errors"
)

// Get implements Locker. The lock is this process's until Release, Close or its end.
func (s *Service) Get(ctx context.Context, key string) (bool, error) {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return false, err
	}
	defer end(nil)
	if _, err := s.bury(ctx); err != nil {
		return false, caused(ctx, err)
	}
	got, err := s.o.Store.Lock(ctx, s.id, key)
	return got, caused(ctx, err)
}

// Release gives a lock back that Get has given.
func (s *Service) Release(ctx context.Context, key string) error {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer end(nil)
	return caused(ctx, s.o.Store.Unlock(ctx, s.id, key))
}

// Bootstrap does Options.BootstrapWork once for the deployment, whoever does it: of all that call it at one time
// one does the work, the others return when it is marked as done. The mark is written in the work's
// transaction. When the one dies, another takes over; when its work fails it returns that error, and another tries.
func (s *Service) Bootstrap(ctx context.Context) error {
	ctx, end, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer end(nil)
	return caused(ctx, s.bootstrap(ctx))
}

func (s *Service) bootstrap(ctx context.Context) (err error) {
	key := "bootstrap " + s.o.Deployment.Name + " " + s.o.Deployment.Engine
	for {
		if done, err := s.o.Store.Marked(ctx, key); err != nil || done {
			return err
		}
		if got, err := s.o.Store.Lock(ctx, s.id, key); err != nil {
			return err
		} else if got {
			break
		}
		if err := s.wait(ctx, s.o.CheckBootstrap); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, s.o.Store.Unlock(context.WithoutCancel(ctx), s.id, key)) }()
	work := s.o.BootstrapWork
	if work == nil {
		return errors.New("upgrades: Options.BootstrapWork is not set")
	}
	return s.o.Store.Once(ctx, s.id, key, work)
}
