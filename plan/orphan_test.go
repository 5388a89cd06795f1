package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
)

// What is an orphan: a service's container, ours or docker compose's, of a name that neither the file nor an app of it has.
func TestOrphans(t *testing.T) {
	ours := func(service, role string) containers.Status {
		return containers.Status{State: containers.StateRunning, Labels: map[string]string{
			containers.LabelStack: "graph", containers.LabelService: service, containers.LabelRole: role, containers.LabelNumber: "1"}}
	}
	standing := map[string]containers.Status{
		"db":            ours("db", containers.RoleService),
		"of an app":     ours("alpha-serve", containers.RoleService),
		"of no app":     ours("gone-serve", containers.RoleService),
		"of no stage":   ours("spare", containers.RoleService),
		"gone":          ours("gone", containers.RoleService),
		"a lost helper": ours("gone", containers.RoleHelper),
		"compose's": {State: containers.StateRunning, Labels: map[string]string{
			"com.docker.compose.project": "graph", "com.docker.compose.service": "old", "com.docker.compose.container-number": "1"}},
	}
	want := []string{"compose's", "gone", "of no app"}
	stack := load(t, "testdata/graph.yaml")
	stack.Named = append(stack.Named, "spare")
	p := plan.Make(stack, plan.Facts{Containers: standing}, now)
	if diff := cmp.Diff(want, p.Orphans); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	p = plan.Make(stack, plan.Facts{Containers: standing, RemoveOrphans: true}, now)
	swept := map[string]string{}
	for _, l := range p.Sweep {
		swept[l.Container] = l.Cause
	}
	wantSwept := map[string]string{"a lost helper": "its step is in the stack file no more"}
	for _, name := range want {
		wantSwept[name] = "the file names no such service"
	}
	if diff := cmp.Diff(wantSwept, swept); diff != "" || len(p.Orphans) > 0 {
		t.Errorf("swept (-want +got):\n%s\nleft: %v", diff, p.Orphans)
	}
}
