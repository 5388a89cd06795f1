package containers_test

import (
	"slices"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

func TestListStack(t *testing.T) {
	engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	t.Cleanup(engine.Halt)
	for _, c := range []struct {
		name        string
		labels      map[string]string
		stack, role string
	}{
		{"ours", map[string]string{containers.LabelProject: "s", containers.LabelStack: "s", containers.LabelRole: "helper"}, "s", "helper"},
		{"theirs", map[string]string{containers.LabelProject: "s", containers.LabelOneoff: "False"}, "s", "service"},
		{"one-off", map[string]string{containers.LabelProject: "s", containers.LabelOneoff: "True"}, "s", "service"},
		{"other", map[string]string{containers.LabelProject: "s2"}, "s2", "service"},
		{"lease", map[string]string{containers.LabelRole: "lease"}, "", "lease"},
		{"nobody's", nil, "", ""},
	} {
		if _, err := engine.Create(t.Context(), containers.Spec{Name: c.name, Image: "actor", Labels: c.labels}); err != nil {
			t.Fatal(err)
		}
		if got := containers.StackOf(c.labels); got != c.stack {
			t.Errorf("%s belongs to %q, want %q", c.name, got, c.stack)
		}
		if got := containers.RoleOf(c.labels); got != c.role {
			t.Errorf("%s is a %q, want %q", c.name, got, c.role)
		}
	}
	list, err := containers.ListStack(t.Context(), engine, "s")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"ours", "theirs"}) {
		t.Errorf("of the stack: %v", names)
	}
}
