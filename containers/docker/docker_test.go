package docker

import (
	"testing"

	"github.com/stagehand-dev/stagehand/containers/enginetest"
)

func TestContract(t *testing.T) { enginetest.Run(t, open) }

// open connects through a socket of the test's own, which can be cut.
func open(t *testing.T) enginetest.Harness {
	needActor(t)
	socket := newCutter(t)
	binary, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	engine := openEngine(t, Options{Endpoint: "unix://" + socket.path, ProbeBinary: binary})
	return enginetest.Harness{
		Engine: engine, Image: actorImage, LimitsMemory: true, Sever: socket.sever, Restore: socket.restore,
	}
}
