package plan_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/plan"
)

func TestSelect(t *testing.T) {
	p := plan.Make(load(t, "testdata/graph.yaml"), plan.Facts{}, now)
	for _, test := range []struct {
		rerun, from string // words with a space between them
		want        string // step IDs
		unknown     string
	}{
		{"", "", "", ""},
		{"setup/beta", "", "setup/beta", ""},
		{"setup", "", "setup/alpha setup/beta", ""},
		{"alpha", "", "api/alpha index/alpha setup/alpha", ""},
		{"db beta", "", "api/beta db setup/beta", ""},
		{"", "setup", "api/alpha api/beta check setup/alpha setup/beta", ""},
		{"", "db", "api/alpha api/beta check db setup/alpha setup/beta", ""},
		{"load", "api", "api/alpha api/beta load", ""},
		{"setpu", "", "", "--rerun setpu"},
		{"", "setup/beta", "", "--from setup/beta"},
		{"", "alpha", "", "--from alpha"},
	} {
		asked, err := plan.Again{Rerun: strings.Fields(test.rerun), From: strings.Fields(test.from)}.Select(p)
		var unknown *plan.Unknown
		if errors.As(err, &unknown) != (test.unknown != "") || err != nil && !strings.Contains(err.Error(), test.unknown) {
			t.Errorf("--rerun %s --from %s: error %v", test.rerun, test.from, err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(asked)), " "); got != test.want {
			t.Errorf("--rerun %s --from %s: %s, want %s", test.rerun, test.from, got, test.want)
		}
	}
	asked, err := plan.Again{Rerun: []string{"api/alpha"}, Services: true}.Select(p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"api/alpha": "asked for by --rerun", "api/beta": "asked for by --force-recreate", "db": "asked for by --force-recreate"}
	if !maps.Equal(asked, want) {
		t.Errorf("services: %v, want %v", asked, want)
	}
}
