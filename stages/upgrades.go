package stages

import (
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// Upgrade is the verb of the stage, named like it, in which a stack is taken from version to version. It stands in no file.
const Upgrade Verb = declared.UpgradeStage

// Upgrades say which version the file is for, and how a stack gets there.
type Upgrades struct {
	Version upgrades.Version
	Pos     problems.Pos
	// Steps in the order of their versions.
	Steps []UpgradeStep
	// List is the service that prints the tenants, one a line; "" where they are Apps or where there are none.
	List string
	// Apps: the tenants are the stack's apps.
	Apps bool
	// Batch is how many tenants are in a batch, Workers how many batches are worked on at a time,
	// Retries how often a tenant that failed is tried again before it is set aside.
	Batch, Workers, Retries int
}

// UpgradeStep leads from one version to the next. Prepare, Cluster and Tenant are services, keys of
// Stack.Services; "" for none.
type UpgradeStep struct {
	From, To                 upgrades.Version
	Prepare, Cluster, Tenant string
}

// placeUpgrade finds where the stack is upgraded: behind the stages that make what the
// upgrades' services depend on, and before all others.
func (r *reader) placeUpgrade() {
	if r.Upgrades == nil {
		return
	}
	needed := map[string]bool{}
	note := func(service *yaml.Node) {
		if service == nil {
			return
		}
		for _, p := range r.definition(service.Value) {
			_, on := trees.Get(p.node, "depends_on")
			for _, e := range nodes.Entries(on) {
				needed[trees.Resolve(e.Key).Value] = true
			}
			for _, item := range nodes.Items(on) {
				needed[item.Value] = true
			}
		}
	}
	for _, s := range r.Upgrades.Steps {
		note(s.Prepare)
		note(s.Cluster)
		note(s.Tenant)
	}
	note(r.Upgrades.List)
	at := 0
	for i, d := range r.Stages {
		if slices.ContainsFunc(d.Services, func(n *yaml.Node) bool { return needed[n.Value] }) {
			at = i + 1
		}
	}
	r.PlaceUpgrade(at)
}

// upgrades are what the file says of versions, as the stack has it.
func (r *reader) upgrades() *Upgrades {
	d := r.File.Upgrades
	if d == nil {
		return nil
	}
	u := &Upgrades{Version: d.Version, Pos: d.Pos, Apps: d.EachApp, Batch: d.Batch, Workers: d.Workers, Retries: d.Retries}
	service := func(tree nodes.Tree, n *yaml.Node) string {
		if n == nil {
			return ""
		}
		if r.instances[n.Value] == nil && r.list.Err() == nil {
			r.list.Add(tree.Pos(n), "activate its profile, or give it none", "service %s of the upgrades is not there: its profile is not active", n.Value)
		}
		return n.Value
	}
	for _, s := range d.Steps {
		u.Steps = append(u.Steps, UpgradeStep{From: s.From, To: s.To, Prepare: service(s.Tree, s.Prepare), Cluster: service(s.Tree, s.Cluster), Tenant: service(s.Tree, s.Tenant)})
	}
	if len(u.Steps) > 0 {
		u.List = service(d.Steps[0].Tree, d.List)
	}
	return u
}

// Misversioned puts a refusal of the file's version in its place.
func (s *Stack) Misversioned(err error, expected string) *problems.List {
	list := s.problems()
	list.Add(s.Upgrades.Pos, expected, "%v", err)
	return list
}

// upgradeServices are the services of the upgrades, in no order and not each once.
func (s *Stack) upgradeServices() (names []string) {
	if s.Upgrades == nil {
		return nil
	}
	names = append(names, s.Upgrades.List)
	for _, step := range s.Upgrades.Steps {
		names = append(names, step.Prepare, step.Cluster, step.Tenant)
	}
	return names
}
