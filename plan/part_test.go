package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/plan"
)

func TestPart(t *testing.T) {
	for _, test := range []struct {
		file, words string
		alone       bool
		want        string // step IDs
		unknown     string
	}{
		{file: "graph", words: "db", want: "index/alpha db"},
		{file: "graph", words: "load", want: "load"},
		{file: "graph", words: "setup", want: "index/alpha db load setup/alpha setup/beta"},
		{file: "graph", words: "setup/beta", want: "index/alpha db load setup/beta"},
		{file: "graph", words: "beta", want: "index/alpha db load setup/beta api/beta"},
		{file: "graph", words: "serve", want: "index/alpha db load setup/alpha setup/beta api/alpha api/beta"}, // a template
		{file: "graph", words: "alpha-serve", want: "index/alpha db load setup/alpha api/alpha"},               // what it is for an app
		{file: "graph", words: "check", want: "index/alpha db load setup/alpha setup/beta check"},
		{file: "graph", words: "bye load", want: "load bye"},
		{file: "graph", words: "api db", alone: true, want: "db api/alpha api/beta"},
		{file: "graph", words: "db nobody", unknown: "nobody: no such service, step, stage or app"},
	} {
		stack := load(t, "testdata/"+test.file+".yaml")
		p, err := plan.Part{Words: strings.Fields(test.words), Alone: test.alone}.Of(plan.Make(stack, plan.Facts{}, now), stack)
		var unknown *plan.Unknown
		if errors.As(err, &unknown) != (test.unknown != "") || err != nil && err.Error() != test.unknown {
			t.Errorf("%s: error %v", test.words, err)
		}
		if err != nil {
			continue
		}
		var ids []string
		for _, s := range p.Steps {
			ids = append(ids, s.ID)
			for _, need := range s.Needs {
				if p.Step(need) == nil {
					t.Errorf("%s: %s needs %s, which is left out", test.words, s.ID, need)
				}
			}
		}
		if got := strings.Join(ids, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.words, got, test.want)
		}
	}
}

// TestPartOfWhatIsKnown: what a dead run has left of other steps stays as it is, and what no file names goes.
func TestPartOfWhatIsKnown(t *testing.T) {
	stack := load(t, "testdata/graph.yaml")
	p := plan.Make(stack, plan.Facts{}, now)
	p.Sweep = []plan.Leftover{{Container: "of-load", Step: "load"}, {Container: "of-db", Step: "db"}, {Container: "of-nothing", Step: "gone"}}
	part, err := plan.Part{Words: []string{"db"}}.Of(p, stack)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, l := range part.Sweep {
		left = append(left, l.Container)
	}
	if got := strings.Join(left, " "); got != "of-db of-nothing" {
		t.Errorf("swept: %s", got)
	}
	if whole, err := (plan.Part{}).Of(p, stack); whole != p || err != nil {
		t.Errorf("no words: %v, %v", whole, err)
	}
}
