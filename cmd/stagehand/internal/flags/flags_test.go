package flags

import "testing"

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		want  string
		flags Globals
		words []string
	}{
		{"stagehand up", Globals{}, []string{"up"}},
		{"stagehand -f a.yaml -f 'b c.yaml' -p x logs setup/one", Globals{Files: []string{"a.yaml", "b c.yaml"}, Name: "x"}, []string{"logs", "setup/one"}},
		{"stagehand -f - up", Globals{Files: []string{"-"}}, []string{"up"}},
		{"stagehand -p demo down", Globals{Files: []string{"-"}}, []string{"down"}},
		{"stagehand -p x down", Globals{Files: []string{"-"}, Name: "x"}, []string{"down"}},
		{`stagehand --profile 'it'\''s' --env-file '$e' --engine tcp://h:1 --ledger '~/l' ps`,
			Globals{Profiles: []string{"it's"}, EnvFiles: []string{"$e"}, Engine: "tcp://h:1", Ledger: "~/l"}, []string{"ps"}},
	} {
		if got := c.flags.Command("demo", c.words...); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
