package chaos

import (
	"sync"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// book is a ledger in memory: what the real one answers, without its disk. It
// outlives the processes.
type book struct {
	mu     sync.Mutex
	events []events.Event
	from   int // records before are forgotten
	// versions of stacks, and how far upgrades are; nil where no stack has one.
	versions *upgrades.Memory
	workers  map[string]*process // at upgrades, by the IDs of their holders
}

// apps registers as the ledger does.
func (b *book) apps() map[string]events.App {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.App{}
	for _, e := range b.events {
		switch state := e.Registers(); {
		case state == events.Removed:
			delete(out, e.App)
		case state == events.Deployed, state == events.Deploying && out[e.App].State == "":
			out[e.App] = events.App{Name: e.App, Stack: e.Stack, State: state, Descriptor: e.Descriptor, Run: e.Run, Time: e.Time}
		}
	}
	return out
}

func (b *book) join(h upgrades.Holder, p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.workers == nil {
		b.workers = map[string]*process{}
	}
	b.workers[h.ID] = p
}

func (b *book) joined(h upgrades.Holder) *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workers[h.ID]
}

// kept is how many events are.
func (b *book) kept() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

func (b *book) add(e events.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *book) recorded() map[string]events.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events[b.from:] {
		if e.Kind == events.StepEnded && e.Outcome == events.Done {
			out[e.Step] = e
		}
	}
	return out
}

func (b *book) holders() map[string]events.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events {
		if e.Exclusive != "" && e.ExitCode != nil {
			out[e.Exclusive] = e
		}
	}
	return out
}

func (b *book) stops() map[string]events.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events {
		if e.Kind == events.StepStopping || e.Kind == events.ServiceStopped {
			out[e.Step] = e
		}
	}
	return out
}

func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = len(b.events)
}
