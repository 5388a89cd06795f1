package stages_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedeployed holds an app's fields against those that it was deployed with.
func TestRedeployed(t *testing.T) {
	const head = "immutable: [partitions, workspaces, region]\n"
	const rest = "services: {api: {image: demo/api}}\nstages: [{name: api, start: api, each: apps}]\n"
	full := map[string]string{"partitions": "2", "workspaces": "10", "region": "eu"}
	for _, c := range []struct {
		name, file string
		deployed   map[string]map[string]string
		want       []string // each in one line of its own, in order
	}{
		{"never deployed", head + "apps: {one: {partitions: 2, workspaces: 10, region: eu}}\n", nil, nil},
		{"same", head + "apps: {one: {partitions: 2, workspaces: 10, region: eu}}\n", map[string]map[string]string{"one": full}, nil},
		{"same count in another form", head + "apps: {one: {partitions: '02', workspaces: +10, region: eu}}\n", map[string]map[string]string{"one": full}, nil},
		{
			"all changed", head + "apps:\n  one:\n    partitions: 3\n    workspaces: 11\n    region: us\n", map[string]map[string]string{"one": full},
			[]string{
				"stagehand.yaml:4:17: num partitions changed: app one declaring NumPartitions=3 but was previously deployed with NumPartitions=2",
				"stagehand.yaml:5:17: num application workspaces changed: app one declaring NumAppWorkspaces=11 but was previously deployed with NumAppWorkspaces=10",
				"stagehand.yaml:6:13: region changed: app one declaring region=us but was previously deployed with region=eu",
			},
		},
		{
			"immutable left out, and the value changed", "apps: {one: {partitions: 3}}\n", map[string]map[string]string{"one": {"partitions": "2"}},
			[]string{"stagehand.yaml:1:26: num partitions changed: app one declaring NumPartitions=3 but was previously deployed with NumPartitions=2"},
		},
		{"immutable left out, nothing changed", "apps: {one: {partitions: 2}}\n", map[string]map[string]string{"one": {"partitions": "2"}}, nil},
		{
			"immutable and the field left out", "apps: {one: {}}\n", map[string]map[string]string{"one": {"partitions": "2"}},
			[]string{"stagehand.yaml:1:8: num partitions changed: app one declaring no NumPartitions but was previously deployed with NumPartitions=2"},
		},
		{"deployed before a field was immutable", head + "apps: {one: {partitions: 2, workspaces: 11, region: us}}\n", map[string]map[string]string{"one": {"partitions": "2"}}, nil},
		{"another app's", head + "apps: {one: {partitions: 3, workspaces: 11, region: us}}\n", map[string]map[string]string{"two": full}, nil},
		{
			"the last of three", "immutable: partitions\napps:\n  a: {partitions: 2}\n  b: {partitions: 2}\n  c: {partitions: 3}\n",
			map[string]map[string]string{"a": {"partitions": "2"}, "b": {"partitions": "2"}, "c": {"partitions": "2"}},
			[]string{"stagehand.yaml:5:19: num partitions changed: app c declaring NumPartitions=3 but was previously deployed with NumPartitions=2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("stagehand.yaml", []byte(c.file+rest), 0o600); err != nil {
				t.Fatal(err)
			}
			stack, err := load(t, "stagehand.yaml")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range stack.Redeployed(c.deployed).All() {
				p.File = filepath.Base(p.File)
				got = append(got, p.Pos.String()+": "+p.Message)
				if !strings.Contains(p.Expected, "stagehand apps remove ") {
					t.Errorf("%s: does not say what to do: %q", p.Message, p.Expected)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
