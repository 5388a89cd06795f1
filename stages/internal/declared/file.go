// Package declared reads the keys of a stack file that are ours, apps, immutable,
// reserved, stages, budget, on_failure, version, upgrades and tenants, as they stand there: each with its place and checked by itself, the
// stages brought into an order. What they mean for services it does not know.
package declared

import (
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// File is what the stack's files say by our keys.
type File struct {
	// OnFailure is keep or down.
	OnFailure string
	// HelpersShare: helpers share a network where neither their stage nor their service says otherwise.
	HelpersShare bool
	// Budget of the stack's start-up; 0 for none.
	Budget time.Duration
	// HasApps is true where there is apps:, with apps or without.
	HasApps bool
	Apps    []App
	// Fields are the apps' fields by their variables: APP_PORT → port.
	Fields map[string]string
	// Immutable are the fields that never change once an app is deployed, each with what it may be.
	Immutable map[string]Limits
	// Reserved are names that no app may have.
	Reserved []string
	// Upgrades are nil where there is no version.
	Upgrades *Upgrades
	// Explicit is true where the files have stages:.
	Explicit bool
	// Stages are in the file's order; after Order in one in which each stands
	// behind what it needs.
	Stages []*Stage
	ByName map[string]*Stage
	// Ordered is true once that order is known: not when there are cycles.
	Ordered bool

	source *compose.Source
	list   *problems.List
	// trees of the files, by their names.
	trees map[string]nodes.Tree
	// handing are the names of the stages that can hand on values, by what
	// their variables begin with: SETUP_DB → setup-db.
	handing map[string]string
}

// Read reads the keys. Everything wrong is reported to list.
func Read(source *compose.Source, list *problems.List) *File {
	f := &File{OnFailure: "keep", source: source, list: list, ByName: map[string]*Stage{}, trees: map[string]nodes.Tree{}}
	if file, node := source.Own("on_failure"); node != nil {
		if policy := f.Tree(file).Choice(node, "on_failure", top.Get("on_failure").Words()...); policy != "" {
			f.OnFailure = policy
		}
	}
	if file, node := source.Own("helper_network"); node != nil {
		f.HelpersShare = f.Tree(file).Choice(node, "helper_network", networkWords.Words()...) == shared
	}
	if file, node := source.Own("budget"); node != nil {
		f.Budget = f.Tree(file).Duration(node, "budget")
	}
	f.findHanding()
	f.readApps()
	f.readReserved()
	f.readImmutable()
	f.readStages()
	f.readUpgrades()
	return f
}

// Files are all that were read, included ones too.
func (f *File) Files() []*compose.File { return slices.Concat(f.source.Files, f.source.Included) }

// Tree is the file of that name, as problems carry it.
func (f *File) Tree(file string) nodes.Tree {
	if tree, known := f.trees[file]; known {
		return tree
	}
	tree := nodes.Tree{File: file, List: f.list}
	for _, other := range f.Files() {
		if other.Name == file {
			tree = nodes.New(file, other.Text, f.list)
			break
		}
	}
	f.trees[file] = tree
	return tree
}

// Environment is what variables stand for in our own keys.
func (f *File) Environment(name string) (string, bool) {
	value, ok := f.source.Env[name]
	return value, ok
}
