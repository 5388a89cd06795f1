package standing_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/standing"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/views/report"
)

// kept does not go with the look that it was connected for.
type kept struct{ *memory.Engine }

func (kept) Close() error { return nil }

func TestStacks(t *testing.T) {
	engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	defer engine.Halt()
	ctx := t.Context()
	for name, stack := range map[string]string{"a-web-1": "a", "a-db-1": "a", "b-web-1": "b", "foreign": ""} {
		spec := containers.Spec{Name: name, Image: "actor", Command: []string{"forever"}}
		if stack != "" {
			spec.Labels = map[string]string{containers.LabelStack: stack, containers.LabelRole: containers.RoleService}
		}
		if _, err := engine.Create(ctx, spec); err != nil {
			t.Fatal(err)
		}
		if name == "a-db-1" {
			continue
		}
		if err := engine.Start(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := engine.Lease(ctx, "a", containers.Holder{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lease.Release(context.Background()) }()
	looker := standing.Looker{Connect: func(context.Context) (containers.Engine, error) { return kept{engine}, nil }}
	got, err := looker.Stacks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []report.Standing{{Stack: "a", Running: 1, Stopped: 1, Run: "r1"}, {Stack: "b", Running: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
