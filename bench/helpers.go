//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/bench/internal/api"
	"github.com/stagehand-dev/stagehand/bench/internal/figures"
)

const (
	helperCount = 100
	helperWidth = 8
)

// helpersWork compares many helpers with a loop that makes the same calls to
// the engine on a bridge and does nothing else: it records nothing, and guards nothing.
func (b *bench) helpersWork(name, title, network string, atMost, reach float64) work {
	ourWay := func(ctx context.Context) (measurement, error) {
		p, err := b.newProject(helpers(helperCount, helperWidth, network))
		if err != nil {
			return nil, err
		}
		r, err := timed(ctx, b.stagehand, "up", "--ledger", p.ledger, "-p", p.name, "-f", p.file)
		if err == nil {
			err = b.left(ctx, p)
		}
		if err := errors.Join(err, p.end(ctx)); err != nil {
			return nil, err
		}
		return r.taken(), nil
	}
	bareWay := func(ctx context.Context) (measurement, error) {
		p, err := b.newProject("")
		if err != nil {
			return nil, err
		}
		took, err := b.bareLoop(ctx, p)
		if err := errors.Join(err, p.end(ctx)); err != nil {
			return nil, err
		}
		return measurement{"time": {took.Seconds()}}, nil
	}
	return work{
		name: name, title: title, units: takenUnits,
		parties: []party{{ours, ourWay}, {bare, bareWay}},
		claims:  []figures.Claim{{Title: title, Metric: "time", Ours: ours, Theirs: bare, AtMost: atMost, Reach: reach}},
	}
}

// left is an error unless the helpers are gone.
func (b *bench) left(ctx context.Context, p project) error {
	list, err := b.engine.Containers(ctx, p.name)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("%d containers are left", len(list))
	}
	return nil
}

func (b *bench) bareLoop(ctx context.Context, p project) (time.Duration, error) {
	began := time.Now()
	network := p.name + "_default"
	if err := b.engine.CreateNetwork(ctx, network, p.name); err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(helperWidth)
	for i := range helperCount {
		group.Go(func() error {
			h := api.Helper{Name: fmt.Sprintf("%s-helper%03d-1", p.name, i), Image: image, Project: p.name, Network: network, Command: []string{"print", "done"}}
			code, printed, err := b.engine.Run(ctx, h)
			if err == nil && (code != 0 || len(printed) == 0) {
				err = fmt.Errorf("%s: exit %d, printed %q", h.Name, code, printed)
			}
			return err
		})
	}
	err := group.Wait()
	return time.Since(began), err
}
