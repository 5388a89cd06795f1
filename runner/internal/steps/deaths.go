package steps

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
)

// deaths knows which services of the stack have ended while the run goes on,
// from one stream of the engine's events. A service that the engine is
// starting again has not died.
type deaths struct {
	mu      sync.Mutex
	ended   map[string]containers.Status
	changed chan struct{} // closed and replaced at each change
}

func (d *deaths) wait() (map[string]containers.Status, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.ended, d.changed
}

func (d *deaths) set(status containers.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := maps.Clone(d.ended)
	if next == nil {
		next = map[string]containers.Status{}
	}
	next[status.Name] = status
	d.ended = next
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// forget takes a death back that turned out to be an earlier one: the service
// has been started again since. One that came later stays.
func (d *deaths) forget(old containers.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.ended[old.Name]; now.ID != old.ID || !now.Finished.Equal(old.Finished) {
		return
	}
	next := maps.Clone(d.ended) // who waits reads the one before
	delete(next, old.Name)
	d.ended = next
}

// deathOf tells, as a *waiters.Dead, the first of the containers that dies; it
// ends with ctx. What was seen dead is looked at again: it may have been seen
// before this run started it.
func (c *Crew) deathOf(ctx context.Context, watched []string) <-chan error {
	over := make(chan error, 1)
	if len(watched) == 0 {
		return over
	}
	go func() { // ends with ctx, which its caller cancels
		for {
			ended, changed := c.deaths.wait()
			var again <-chan time.Time
			for _, name := range watched {
				status, dead := ended[name]
				if !dead {
					continue
				}
				switch now, err := c.Engine.Status(ctx, name); {
				case err == nil && !now.Ended():
					c.deaths.forget(status)
				case err == nil, errors.Is(err, containers.ErrNotFound):
					over <- &waiters.Dead{Name: name, Status: status, Logs: lastLines(ctx, c.Engine, name, tailLines)}
					return
				default:
					again = time.After(lookAgain)
				}
			}
			select {
			case <-changed:
			case <-again:
			case <-ctx.Done():
				return
			}
		}
	}()
	return over
}

// lookAgain is the pause after an engine did not answer.
const lookAgain = 100 * time.Millisecond

// WatchDeaths follows the engine's events until ctx ends; the channel is
// closed when it has stopped. A stream that breaks is opened again, and what
// happened meanwhile is read from the containers themselves.
func (c *Crew) WatchDeaths(ctx context.Context) <-chan struct{} {
	stopped := make(chan struct{})
	if !c.watches() {
		close(stopped)
		return stopped
	}
	labels := containers.OfStack(c.Stack.Name)
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			_ = c.Engine.Events(ctx, labels, func() { c.lookForDead(ctx) }, func(e containers.Event) {
				if e.Kind != containers.EventEnded || containers.RoleOf(e.Labels) != containers.RoleService {
					return
				}
				if status, err := c.Engine.Status(ctx, e.Name); err == nil && status.Ended() {
					c.deaths.set(status)
				}
			})
			select {
			case <-ctx.Done():
			case <-time.After(lookAgain):
			}
		}
	}()
	return stopped
}

// watches tells whether any step to come cares for deaths.
func (c *Crew) watches() bool {
	for _, s := range c.Plan.Steps {
		if len(s.Watches) > 0 && s.Action != "skip" {
			return true
		}
	}
	return false
}

func (c *Crew) lookForDead(ctx context.Context) {
	list, err := containers.ListStack(ctx, c.Engine, c.Stack.Name)
	if err != nil {
		return
	}
	for _, status := range list {
		if status.Ended() && containers.RoleOf(status.Labels) == containers.RoleService {
			c.deaths.set(status)
		}
	}
}
