package steps

import (
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

func errands(t *testing.T) *walk {
	t.Helper()
	engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	t.Cleanup(engine.Halt)
	stack := &stages.Stack{Name: "s", Services: map[string]stages.Service{"mig": {Name: "mig", Spec: containers.Spec{Image: "actor", Command: []string{"forever"}}}}}
	crew := New(Options{Engine: engine, Stack: stack, Plan: &plan.Plan{}, Upgrading: &Upgrading{}})
	return &walk{Crew: crew, step: &active{Step: &plan.Step{Stage: "upgrade"}}, standing: map[string]*active{}}
}

func TestTenantsOfLikeNamesHaveHelpersOfTheirOwn(t *testing.T) {
	w := errands(t)
	step := upgrades.Step{From: upgrades.MustVersion("1.0.0"), To: upgrades.MustVersion("1.1.0")}
	seen := map[string]string{}
	for _, tenant := range []string{"a-b", "a/b", "a_b", "A-b", "a.b"} {
		h, err := w.errand(t.Context(), step, partTenant, "mig", tenant)
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[h.Container]; other != "" {
			t.Errorf("%s is the helper of %s and of %s", h.Container, other, tenant)
		}
		seen[h.Container] = tenant
	}
}

// Else the second took the first one's outcome over: the tenants as they were before.
func TestEachListingHasAHelperOfItsOwn(t *testing.T) {
	w := errands(t)
	var names [2]string
	for i := range names {
		h, err := w.errand(t.Context(), upgrades.Step{}, partList, "mig", "")
		if err != nil {
			t.Fatal(err)
		}
		names[i] = h.Container
		if _, err := w.Engine.Create(t.Context(), h.spec); err != nil {
			t.Fatal(err)
		}
	}
	if names[0] == names[1] {
		t.Errorf("both are %s", names[0])
	}
}

func TestWhatAnErrandTakesOver(t *testing.T) {
	w := errands(t)
	h, err := w.errand(t.Context(), upgrades.Step{}, partList, "mig", "")
	if err != nil {
		t.Fatal(err)
	}
	for state, c := range map[string]struct {
		containers.Status
		want bool
	}{
		"runs":         {containers.Status{State: containers.StateRunning, Started: time.Unix(1, 0)}, true},
		"half started": {containers.Status{State: containers.StateRunning}, false},
		"ended well":   {containers.Status{State: containers.StateExited}, true},
		"failed":       {containers.Status{State: containers.StateExited, ExitCode: 1}, false},
		"not started":  {containers.Status{State: containers.StateCreated}, false},
	} {
		c.Labels = h.spec.Labels
		if got := w.ownEnd(h, c.Status); got != c.want {
			t.Errorf("%s: taken over: %v", state, got)
		}
	}
}
