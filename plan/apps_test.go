package plan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
)

const appsStack = `name: demo
immutable: [partitions, workspaces]
apps:
  one: {partitions: 2, workspaces: 10, deploy: yes}
  two: {partitions: 3, workspaces: 10, deploy: no}
services:
  deploy: {image: demo/deploy}
  api: {image: demo/api}
stages:
  - {name: deploy, run: deploy, each: apps, where: deploy}
  - {name: look, await: {tcp: "x:1"}, each: apps}
  - {name: api, start: api, each: apps, where: deploy}
  - {name: tell, call: {http: {method: PUT, url: "http://x/${APP}"}}, each: apps, where: deploy}
`

// TestApps: which apps a plan registers, by which steps, and what it says of that.
func TestApps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stagehand.yaml")
	if err := os.WriteFile(file, []byte(appsStack), 0o600); err != nil {
		t.Fatal(err)
	}
	stack := load(t, file)
	one := map[string]string{"partitions": "2", "workspaces": "10"}
	carriers := []string{"deploy/one", "api/one", "tell/one"} // not what only looks
	for _, c := range []struct {
		name     string
		known    map[string]events.App
		want     []plan.App
		carriers []string
		text     string
	}{
		{"no registry", nil, nil, nil, ""},
		{"new", map[string]events.App{}, []plan.App{{Name: "one", State: plan.AppNew, Descriptor: one}}, carriers, "new app: one, from now on with partitions=2 workspaces=10\n"},
		{"begun", map[string]events.App{"one": {State: events.Deploying, Descriptor: one}}, []plan.App{{Name: "one", State: plan.AppDeploying, Descriptor: one}}, carriers, "app under way: one, with partitions=2 workspaces=10\n"},
		{"deployed", map[string]events.App{"one": {State: events.Deployed, Descriptor: one}}, []plan.App{{Name: "one", State: plan.AppDeployed, Descriptor: one}}, nil, ""},
		{
			"deployed with less", map[string]events.App{"one": {State: events.Deployed, Descriptor: map[string]string{"partitions": "2"}}},
			[]plan.App{{Name: "one", State: plan.AppExtended, Descriptor: one}}, carriers, "app: one, from now on with partitions=2 workspaces=10\n",
		},
		{
			"deployed with more", map[string]events.App{"one": {State: events.Deployed, Descriptor: map[string]string{"partitions": "2", "workspaces": "10", "deploy": "yes"}}},
			[]plan.App{{Name: "one", State: plan.AppDeployed, Descriptor: map[string]string{"partitions": "2", "workspaces": "10", "deploy": "yes"}}}, nil, "",
		},
		{
			"removed", map[string]events.App{"one": {State: events.Deployed, Descriptor: one}, "old": {State: events.Deployed, Descriptor: map[string]string{"partitions": "7"}}},
			[]plan.App{{Name: "old", State: plan.AppRemoved, Descriptor: map[string]string{"partitions": "7"}}, {Name: "one", State: plan.AppDeployed, Descriptor: one}}, nil,
			"removed app: old, deployed with partitions=7, stands in the stack file no more\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Make(stack, plan.Facts{Apps: c.known}, now)
			if diff := cmp.Diff(c.want, p.Apps); diff != "" {
				t.Errorf("apps (-want +got):\n%s", diff)
			}
			var got []string
			for _, s := range p.Steps {
				if s.Descriptor != nil {
					got = append(got, s.ID)
				}
			}
			if !slices.Equal(got, c.carriers) {
				t.Errorf("carried by %v, want %v", got, c.carriers)
			}
			bare := plan.Make(stack, plan.Facts{}, now).String()
			if said := strings.TrimPrefix(strings.TrimPrefix(p.String(), bare), "\n"); said != c.text {
				t.Errorf("says %q, want %q", said, c.text)
			}
		})
	}
}
