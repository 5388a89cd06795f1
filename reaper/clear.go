package reaper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

// Removed counts what was taken off an engine.
type Removed struct{ Containers, Networks, Volumes int }

func (r Removed) any() bool { return r.Containers+r.Networks+r.Volumes > 0 }

func (r *Removed) add(o Removed) {
	r.Containers += o.Containers
	r.Networks += o.Networks
	r.Volumes += o.Volumes
}

// Times of clear.
const (
	// quiet is how long nothing of the run may be seen before it counts as
	// gone: what its runner had asked for when it died may take the engine a
	// while, and appears late.
	quiet = 15 * time.Second
	// firstLook and slowestLook bound the pause between two looks.
	firstLook   = 50 * time.Millisecond
	slowestLook = time.Second
	// callLimit bounds one round: an engine that accepts a call and never
	// answers it must not hold the reaper for good.
	callLimit = 90 * time.Second
	// giveUp is how long an engine is asked that does not answer, or refuses;
	// giveUpClean is that where nothing of the run was left when it last answered.
	giveUp      = time.Hour
	giveUpClean = time.Minute
)

// clear removes all that the run has made, whatever it does at this moment,
// and returns once nothing of it has been seen for a while. An engine that does
// not answer is asked again, for a limited time; the error is the last one then.
func clear(ctx context.Context, e containers.Engine, r Request) (Removed, error) {
	var total Removed
	progress, gone := time.Now(), time.Time{}
	limit := giveUp
	for pause := firstLook; ; pause = min(2*pause, slowestLook) {
		limited, cancel := context.WithTimeout(ctx, callLimit)
		removed, err := round(limited, e, r)
		cancel()
		total.add(removed)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return total, ctx.Err()
		case removed.any():
			progress, gone, pause, limit = now, time.Time{}, firstLook, giveUp
		case err == nil:
			progress, limit = now, giveUpClean
			if gone.IsZero() {
				gone = now
			}
		}
		if err != nil {
			gone = time.Time{}
			if now.Sub(progress) > limit {
				return total, err
			}
		} else if !gone.IsZero() && now.Sub(gone) >= quiet {
			return total, nil
		}
		if err := sleep.For(ctx, pause); err != nil {
			return total, err
		}
	}
}

// round removes what stands there now: containers first, as they hold the rest.
func round(ctx context.Context, e containers.Engine, r Request) (Removed, error) {
	var removed Removed
	labels := labelsOf(r.Run)
	list, err := e.List(ctx, labels)
	if err != nil {
		return removed, err
	}
	unstarted, err := unstartedLeases(ctx, e, r.Stack)
	if err != nil {
		return removed, err
	}
	var names []string
	for _, c := range slices.Concat(list, unstarted) {
		names = append(names, c.Name)
	}
	var containersErr error
	removed.Containers, containersErr = each(ctx, names, e.Destroy)

	networks, err := e.ListNetworks(ctx, labels)
	if err != nil {
		return removed, errors.Join(containersErr, err)
	}
	var networksErr error
	removed.Networks, networksErr = each(ctx, networks, e.RemoveNetwork)

	volumes, err := e.ListVolumes(ctx, labels)
	if err != nil {
		return removed, errors.Join(containersErr, networksErr, err)
	}
	names = nil
	for _, v := range volumes {
		names = append(names, v.Name)
	}
	var volumesErr error
	removed.Volumes, volumesErr = each(ctx, names, e.RemoveVolume)
	return removed, errors.Join(containersErr, networksErr, volumesErr)
}

// unstartedLeases are those of the stack whose holder died before it had them:
// one that was started ends by itself. The stack's name is the run's alone.
func unstartedLeases(ctx context.Context, e containers.Engine, stack string) ([]containers.Status, error) {
	list, err := e.List(ctx, map[string]string{containers.LabelRole: containers.RoleLease, containers.LabelLease: stack})
	return slices.DeleteFunc(list, func(c containers.Status) bool { return c.State != containers.StateCreated }), err
}

// each calls remove for all names side by side and counts those that went.
// One that does not go keeps none of the others.
func each(ctx context.Context, names []string, remove func(context.Context, string) error) (int, error) {
	errs := make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(16)
	for i, name := range names {
		group.Go(func() error {
			if err := remove(ctx, name); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	_ = group.Wait() // gives no error
	count := 0
	for _, err := range errs {
		if err == nil {
			count++
		}
	}
	return count, errors.Join(errs...)
}
