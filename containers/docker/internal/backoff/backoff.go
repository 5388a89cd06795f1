// Package backoff paces what is asked again and again.
package backoff

import (
	"cmp"
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/sleep"
)

// Backoff waits longer each time, from 5 ms on. Its zero value is ready.
type Backoff struct {
	// Most is the longest wait; 0 is 250 ms.
	Most time.Duration
	last time.Duration
}

// Wait returns ctx's error where that ends first.
func (b *Backoff) Wait(ctx context.Context) error {
	b.last = min(max(5*time.Millisecond, b.last*2), cmp.Or(b.Most, 250*time.Millisecond))
	return sleep.For(ctx, b.last)
}
