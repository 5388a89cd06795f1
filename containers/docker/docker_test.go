package docker

import (
	"testing"

	"github.com/stagehand-dev/stagehand/containers/enginetest"
)

func TestContract(t *testing.T) { enginetest.Run(t, open) }

// open connects through a socket of the test's own, which can be cut.
func open(t *testing.T) enginetest.Harness {
	return harnessOver(t, newCutter(t))
}

func harnessOver(t *testing.T, socket *cutter) enginetest.Harness {
	t.Helper()
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	engine := openEngine(t, Options{Endpoint: socket.address, ProbeBinary: binary})
	return enginetest.Harness{
		Engine: engine, Image: actorImage, LimitsMemory: true, Sever: socket.sever, Restore: socket.restore,
	}
}
