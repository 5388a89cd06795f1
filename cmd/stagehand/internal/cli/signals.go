package cli

import "sync"

// handler is what the user's signals do, by how many there were. Commands
// that have an orderly way to stop put their own in place of the first one,
// which ends the command's ctx.
type handler struct {
	mu    sync.Mutex
	count int
	f     func(count int)
}

// onSignal calls f with 1 for the next signal, 2 for the one after that, and so on.
func (in *invocation) onSignal(f func(count int)) {
	in.handler.mu.Lock()
	defer in.handler.mu.Unlock()
	in.handler.count, in.handler.f = 0, f
}

func (h *handler) signalled() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	h.f(h.count)
}

// watchSignals hands signals to f, or what onSignal puts in its place, until stop is called.
func (in *invocation) watchSignals(f func(int)) (stop func()) {
	in.onSignal(f)
	over := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-in.Signals:
				in.handler.signalled()
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
