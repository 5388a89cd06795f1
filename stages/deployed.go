package stages

import (
	"fmt"
	"maps"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// titles are the words of Voedger's command DeployApp for its two counts. Any
// other field goes by its own name.
var titles = map[string]struct{ changed, title string }{
	"partitions": {"num partitions", "NumPartitions"},
	"workspaces": {"num application workspaces", "NumAppWorkspaces"},
}

// Redeployed says, in its place, which apps the file would deploy otherwise than they are: deployed holds,
// by app, the fields that never change. They bind whether or not the file still says so. An app that is not
// deployed, and a field that it was deployed without, is no problem.
func (s *Stack) Redeployed(deployed map[string]map[string]string) *problems.List {
	list := s.problems()
	for _, app := range s.Apps {
		for _, field := range slices.Sorted(maps.Keys(deployed[app.Name])) {
			was := deployed[app.Name][field]
			is, declared := app.Descriptor[field]
			if !declared {
				is, declared = app.Fields[field]
			}
			if declared && is == was {
				continue
			}
			pos, has := app.Places[field]
			if !has {
				pos = app.Pos
			}
			list.Add(pos, fmt.Sprintf("leave it at %s; once nothing is left of the app's data: stagehand apps remove %s", was, app.Name), "%s", Changed(app.Name, field, is, was))
		}
	}
	return list
}

// Descriptor takes from an app's fields, as text, what it is deployed with, for one that does not stand
// in the file. wrong is everything that is, under the same rules as in the file.
func (s *Stack) Descriptor(app string, fields map[string]string) (descriptor map[string]string, wrong []string) {
	list := &problems.List{}
	nodes.Tree{List: list}.Label(&yaml.Node{Kind: yaml.ScalarNode, Value: app}, "an app")
	add := func(_, expected, message string) { list.Add(problems.Pos{}, expected, "%s", message) }
	if slices.Contains(s.Reserved, app) {
		add("", "another name", fmt.Sprintf("the name %s is reserved: no app can be deployed under it", app))
	}
	if len(s.Immutable) == 0 {
		add("", "immutable: [partitions, workspaces]", "the stack file names no field that never changes, so that there is nothing to register")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, known := s.Immutable[name]; !known && len(s.Immutable) > 0 {
			add("", problems.OneOf(name, sortedKeys(s.Immutable)), fmt.Sprintf("no immutable field is named %q", name))
		}
	}
	descriptor = declared.Describe(app, fields, s.Immutable, add)
	for _, p := range list.All() {
		wrong = append(wrong, p.Message+" ("+p.Expected+")")
	}
	return descriptor, wrong
}

// Changed is the conflict in words; is is "" where the app has no such field any more.
func Changed(app, field, is, was string) string {
	words, known := titles[field]
	if !known {
		words.changed, words.title = field, field
	}
	declaring := words.title + "=" + is
	if is == "" {
		declaring = "no " + words.title
	}
	return fmt.Sprintf("%s changed: app %s declaring %s but was previously deployed with %s=%s", words.changed, app, declaring, words.title, was)
}

// problems is a list that can show the lines of the stack's files.
func (s *Stack) problems() *problems.List {
	list := &problems.List{}
	if s.source != nil {
		for _, f := range slices.Concat(s.source.Files, s.source.Included) {
			list.Source(f.Name, f.Text)
		}
	}
	return list
}
