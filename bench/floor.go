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

// withFloor adds a party to a work: the same containers by the engine's bare
// interface, each as soon as what it needs is there, helpers removed beside what
// comes next. No tool that makes these containers can be much faster, and the
// ratio to it is what stagehand itself costs.
func (b *bench) withFloor(w work, running int, do func(context.Context, *bareStack) error) work {
	w.parties = append(w.parties, party{bare, func(ctx context.Context) (measurement, error) {
		p, err := b.newProject("")
		if err != nil {
			return nil, err
		}
		began := time.Now()
		err = b.bareStack(ctx, p, do)
		took := time.Since(began)
		if err == nil {
			err = b.running(ctx, p, running)
		}
		if err := errors.Join(err, p.end(ctx)); err != nil {
			return nil, err
		}
		return measurement{"time": {took.Seconds()}}, nil
	}})
	w.claims = append(w.claims, figures.Claim{Title: w.title + ": against the engine's bare interface", Metric: "time", Ours: ours, Theirs: bare})
	return w
}

// bareStack is a project that calls to the engine alone bring up.
type bareStack struct {
	engine   *api.Client
	project  project
	network  string
	removals *errgroup.Group
}

// bareStack makes the network, has the rest done, and returns when the helpers are
// removed too.
func (b *bench) bareStack(ctx context.Context, p project, do func(context.Context, *bareStack) error) error {
	removals, ctx := errgroup.WithContext(ctx)
	s := &bareStack{engine: b.engine, project: p, network: p.name + "_default", removals: removals}
	err := b.engine.CreateNetwork(ctx, s.network, p.name)
	if err == nil {
		err = do(ctx, s)
	}
	return errors.Join(err, removals.Wait())
}

func (s *bareStack) container(name string, command []string) api.Helper {
	return api.Helper{Name: s.project.name + "-" + name + "-1", Image: image, Project: s.project.name, Network: s.network, Command: command}
}

// helper runs one that prints, and leaves its removal to be done.
func (s *bareStack) helper(ctx context.Context, name string) error {
	h := s.container(name, []string{"print", "done"})
	id, code, printed, err := s.engine.Work(ctx, h)
	if err != nil {
		return err
	}
	s.removals.Go(func() error { return s.engine.Remove(ctx, id) })
	if code != 0 || len(printed) == 0 {
		return fmt.Errorf("%s: exit %d, printed %q", h.Name, code, printed)
	}
	return nil
}

// service starts one that listens.
func (s *bareStack) service(ctx context.Context, name string) (id string, err error) {
	return s.engine.Launch(ctx, s.container(name, []string{"listen", ":8080", "ok"}))
}

// bareStaged is what staged makes, the test of each service passed once.
func bareStaged(ctx context.Context, s *bareStack) error {
	if err := s.helper(ctx, "init"); err != nil {
		return err
	}
	apps, ctx := errgroup.WithContext(ctx)
	for i := range stagedApps {
		apps.Go(func() error {
			if err := s.helper(ctx, fmt.Sprintf("setup%d", i)); err != nil {
				return err
			}
			id, err := s.service(ctx, fmt.Sprintf("app%d", i))
			for err == nil {
				var code int
				if code, err = s.engine.Exec(ctx, id, []string{"/actor", "dial", "127.0.0.1:8080"}); code == 0 {
					break
				}
			}
			return err
		})
	}
	return apps.Wait()
}

// bareChain is what chain makes.
func bareChain(n int) func(context.Context, *bareStack) error {
	return func(ctx context.Context, s *bareStack) error {
		for i := range n {
			if err := s.helper(ctx, fmt.Sprintf("shot%02d", i)); err != nil {
				return err
			}
		}
		_, err := s.service(ctx, "app")
		return err
	}
}
