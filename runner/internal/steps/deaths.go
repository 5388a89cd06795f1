package steps

import (
	"context"
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
	next := make(map[string]containers.Status, len(d.ended)+1)
	for k, v := range d.ended {
		next[k] = v
	}
	next[status.Name] = status
	d.ended = next
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// forget takes a death back: the service has been started again.
func (d *deaths) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, dead := d.ended[name]; !dead {
		return
	}
	next := make(map[string]containers.Status, len(d.ended))
	for k, v := range d.ended {
		if k != name {
			next[k] = v
		}
	}
	d.ended = next
}

// deathOf tells, as a *waiters.Dead, the first of the containers that dies; it
// ends with ctx.
func (c *Crew) deathOf(ctx context.Context, watched []string) <-chan error {
	over := make(chan error, 1)
	if len(watched) == 0 {
		return over
	}
	go func() { // ends with ctx, which its caller cancels
		for {
			ended, changed := c.deaths.wait()
			for _, name := range watched {
				if status, dead := ended[name]; dead {
					over <- &waiters.Dead{Name: name, Status: status, Logs: lastLines(ctx, c.Engine, name)}
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return over
}

// WatchDeaths follows the engine's events until ctx ends; the channel is
// closed when it has stopped. A stream that breaks is opened again, and what
// happened meanwhile is read from the containers themselves.
func (c *Crew) WatchDeaths(ctx context.Context) <-chan struct{} {
	stopped := make(chan struct{})
	if !c.watches() {
		close(stopped)
		return stopped
	}
	labels := map[string]string{containers.LabelStack: c.Stack.Name, containers.LabelRole: containers.RoleService}
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			_ = c.Engine.Events(ctx, labels, func() { c.lookForDead(ctx, labels) }, func(e containers.Event) {
				if e.Kind != containers.EventEnded {
					return
				}
				if status, err := c.Engine.Status(ctx, e.Name); err == nil && status.Ended() {
					c.deaths.set(status)
				}
			})
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
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

func (c *Crew) lookForDead(ctx context.Context, labels map[string]string) {
	list, err := c.Engine.List(ctx, labels)
	if err != nil {
		return
	}
	for _, status := range list {
		if status.Ended() {
			c.deaths.set(status)
		}
	}
}
