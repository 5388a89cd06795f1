package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

func TestPart(t *testing.T) {
	for _, test := range []struct {
		words   string
		alone   bool
		want    string // step IDs
		unknown string
	}{
		{words: "db", want: "index/alpha db"},
		{words: "load", want: "load"},
		{words: "setup", want: "index/alpha db load setup/alpha setup/beta"},
		{words: "setup/beta", want: "index/alpha db load setup/beta"},
		{words: "beta", want: "index/alpha db load setup/beta api/beta"},
		{words: "serve", want: "index/alpha db load setup/alpha setup/beta api/alpha api/beta"}, // a template
		{words: "alpha-serve", want: "index/alpha db load setup/alpha api/alpha"},               // what it is for an app
		{words: "check", want: "index/alpha db load setup/alpha setup/beta check"},
		{words: "bye load", want: "load bye"},
		{words: "api db", alone: true, want: "db api/alpha api/beta"},
		{words: "db nobody", unknown: "nobody: no such service, step, stage or app"},
	} {
		stack := load(t, "testdata/graph.yaml")
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

// TestPartOfAnUpgrade: one that is due is walked first, with what it needs, whatever is named.
func TestPartOfAnUpgrade(t *testing.T) {
	p := &plan.Plan{
		Stages: []*plan.Stage{
			{Name: "db", Verb: stages.Start, Steps: []string{"db"}}, {Name: "cache", Verb: stages.Start, Steps: []string{"cache"}},
			{Name: "upgrade", Verb: stages.Upgrade, Needs: []string{"db"}, Steps: []string{"upgrade"}},
			{Name: "web", Verb: stages.Start, Needs: []string{"upgrade", "cache"}, Steps: []string{"web"}},
		},
		Steps: []*plan.Step{
			{ID: "db", Stage: "db"}, {ID: "cache", Stage: "cache"},
			{ID: "upgrade", Stage: "upgrade", After: []string{"db"}}, {ID: "web", Stage: "web", After: []string{"upgrade", "cache"}},
		},
	}
	for words, want := range map[string][2]string{"web": {"db cache upgrade web", "db upgrade web"}, "cache": {"db cache upgrade", "db cache upgrade"}} {
		for i, alone := range []bool{false, true} {
			part, err := plan.Part{Words: []string{words}, Alone: alone}.Of(p, &stages.Stack{})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, s := range part.Steps {
				ids = append(ids, s.ID)
			}
			if got := strings.Join(ids, " "); got != want[i] {
				t.Errorf("%s, alone %t: %s, want %s", words, alone, got, want[i])
			}
		}
	}
}
