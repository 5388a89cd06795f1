// Package signals hands the user's requests to stop to whoever can stop in order.
package signals

import (
	"os"
	"sync"
)

// Handler is what the user's signals do, by how many there were. Commands
// that have an orderly way to stop put their own in place of the first one,
// which ends the command's ctx.
type Handler struct {
	mu    sync.Mutex
	count int
	last  os.Signal
	f     func(count int)
}

// On calls f with 1 for the next signal, 2 for the one after that, and so on.
func (h *Handler) On(f func(count int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count, h.f = 0, f
}

// Forward calls f with each signal and how many there were.
func (h *Handler) Forward(f func(signal os.Signal, count int)) {
	h.On(func(count int) { f(h.last, count) })
}

func (h *Handler) signalled(signal os.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	h.last = signal
	h.f(h.count)
}

// Watch hands signals to f, or what On puts in its place, until stop is called.
func (h *Handler) Watch(signals <-chan os.Signal, f func(int)) (stop func()) {
	h.On(f)
	over := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case signal := <-signals:
				h.signalled(signal)
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		group.Wait()
	}
}
