package stages

import (
	"context"
	"fmt"
	"slices"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// Judge says, in its place, what the engine at hand cannot do of the stack: as
// a problem where the engine would refuse a container, as a warning where it makes one
// without. An engine that cannot tell says nothing. The error is the engine's.
func (s *Stack) Judge(ctx context.Context, engine containers.Engine) (*problems.List, error) {
	list := s.problems()
	judge, can := engine.(containers.Judge)
	if !can || s.source == nil {
		return list, nil
	}
	said := map[string]bool{} // once for all apps
	say := func(what string, lacks []containers.Lack, place ...string) {
		for _, l := range lacks {
			pos := s.source.At(slices.Concat(place, l.Key)...)
			key := fmt.Sprint(pos, l.Text)
			if said[key] {
				continue
			}
			said[key] = true
			if l.Refused {
				list.Add(pos, "", "%s of %s %s", l.Key[0], what, l.Text)
			} else {
				list.Warn(pos, "", "%s of %s is left out: it %s", l.Key[0], what, l.Text)
			}
		}
	}
	for _, name := range sortedKeys(s.Services) {
		service := s.Services[name]
		lacks, err := judge.Lacks(ctx, service.Spec)
		if err != nil {
			return nil, err
		}
		say("service "+service.Template, lacks, "services", service.Template)
	}
	for _, n := range s.Networks {
		lacks, err := judge.NetworkLacks(ctx, n)
		if err != nil {
			return nil, err
		}
		key := n.Labels[containers.LabelNetwork]
		say("network "+key, lacks, "networks", key)
	}
	return list, nil
}
