package memory_test

import (
	"testing"
	"testing/synctest"

	"github.com/stagehand-dev/stagehand/containers/enginetest"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

const image = "stagehand/actor"

func open(t *testing.T) enginetest.Harness {
	engine := memory.New(memory.Options{Images: map[string]memory.Program{image: actor.Main}, Commands: map[string][]string{image: actor.Command}})
	t.Cleanup(engine.Halt)
	return enginetest.Harness{
		Engine: engine, Image: image, LimitsMemory: true,
		Sever: engine.Sever, Restore: engine.Restore,
	}
}

func TestContract(t *testing.T) { enginetest.Run(t, open) }

// With a fake clock the same cases take no time, and a goroutine that is left
// behind or waits for ever is a failure of the bubble.
func TestContractWithFakeTime(t *testing.T) {
	for _, c := range enginetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, open(t)) })
		})
	}
}
