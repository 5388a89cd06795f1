package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// A mark is found wherever in a spec it stands, and what it stands in is not changed.
func TestResolve(t *testing.T) {
	mark := "a " + stages.HandedOpen + "SETUP_TOKEN" + stages.HandedClose + " b"
	spec := func(text string) map[string]containers.Spec {
		return map[string]containers.Spec{
			"a text":         {Image: text},
			"a list":         {Command: []string{"x", text}},
			"a map":          {Sysctls: map[string]string{"k": text}},
			"a map's key":    {Sysctls: map[string]string{text: "v"}},
			"bytes":          {Files: []containers.File{{Path: "/x", Content: []byte(text)}}},
			"behind pointer": {Health: &containers.Healthcheck{Test: []string{"CMD", text}}},
			"within a spec":  {PreStart: []containers.Spec{{Env: []string{"K=" + text}}}},
			"an app's own":   {User: text},
		}
	}
	values := plan.Values{}
	values.Set("setup", "", map[string]string{"token": "all"})
	values.Set("setup", "shop", map[string]string{"token": "shop"})
	want, before := spec("a all b"), spec(mark)
	for name, marked := range spec(mark) {
		app, expected := "", want[name]
		if name == "an app's own" {
			app, expected.User = "shop", "a shop b"
		}
		got, missing := plan.Resolve(marked, values, app)
		if diff := cmp.Diff(expected, got); diff != "" || len(missing) > 0 {
			t.Errorf("%s: missing %v\n%s", name, missing, diff)
		}
		if diff := cmp.Diff(before[name], marked); diff != "" {
			t.Errorf("%s: was changed\n%s", name, diff)
		}
		if _, missing := plan.Resolve(marked, nil, app); !cmp.Equal(missing, []string{"SETUP_TOKEN"}) {
			t.Errorf("%s: missing %v", name, missing)
		}
		if got, missing := plan.Resolve(expected, values, app); len(missing) > 0 || !cmp.Equal(got, expected) {
			t.Errorf("%s without a mark: %v, %v", name, got, missing)
		}
	}
}
