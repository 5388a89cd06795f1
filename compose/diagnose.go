package compose

import (
	"context"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/problems"
)

// diagnosis finds everything that is wrong after compose-go has refused the
// files; compose-go itself stops at the first thing.
type diagnosis struct {
	source *Source
	ctx    context.Context
	env    map[string]string
	only   func(string) bool
	list   *problems.List
}

func (d *diagnosis) run(cause error) *types.Project {
	d.list.Add(d.source.At(), "", "%v", cause)
	return nil
}

func (s *Source) follow(list *problems.List) {}
func (s *Source) mention()                   {}
func (s *Source) check(list *problems.List) {
	for _, f := range s.Files {
		checkOwn(f, list)
	}
}
func (s *Source) warn(env map[string]string, only func(string) bool, list *problems.List) {}
