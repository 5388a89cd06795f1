package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/waiters"
)

// observe reads what the engine shows of the stack: containers, volumes and
// images. It changes nothing.
func observe(ctx context.Context, stack *stages.Stack, engine containers.Engine) (plan.Facts, error) {
	facts := plan.Facts{
		Containers: map[string]containers.Status{},
		Volumes:    map[string]containers.VolumeStatus{},
		Images:     map[string]string{},
	}
	group, looking := errgroup.WithContext(ctx)
	group.SetLimit(8)
	group.Go(func() error {
		list, err := containers.ListStack(looking, engine, stack.Name)
		for _, status := range list {
			facts.Containers[status.Name] = status
		}
		return err
	})
	if slices.ContainsFunc(stack.Stages, sharesNetwork) {
		group.Go(func() error {
			var err error
			facts.Namespaces, err = engine.List(looking, containers.Namespaces(stack.Name))
			return err
		})
	}
	group.Go(func() error {
		list, err := engine.ListVolumes(looking, containers.OfStack(stack.Name))
		for _, v := range list {
			facts.Volumes[v.Name] = v
		}
		return err
	})
	var mu sync.Mutex
	for ref, platform := range imagesOf(stack) {
		group.Go(func() error {
			image, err := engine.EnsureImage(looking, ref, platform, containers.PullNever, nil)
			if errors.Is(err, containers.ErrImage) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			facts.Images[ref] = image.ID
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return facts, err
	}
	return facts, unlabelled(ctx, stack, engine, facts.Volumes)
}

func sharesNetwork(s stages.Stage) bool {
	return slices.ContainsFunc(s.Units, func(u stages.Unit) bool { return u.SharedNetwork })
}

// unlabelled adds the stack's volumes that do not carry its label: external
// ones, and those that another tool has made under our name.
func unlabelled(ctx context.Context, stack *stages.Stack, engine containers.Engine, known map[string]containers.VolumeStatus) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, v := range stack.Volumes {
		mu.Lock()
		_, listed := known[v.Name]
		mu.Unlock()
		if listed {
			continue
		}
		v.External = true // to ensure an external volume is only to look it up
		group.Go(func() error {
			status, err := engine.EnsureVolume(ctx, v)
			if errors.Is(err, containers.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			known[v.Name] = status
			return nil
		})
	}
	return group.Wait()
}

// proofLimit bounds the look at one proof: one that cannot be had does not hold.
const proofLimit = 15 * time.Second

// disproved looks at the proofs of the steps that would be skipped, once each,
// and says why those that do not hold do not.
func disproved(ctx context.Context, world waiters.World, p *plan.Plan) (map[string]string, error) {
	var mu sync.Mutex
	out := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, step := range p.Steps {
		if step.Action != plan.Skip || step.Unit.Proof == nil {
			continue
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, proofLimit)
			defer cancel()
			seen, err := step.Unit.Proof.Look(ctx, world)
			var dead *waiters.Dead
			switch {
			case errors.As(err, &dead):
				seen.Detail = dead.Error()
			case err != nil && ctx.Err() != nil:
				seen.Detail = "no answer within " + proofLimit.String()
			case err != nil:
				return err
			case seen.Holds:
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out[step.ID] = step.Unit.Proof.String()
			if seen.Detail != "" {
				out[step.ID] += ": " + seen.Detail
			}
			return nil
		})
	}
	return out, group.Wait()
}

func imagesOf(stack *stages.Stack) map[string]string {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		spec := stack.Services[name].Spec
		out[spec.Image] = spec.Platform
	}
	return out
}

// factsOf reads the ledger's records as facts, and opens what is sealed in them, which is secret from now on.
func factsOf(recorded map[string]events.Event, stack *stages.Stack, key *secrets.Key) map[string]plan.Fact {
	facts := make(map[string]plan.Fact, len(recorded))
	for id, e := range recorded {
		fact := plan.Fact{
			Spec: e.Spec, Image: e.Image, Run: e.Run, Seq: e.Seq, Time: e.Time, Parts: e.Parts, Volumes: e.Volumes,
		}
		values, err := Values(e, key, stack.Secrets)
		fact.Values, fact.Lost = values, err != nil
		facts[id] = fact
	}
	return facts
}

// Values are what a recorded step handed on, and those that were sealed are hidden by the masker from now on. The
// error, secrets.ErrSealed or that of the key's file, says that some cannot be read; they are left out.
func Values(e events.Event, key *secrets.Key, masker *secrets.Masker) (map[string]string, error) {
	if len(e.Values) == 0 {
		return nil, nil
	}
	var failed error
	values := make(map[string]string, len(e.Values))
	for name, value := range e.Values {
		plain, err := key.Open(value)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s of %s: %w", name, e.Step, err))
			continue
		}
		if secrets.Sealed(value) {
			masker.Add(plain)
		}
		values[name] = plain
	}
	return values, failed
}

// attempting is a Ledger that knows of attempts that did not succeed, so that a plan can tell of them.
type attempting interface {
	// Attempts returns, by step ID, the step.ended of the latest attempt that failed, timed out or
	// was stopped, or its step.started where no end of it is recorded.
	Attempts(ctx context.Context, stack, engineID string) (map[string]events.Event, error)
}

// attempts asks the ledger only where a step of the plan has to be done that no record is of:
// most plans have none, and the ledger looks through all of the stack's runs.
func attempts(ctx context.Context, p *plan.Plan, facts plan.Facts, ledger Ledger, engineID string) (map[string]plan.Attempt, error) {
	book, ok := ledger.(attempting)
	untold := slices.ContainsFunc(p.Steps, func(s *plan.Step) bool {
		_, recorded := facts.Steps[s.ID]
		return !recorded && s.Verb != stages.Start && s.Action != plan.Skip
	})
	if !ok || !untold {
		return nil, nil
	}
	ends, err := book.Attempts(ctx, p.Stack, engineID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	out := make(map[string]plan.Attempt, len(ends))
	for id, e := range ends {
		if _, recorded := facts.Steps[id]; !recorded {
			out[id] = plan.Attempt{Run: e.Run, Outcome: e.Outcome, Error: e.Error}
		}
	}
	return out, nil
}

// stopsOf reads the ledger's intents as facts.
func stopsOf(intents map[string]events.Event) map[string]plan.Stop {
	stops := make(map[string]plan.Stop, len(intents))
	for id, e := range intents {
		stops[id] = plan.Stop{Run: e.Run, Time: e.Time, Served: e.Outcome == events.Done, Over: e.Kind == events.ServiceStopped}
	}
	return stops
}
