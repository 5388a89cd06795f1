package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/engines"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/report"
)

// lookLimit bounds a look at all stacks; lookPause is the least time between two, each of which asks for every container.
const (
	lookLimit = 10 * time.Second
	lookPause = 5 * time.Second
)

// stacks looks at which stacks stand on the engine, not more often than each lookPause.
type stacks struct {
	look func(context.Context) ([]report.Standing, error)

	mu     sync.Mutex
	looked time.Time
	last   []report.Standing
	err    error
}

func (s *stacks) standing(ctx context.Context) ([]report.Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked.IsZero() || time.Since(s.looked) > lookPause {
		ctx, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		s.last, s.err = s.look(ctx)
		s.looked = time.Now()
	}
	return s.last, s.err
}

// allStacks are the stacks that stand on the engine, by name; those that only docker compose has made are not
// among them.
func (in *invocation) allStacks(ctx context.Context) (_ []report.Standing, err error) {
	engine, err := in.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	list, err := engine.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	byStack := map[string][]containers.Status{}
	for _, c := range list {
		if stack := c.Labels[containers.LabelStack]; stack != "" {
			byStack[stack] = append(byStack[stack], c)
		}
	}
	var all []report.Standing
	for _, name := range slices.Sorted(maps.Keys(byStack)) {
		s := report.Standing{Stack: name}
		for _, c := range byStack[name] {
			switch {
			case c.Labels[containers.LabelRole] == containers.RoleProbe:
			case c.Running():
				s.Running++
			default:
				s.Stopped++
			}
		}
		for _, row := range views.PS(byStack[name], engines.Host(info), false) {
			s.Addresses = append(s.Addresses, row.URLs...)
		}
		all = append(all, s)
	}
	return all, nil
}
