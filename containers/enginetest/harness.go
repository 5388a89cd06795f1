// Package enginetest is the contract that every engine passes: one suite of
// cases over containers.Engine. An engine joins with one line in its tests:
//
//	func TestContract(t *testing.T) { enginetest.Run(t, open) }
//
// where open returns a Harness over a new connection to the engine.
package enginetest

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/containers"
)

// Harness is an engine under test and what the suite must know of it. The
// zero value of each field but Engine and Image is the poorer ability.
type Harness struct {
	// Engine is closed by whoever made it, best with t.Cleanup: cleaning up after a
	// case, which the suite registers later and which thus runs earlier, needs it.
	Engine containers.Engine
	// Image is the image of the actor (see package actor), on the engine
	// already, with actor.Path as its entrypoint and actor.Command as its command.
	Image string
	// LimitsMemory: the engine ends a container that takes more than its
	// Resources.Memory and says that this is why.
	LimitsMemory bool
	// Sever makes the engine unable to answer, Restore makes it answer again.
	// Containers go on meanwhile. nil: the case is skipped.
	Sever, Restore func()
	// Slack is how long the engine may take for what should take no time,
	// such as ending a call whose ctx is done. 0 means DefaultSlack.
	Slack time.Duration
}

// DefaultSlack is generous because a CI machine that is busy is not a broken engine.
const DefaultSlack = 20 * time.Second

// Case is one clause of the contract. Run needs a Harness of its own, and may
// be called inside a testing/synctest bubble.
type Case struct {
	Name string
	Run  func(t *testing.T, h Harness)
}

// Run runs every case in parallel, each over a Harness of its own, and then
// looks for goroutines that were left behind.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	before := goleak.IgnoreCurrent()
	t.Run("cases", func(t *testing.T) {
		for _, c := range Cases() {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				c.Run(t, open(t))
			})
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Errorf("left behind: %v", err)
	}
}
