package steps

import (
	"context"
	"sync"
	"time"
)

// clearTime bounds how long a start waits for what is being cleared up.
const clearTime = 250 * time.Millisecond

// clearing knows what the engine clears up behind helpers that have ended. Docker takes longer for a start beside that
// than for the one after the other (a chain of 20 helpers: 7.1 s against 6.2 s, two cores, engine 20.10),
// as long as there is nothing else to do meanwhile.
type clearing struct {
	mu      sync.Mutex
	working int           // steps that have containers
	ended   int           // helpers that are being destroyed
	over    chan struct{} // closed when there are none
}

// work counts one that has a container, until the returned function is called.
func (c *clearing) work() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.working--
	}
}

// begin tells that a helper is about to be destroyed; the returned function that it is.
func (c *clearing) begin() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == 0 {
		c.over = make(chan struct{})
	}
	c.ended++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended--; c.ended == 0 {
			close(c.over)
		}
	}
}

// wait returns when a container of the only step at work may be started; at once where there are others.
func (c *clearing) wait(ctx context.Context) {
	c.mu.Lock()
	over, wait := c.over, c.working == 1 && c.ended > 0
	c.mu.Unlock()
	if !wait {
		return
	}
	timer := time.NewTimer(clearTime)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-ctx.Done():
	}
}
