package upgrades_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/upgrades"
	"github.com/stagehand-dev/stagehand/upgrades/upgradestest"
)

// TestHistories plays 100 histories; -rapid.checks=100000 plays so many. The killed are
// waited for by a clock of the bubble's own. Rapid stops after a day of that clock: with a
// TTL of a second a million histories take less.
func TestHistories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) { upgradestest.History(t, &upgrades.Memory{}, time.Second) })
	})
}

// bubbled is a test that has no deadline: no bubble may ask for one.
type bubbled struct{ testing.TB }
