package declared

import (
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// UpgradeStage is the name of the stage in which a stack is taken from version to version.
const UpgradeStage = "upgrade"

// Upgrades are what the file says of versions.
type Upgrades struct {
	Version upgrades.Version
	Pos     problems.Pos
	// Steps in the order of their versions.
	Steps []UpgradeStep
	// List is the service that prints the tenants, nil where they are the apps or where there are none.
	List    *yaml.Node
	EachApp bool
	// Named are all services that stand in upgrades and tenants, those too that are not run at this version.
	Named []string

	Batch, Workers, Retries int
}

// UpgradeStep is one entry of upgrades. Prepare, Cluster and Tenant name services, nil for none.
type UpgradeStep struct {
	From, To                 upgrades.Version
	Prepare, Cluster, Tenant *yaml.Node
	Pos, fromPos             problems.Pos
	Tree                     nodes.Tree
}

// The defaults of tenants.
const (
	defaultBatch   = 16
	defaultWorkers = 4
	defaultRetries = 3
)

// tenantFields are the keys of tenants, upgradeFields those of an entry of upgrades.
var (
	tenantFields = shapes.Fields{
		shapes.Key("batch", "How many tenants are taken together (default 16)", shapes.Whole(1, maxCount)),
		shapes.Key("each", "apps: the tenants are the apps", shapes.Words("apps")),
		shapes.Key("list", "The service that prints the tenants, one a line", shapes.Scalar()),
		shapes.Key("retries", "How many further attempts there are at a tenant that failed; then it is set aside (default 3)", attempts),
		shapes.Key("workers", "How many batches are worked on at a time, by all runners together (default 4)", shapes.Whole(1, maxCount)),
	}
	upgradeFields = shapes.Fields{
		shapes.Key("cluster", "The service that upgrades what all tenants share, once", shapes.Scalar()),
		shapes.Key("from", "The version that the upgrade begins at", shapes.Scalar()),
		shapes.Key("prepare", "The service that comes first, once", shapes.Scalar()),
		shapes.Key("tenant", "The service that upgrades one tenant", shapes.Scalar()),
		shapes.Key("to", "The version that the upgrade leads to", shapes.Scalar()),
	}
)

// readUpgrades reads version, upgrades and tenants.
func (f *File) readUpgrades() {
	file, node := f.source.Own("version")
	for _, key := range []string{"upgrades", "tenants"} {
		if other, value := f.source.Own(key); node == nil && value != nil {
			f.list.Add(f.Tree(other).Pos(value), "version: 1.5.0", "there are %s, but the file has no version", key)
			return
		}
	}
	if node == nil {
		return
	}
	tree := f.Tree(file)
	version, ok := f.readVersion(tree, "version", node)
	if !ok {
		return
	}
	f.Upgrades = &Upgrades{Version: version, Pos: tree.Pos(node), Batch: defaultBatch, Workers: defaultWorkers, Retries: defaultRetries}
	f.readTenants()
	f.readUpgradeSteps()
}

func (f *File) readVersion(tree nodes.Tree, what string, node *yaml.Node) (upgrades.Version, bool) {
	const expected = "numbers with dots such as 1.5.0 or, with a count of entries, 1.5.0+3"
	if !f.plainOnly(tree, node, what) {
		return upgrades.Version{}, false
	}
	value, ok := tree.Interpolate(node, f.Environment)
	if !ok {
		return upgrades.Version{}, false
	}
	text, ok := tree.Text(value, what, expected)
	if !ok {
		return upgrades.Version{}, false
	}
	v, err := upgrades.ParseVersion(text)
	if err != nil {
		f.list.Add(tree.Pos(node), expected, "%s cannot be %q", what, text)
	}
	return v, err == nil
}

func (f *File) readTenants() {
	file, node := f.source.Own("tenants")
	if node == nil {
		return
	}
	tree, u := f.Tree(file), f.Upgrades
	const shape = "tenants: {list: SERVICE, batch: 16, workers: 4, retries: 3}, or {each: apps}"
	if trees.Resolve(node).Kind != yaml.MappingNode {
		f.list.Add(tree.Pos(node), shape, "tenants must be a mapping, not %s", nodes.Kind(node))
		return
	}
	if !f.plainOnly(tree, node, "tenants") {
		return
	}
	keys := tenantFields.Keys()
	var each *yaml.Node
	for _, e := range trees.Entries(node) {
		key := trees.Resolve(e.Key).Value
		value, ok := tree.Interpolate(e.Value, f.Environment)
		if !ok {
			continue
		}
		switch key {
		case "list":
			u.List = f.serviceOf(tree, "list", value)
		case "each":
			u.EachApp, each = tree.Choice(value, "each", "apps") != "", e.Key
		case "batch":
			u.Batch = tree.Count(value, "batch", 1)
		case "workers":
			u.Workers = tree.Count(value, "workers", 1)
		case "retries":
			u.Retries = tree.Count(value, "retries", 0)
		default:
			f.list.Add(tree.Pos(e.Key), problems.OneOf(key, keys), "tenants has no key %q", key)
		}
	}
	switch {
	case u.List != nil && each != nil:
		f.list.Add(tree.Pos(each), "one of them", "the tenants are both those that %s prints and the apps", u.List.Value)
	case u.List == nil && each == nil:
		f.list.Add(tree.Pos(node), shape, "tenants does not say who they are")
	case u.EachApp && !f.HasApps:
		f.list.Add(tree.Pos(each), "apps: {one: {…}, …}, or list: SERVICE", "the tenants are the apps, but the file has none")
	}
}

func (f *File) serviceOf(tree nodes.Tree, key string, value *yaml.Node) *yaml.Node {
	if _, ok := tree.Text(value, key, key+": the name of a service"); !ok {
		return nil
	}
	name := trees.Resolve(value)
	f.Upgrades.Named = append(f.Upgrades.Named, name.Value)
	return name
}

func (f *File) readUpgradeSteps() {
	file, node := f.source.Own("upgrades")
	if node == nil {
		return
	}
	tree := f.Tree(file)
	const shape = "upgrades: [{to: 1.4.0, from: 1.2.0, cluster: SERVICE, tenant: SERVICE}, …]"
	if trees.Resolve(node).Kind != yaml.SequenceNode {
		f.list.Add(tree.Pos(node), shape, "upgrades must be a list, not %s", nodes.Kind(node))
		return
	}
	if !f.Explicit {
		f.list.Add(tree.Pos(node), "stages: [{name: db, start: db}, …]", "upgrades need a file with stages")
		return
	}
	whole := true
	for _, item := range nodes.Items(node) {
		if item.Kind != yaml.MappingNode {
			f.list.Add(tree.Pos(item), shape, "an upgrade must be a mapping, not %s", nodes.Kind(item))
			whole = false
			continue
		}
		s, ok := f.readUpgradeStep(tree, item)
		whole = whole && ok
		if ok {
			f.Upgrades.Steps = append(f.Upgrades.Steps, s)
		}
	}
	slices.SortStableFunc(f.Upgrades.Steps, func(a, b UpgradeStep) int { return a.To.Compare(b.To) })
	if whole {
		f.checkChain(tree, node)
	}
}

func (f *File) readUpgradeStep(tree nodes.Tree, node *yaml.Node) (s UpgradeStep, ok bool) {
	s.Pos, s.fromPos, s.Tree = tree.Pos(node), tree.Pos(node), tree
	if !f.plainOnly(tree, node, "upgrades") {
		return s, false
	}
	keys := upgradeFields.Keys()
	ok = true
	for _, e := range trees.Entries(node) {
		key := trees.Resolve(e.Key).Value
		value, fine := tree.Interpolate(e.Value, f.Environment)
		if !fine {
			ok = false
			continue
		}
		switch key {
		case "to", "from":
			v, fine := f.readVersion(tree, key, e.Value)
			if fine && v.Entries > 0 {
				f.list.Add(tree.Pos(e.Value), v.Number, "the count of entries stands at version: only")
				fine = false
			}
			ok = ok && fine
			if key == "to" {
				s.To, s.Pos = v, tree.Pos(e.Value)
			} else {
				s.From, s.fromPos = v, tree.Pos(e.Value)
			}
		case "prepare":
			s.Prepare = f.serviceOf(tree, key, value)
		case "cluster":
			s.Cluster = f.serviceOf(tree, key, value)
		case "tenant":
			s.Tenant = f.serviceOf(tree, key, value)
		default:
			f.list.Add(tree.Pos(e.Key), problems.OneOf(key, keys), "an upgrade has no key %q", key)
			ok = false
		}
	}
	none := upgrades.Version{}
	switch {
	case !ok:
	case s.To == none || s.From == none:
		f.list.Add(tree.Pos(node), "to: 1.4.0 and from: 1.2.0", "an upgrade needs to and from")
		ok = false
	case s.From.Compare(s.To) >= 0:
		f.list.Add(s.fromPos, "from: an older version", "the upgrade to %s cannot begin at %s", s.To, s.From)
		ok = false
	case s.Prepare == nil && s.Cluster == nil && s.Tenant == nil:
		f.list.Add(s.Pos, "prepare, cluster or tenant: SERVICE", "the upgrade to %s does nothing", s.To)
		ok = false
	case s.Tenant != nil && f.Upgrades.List == nil && !f.Upgrades.EachApp:
		f.list.Add(tree.Pos(s.Tenant), "tenants: {list: SERVICE} or {each: apps}", "the upgrade to %s is for each tenant, but the file has no tenants", s.To)
		ok = false
	}
	return s, ok
}

// checkChain reports versions between which nothing leads.
func (f *File) checkChain(tree nodes.Tree, node *yaml.Node) {
	steps := f.Upgrades.Steps
	for i, s := range steps {
		if i == 0 {
			continue
		}
		switch before := steps[i-1]; {
		case before.To.Compare(s.To) == 0:
			f.list.Add(s.Pos, "one upgrade for each version", "there are two upgrades to %s", s.To)
			return
		case before.To.Compare(s.From) != 0:
			f.list.Add(s.fromPos, "from: "+before.To.String(), "a gap in the chain of upgrades: no upgrade leads from %s to %s", before.To, s.From)
			return
		}
	}
	if len(steps) == 0 {
		f.list.Add(tree.Pos(node), "an upgrade, or no upgrades:", "upgrades has an empty list")
		return
	}
	// The version may be held back: what leads beyond it waits for another day.
	number := upgrades.Version{Number: f.Upgrades.Version.Number}
	known := number.Compare(steps[0].From) == 0
	beyond := slices.IndexFunc(steps, func(s UpgradeStep) bool {
		known = known || number.Compare(s.To) == 0
		return s.To.Compare(number) > 0
	})
	if beyond >= 0 {
		steps = steps[:beyond]
	}
	if !known {
		from := f.Upgrades.Steps[0].From
		if len(steps) > 0 {
			from = steps[len(steps)-1].To
		}
		f.list.Add(f.Upgrades.Pos, "an upgrade to "+number.String()+", or version: "+from.String(), "a gap in the chain of upgrades: no upgrade leads from %s to %s", from, number)
	}
	f.Upgrades.Steps = steps
}

// PlaceUpgrade puts the stage of the upgrades among the others: behind those stages that
// come before index at, and before all others, whatever these need. It must be called before Order.
func (f *File) PlaceUpgrade(at int) {
	u := f.Upgrades
	if u == nil || len(u.Steps) == 0 {
		return
	}
	tree, pos := u.Steps[0].Tree, u.Steps[0].Pos
	for _, d := range f.Stages {
		if d.Name == UpgradeStage {
			f.list.Add(d.at("name"), "another name", "a stage cannot be named %s in a file with upgrades: that is the stage in which they are walked", UpgradeStage)
			return
		}
	}
	d := New(tree, pos)
	d.Name, d.Verb, d.Upgrade, d.Needs = UpgradeStage, "run", true, []*yaml.Node{}
	seen := map[string]bool{}
	add := func(n *yaml.Node) {
		if n != nil && !seen[n.Value] {
			seen[n.Value] = true
			d.Services = append(d.Services, n)
		}
	}
	for _, s := range u.Steps {
		add(s.Prepare)
		add(s.Cluster)
		add(s.Tenant)
	}
	add(u.List)
	for i, other := range f.Stages {
		switch {
		case other.Finally:
		case i < at:
			d.Needs = append(d.Needs, named(other.Name, u.Steps[0].Pos))
		case other.Needs != nil || i == at:
			other.Needs = append(slices.Clone(other.Needs), named(UpgradeStage, other.Pos))
		}
	}
	f.Stages = slices.Insert(f.Stages, at, d)
}

func named(name string, at problems.Pos) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: name, Line: at.Line, Column: at.Col}
}
