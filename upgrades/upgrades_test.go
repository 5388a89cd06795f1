package upgrades_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/upgrades"
	"github.com/stagehand-dev/stagehand/upgrades/upgradestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	upgradestest.Test(t, func(*testing.T) func() upgrades.Store {
		store := &upgrades.Memory{}
		return func() upgrades.Store { return store }
	})
}
