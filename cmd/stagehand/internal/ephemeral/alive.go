package ephemeral

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagehand-dev/stagehand/containers"
)

// Hold takes the stack's lease for the whole life of the run: it tells others
// that what the run has made is needed, also while its services only serve. An engine
// without leases has nobody who asks.
func Hold(ctx context.Context, engine containers.Engine, stack string, holder containers.Holder) (release func(context.Context) error, err error) {
	leaser, ok := containers.AsLeaser(engine)
	if !ok {
		return func(context.Context) error { return nil }, nil
	}
	lease, err := leaser.Lease(ctx, stack, holder)
	if err != nil {
		return nil, err
	}
	return lease.Release, nil
}

// Alive tells by the engine's leases whether a runner lives that works on the
// stack; "" is any stack.
func Alive(engine containers.Engine) (func(ctx context.Context, stack string) (bool, error), error) {
	leaser, ok := containers.AsLeaser(engine)
	if !ok {
		return nil, errors.New("this engine has no leases, so that nobody can tell whether a runner lives")
	}
	held := func(ctx context.Context, stack string) (bool, error) {
		_, err := leaser.LeaseHolder(ctx, stack)
		if errors.Is(err, containers.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return true, fmt.Errorf("who works on %s: %w", stack, err)
		}
		return true, nil
	}
	return func(ctx context.Context, stack string) (bool, error) {
		if stack != "" {
			return held(ctx, stack)
		}
		list, err := engine.List(ctx, map[string]string{containers.LabelRole: containers.RoleLease})
		if err != nil {
			return true, err
		}
		for _, c := range list {
			if alive, err := held(ctx, c.Labels[containers.LabelLease]); err != nil || alive {
				return true, err
			}
		}
		return false, nil
	}, nil
}
