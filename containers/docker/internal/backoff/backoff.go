// Package backoff paces what is asked again and again.
package backoff

import (
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/sleep"
)

// Backoff waits longer each time: 5 ms to 250 ms. Its zero value is ready.
type Backoff struct{ last time.Duration }

// Wait returns ctx's error where that ends first.
func (b *Backoff) Wait(ctx context.Context) error {
	b.last = min(max(5*time.Millisecond, b.last*2), 250*time.Millisecond)
	return sleep.For(ctx, b.last)
}
