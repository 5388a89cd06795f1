// Package images builds and pulls the images of a stack's services.
package images

import (
	"maps"
	"slices"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

// Say tells people something.
type Say func(format string, args ...any)

// chosen are the stack's services, helpers too, that the words name, each by its
// own name or its template's; all where there are no words. They are in the
// order of their names.
func chosen(stack *stages.Stack, words []string) ([]stages.Service, error) {
	var out []stages.Service
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		s := stack.Services[name]
		known[s.Name], known[s.Template] = true, true
		if len(words) == 0 || slices.Contains(words, s.Name) || slices.Contains(words, s.Template) {
			out = append(out, s)
		}
	}
	for _, word := range words {
		if !known[word] {
			return nil, exit.Misuse("%s has no service %q: %s", stack.Name, word, problems.OneOf(word, slices.Sorted(maps.Keys(known))))
		}
	}
	return out, nil
}
