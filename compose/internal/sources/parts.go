package sources

import (
	"context"
	"maps"
	"runtime"
	"slices"

	"github.com/compose-spec/compose-go/v2/graph"
	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"
)

// leastPart is the least number of services that a part is worth its while for.
const leastPart = 100

// Load has compose-go read the services that only, if not nil, is true for; there may be others in the result.
// Compose-go takes one processor and 0.4 ms a service: many are read in parts, side by side. What
// it says of a part, such as of a service that is in another one, may not hold of the whole: where
// anything is wrong the whole is read.
func (s *Source) Load(ctx context.Context, only func(string) bool, env map[string]string) (*types.Project, error) {
	names := s.separate(only)
	if project := s.loadParts(ctx, names, min(len(names)/leastPart, runtime.GOMAXPROCS(0)), env); project != nil {
		return project, nil
	}
	return s.Run(ctx, s.Configs(only, nil), env, true)
}

// loadParts reads the services with these names in n parts, if that is more than one; nil where anything is wrong.
func (s *Source) loadParts(ctx context.Context, names []string, n int, env map[string]string) *types.Project {
	if n < 2 {
		return nil
	}
	parts := make([]*types.Project, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		group.Go(func() (err error) {
			mine := map[string]bool{}
			for _, name := range names[i*len(names)/n : (i+1)*len(names)/n] {
				mine[name] = true
			}
			others := func(name string, _ types.ServiceConfig) bool { return !mine[name] }
			if parts[i], err = s.Run(ctx, s.Configs(func(name string) bool { return mine[name] }, nil), env, true); err != nil {
				return err
			}
			maps.DeleteFunc(parts[i].Services, others)
			maps.DeleteFunc(parts[i].DisabledServices, others)
			return nil
		})
	}
	if group.Wait() != nil {
		return nil
	}
	whole := parts[0]
	for _, part := range parts[1:] {
		whole.Services, whole.DisabledServices = joined(whole.Services, part.Services), joined(whole.DisabledServices, part.DisabledServices)
		whole.Networks = joined(whole.Networks, part.Networks) // the implicit one, where the first part does not use it
	}
	if graph.CheckCycle(whole) != nil {
		return nil
	}
	return whole
}

func joined[M ~map[string]V, V any](to, from M) M {
	if to == nil {
		return from
	}
	maps.Copy(to, from)
	return to
}

// separate are the names of the services, sorted, where the files name all that there are, and nothing but
// services refers to them.
func (s *Source) separate(only func(string) bool) []string {
	names := map[string]bool{}
	for _, f := range s.Files {
		if f.Tagged {
			return nil
		}
		for _, model := range f.Models {
			if model["include"] != nil || model["jobs"] != nil {
				return nil
			}
			services, _ := model["services"].(map[string]any)
			for name := range services {
				if only == nil || only(name) {
					names[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
