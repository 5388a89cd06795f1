// Package ephemeral is what an up that leaves nothing behind does beside any
// other up: a name of its own, records of its own, and the wait for its end.
package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/retry"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Name is the stack's name in the run: the file's and what tells runs apart,
// so that any number of runs of one file do not meet.
func Name(base, run string) string {
	return containers.Name(base, run[strings.LastIndexByte(run, '-')+1:])
}

// Records are a run's ledger to which earlier runs never happened.
type Records struct{ runner.Ledger }

// Recorded is nothing.
func (Records) Recorded(context.Context, string, string) (map[string]events.Event, error) {
	return map[string]events.Event{}, nil
}

// Holders is nobody.
func (Records) Holders(context.Context, string, string) (map[string]events.Event, error) {
	return map[string]events.Event{}, nil
}

// Apps is nil: what is made goes with the run, so that it registers nothing, and what a
// lasting stack of the same name is deployed with is none of its business.
func (Records) Apps(context.Context, string, string) (map[string]events.App, error) {
	return nil, nil
}

// RefuseStanding is a conflict where something of the stack is on the engine
// already: it is not the run's to use, nor to remove. down is the command that removes it.
func RefuseStanding(ctx context.Context, engine containers.Engine, stack, down string) error {
	labels := containers.OfStack(stack)
	list, err := engine.List(ctx, labels)
	if err != nil {
		return err
	}
	networks, err := engine.ListNetworks(ctx, labels)
	if err != nil {
		return err
	}
	volumes, err := engine.ListVolumes(ctx, labels)
	if err != nil {
		return err
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{len(list), "container"}, {len(networks), "network"}, {len(volumes), "volume"}} {
		if p.n > 0 {
			parts = append(parts, text.Plural(p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &exit.Error{Code: exit.Conflict, Err: fmt.Errorf(
		"%s stands on the engine already (%s), and an ephemeral run begins with nothing: give it another name with -p, or remove that first: %s",
		stack, strings.Join(parts, ", "), down)}
}

// enginePatience is how long a wait for the end of services puts up with an
// engine that does not answer.
const enginePatience = 10 * time.Minute

// Stay waits until ctx is done, which is no error, or all services have ended, and
// tells how each did. One that ended badly is a failure, told already.
func Stay(ctx context.Context, engine containers.Engine, services []containers.Status, say func(format string, args ...any)) error {
	engine = retry.Wrap(engine, enginePatience)
	var group errgroup.Group
	ends := make([]containers.Status, len(services))
	for i, s := range services {
		group.Go(func() error {
			end, err := engine.Wait(ctx, s.Name)
			switch {
			case err != nil && ctx.Err() != nil:
				return nil //nolint:nilerr // the user has seen enough, and the call was cut short by that
			case errors.Is(err, containers.ErrNotFound):
				say("%s was removed", s.Name)
				return nil
			case err != nil:
				return err
			}
			ends[i] = end
			say("%s has ended: %s", s.Name, end.Verdict())
			return nil
		})
	}
	if err := group.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	for _, end := range ends {
		if end.ID == "" || end.ExitCode != 0 {
			return &exit.Error{Code: exit.Failed}
		}
	}
	return nil
}
