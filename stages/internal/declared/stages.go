package declared

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages/internal/nodes"
)

// The defaults of retries.
const (
	defaultBackoff    = time.Second
	defaultMaxBackoff = time.Minute
)

// Stage is a stage as it stands in the file, or would.
type Stage struct {
	Name string
	// Verb is run, await, start or call.
	Verb                                        string
	Each, Sequential, PerApp, Finally, Implicit bool
	// Network of its helpers is own or shared; "" where the stage does not say.
	Network string
	// Upgrade: its services are those of the upgrades.
	Upgrade         bool
	MaxParallel     int
	Timeout, Budget time.Duration
	Retries         Retries
	OnFailure       string
	Keep            Keep
	Pos             problems.Pos

	// Tree is the file that it stands in.
	Tree nodes.Tree
	// Services are what the verb names; Inline is the condition of await or
	// the request of call.
	Services []*yaml.Node
	Inline   *yaml.Node
	// Needs as the file names them, nil where it is silent; After is what
	// they come to.
	Needs []*yaml.Node
	After []string
	// Exclusive is a key of volumes:. Conditions are ready, until and proof.
	Exclusive  *yaml.Node
	Conditions map[string]*yaml.Node
	// Apps that the stage has steps for; one App{} where it is not for each app.
	Apps []App

	// keys are the stage's keys in the file, by name: for the checks' places.
	keys  map[string]*yaml.Node
	where filter
	// index in the order; before has a bit for each stage that is over when this one begins.
	index  int
	before *big.Int
}

// Retries and Keep are those of the stack.
type (
	Retries struct {
		Count               int
		Backoff, MaxBackoff time.Duration
	}
	Keep struct {
		Policy string
		For    time.Duration
	}
)

// New returns a stage with every default.
func New(tree nodes.Tree, pos problems.Pos) *Stage {
	return &Stage{
		Pos: pos, Tree: tree, OnFailure: "stop", Keep: Keep{Policy: "never"},
		Retries: Retries{Backoff: defaultBackoff, MaxBackoff: defaultMaxBackoff},
		Apps:    []App{{}}, keys: map[string]*yaml.Node{}, Conditions: map[string]*yaml.Node{},
	}
}

func (d *Stage) at(key string) problems.Pos {
	if n := d.keys[key]; n != nil {
		return d.Tree.Pos(n)
	}
	return d.Pos
}

// SharesNetwork tells whether the stage says that its helpers share a network.
func (d *Stage) SharesNetwork() bool { return d.Helpers() && d.Network == shared }

// Helpers tells whether the stage's containers come to an end.
func (d *Stage) Helpers() bool { return (d.Verb == "run" || d.Verb == "await") && d.Inline == nil }

var verbs = []string{"run", "await", "start", "call"}

// readStages reads stages: a list of mappings.
func (f *File) readStages() {
	file, node := f.source.Own("stages")
	if node == nil {
		return
	}
	tree := f.Tree(file)
	f.Explicit = true
	const shape = "stages: [{name: db, start: postgres}, …]"
	if n := trees.Resolve(node); n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		f.list.Add(tree.Pos(node), shape, "stages must be a list with at least one stage, not %s", nodes.Kind(node))
		return
	}
	seen := map[string]*Stage{}
	for _, item := range nodes.Items(node) {
		if item.Kind != yaml.MappingNode {
			f.list.Add(tree.Pos(item), shape, "a stage must be a mapping, not %s", nodes.Kind(item))
			continue
		}
		d := f.readStage(tree, item)
		if first := seen[d.Name]; first != nil && d.Name != "" {
			f.list.Add(d.at("name"), "each stage needs a name of its own", "a stage named %s stands in line %d already", d.Name, first.Pos.Line)
			continue
		}
		seen[d.Name] = d
		f.Stages = append(f.Stages, d)
	}
}

func (f *File) readStage(tree nodes.Tree, node *yaml.Node) *Stage {
	d := New(tree, tree.Pos(node))
	entries := trees.Entries(node)
	for _, e := range entries {
		d.keys[trees.Resolve(e.Key).Value] = trees.Resolve(e.Key)
	}
	f.readName(d, node)
	misspelt := false
	for _, e := range entries {
		key := trees.Resolve(e.Key).Value
		switch {
		case strings.HasPrefix(key, "x-"): // an extension, as everywhere in Compose files
		case !slices.Contains(keyNames, key):
			misspelt = misspelt || slices.Contains(verbs, problems.Nearest(key, verbs))
			f.list.Add(tree.Pos(e.Key), problems.OneOf(key, keyNames), "a stage has no key %q", key)
		case slices.Contains(verbs, key) && f.secondVerb(d, key):
		case key == "name":
		case slices.Contains(verbs, key):
			f.readVerb(d, e.Value)
		case key == "ready" || key == "until" || key == "proof": // read for each app
			d.Conditions[key] = trees.Resolve(e.Value)
		default:
			if !f.plainOnly(tree, e.Value, "the key "+key+" of a stage, which holds for all its steps") {
				continue
			}
			if value, ok := tree.Interpolate(e.Value, f.Environment); ok {
				k := keys[slices.Index(keyNames, key)]
				k.read(f, d, value, k.Field)
			}
		}
	}
	if d.Verb == "" && !misspelt {
		f.list.Add(d.Pos, "one of: run a helper, await a condition, start a service, call an endpoint", "the stage %s has no verb", d.Name)
	}
	f.checkStage(d)
	return d
}

func (f *File) readName(d *Stage, node *yaml.Node) {
	_, value := trees.Get(node, "name")
	if value == nil {
		f.list.Add(d.Pos, "name: a word that says what the stage does", "the stage has no name")
		return
	}
	name, ok := d.Tree.Text(value, "name", "name: setup")
	if !ok {
		return
	}
	d.Pos, d.keys["name"] = d.Tree.Pos(value), trees.Resolve(value)
	if d.Tree.Label(value, "a stage") {
		d.Name = name
	}
}

func (f *File) secondVerb(d *Stage, verb string) bool {
	if d.Verb == "" {
		d.Verb = verb
		return false
	}
	f.list.Add(d.at(verb), "one verb a stage: make a second stage of it", "the stage has two verbs, %s and %s", d.Verb, verb)
	return true
}

func (f *File) readVerb(d *Stage, value *yaml.Node) {
	n := trees.Resolve(value)
	expected := "a service or a list of services"
	switch d.Verb {
	case "await":
		expected = "a service, a list of services, or a condition such as {healthy: db}"
	case "call":
		expected = `a request: call: {http: {method: PUT, url: "http://host:8080/path"}}`
	}
	if n.Kind == yaml.MappingNode && (d.Verb == "await" || d.Verb == "call") {
		d.Inline = n
		return
	}
	if d.Verb == "call" {
		f.list.Add(d.Tree.Pos(value), expected, "call cannot be %s", nodes.Kind(value))
		d.Inline = &yaml.Node{Kind: yaml.MappingNode}
		return
	}
	for _, item := range nodes.Items(n) {
		if d.Verb == "await" && item.Kind == yaml.MappingNode {
			f.list.Add(d.Tree.Pos(item), "await: {all: [...]} for several conditions", "await takes a list of services, not of conditions")
			return
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		f.list.Add(d.Tree.Pos(value), expected, "%s has an empty list", d.Verb)
	}
	d.Services, _ = d.Tree.Texts(value, d.Verb, expected)
}

func (d *Stage) readNeeds(value *yaml.Node) {
	d.Needs = []*yaml.Node{}
	if n := trees.Resolve(value); n.Kind != yaml.SequenceNode || len(n.Content) > 0 {
		texts, _ := d.Tree.Texts(value, "needs", "a stage, a list of stages, or [] for none")
		d.Needs = append(d.Needs, texts...)
	}
}

func (f *File) readRetries(d *Stage, value *yaml.Node) {
	if trees.Resolve(value).Kind != yaml.MappingNode {
		d.Retries.Count = d.Tree.Count(value, "retries", 0)
		return
	}
	for _, e := range trees.Entries(value) {
		switch key := trees.Resolve(e.Key).Value; key {
		case "count":
			d.Retries.Count = d.Tree.Count(e.Value, key, 0)
		case "backoff":
			d.Retries.Backoff = d.Tree.Duration(e.Value, key)
		case "max_backoff":
			d.Retries.MaxBackoff = d.Tree.Duration(e.Value, key)
		default:
			f.list.Add(d.Tree.Pos(e.Key), problems.OneOf(key, retryFields.Keys()), "retries has no key %q", key)
		}
	}
	if d.Retries.MaxBackoff < d.Retries.Backoff {
		d.Retries.MaxBackoff = d.Retries.Backoff
	}
}

func (f *File) readKeep(d *Stage, value *yaml.Node) {
	words := keepWords.Words()
	text, ok := d.Tree.Text(value, "keep", problems.OneOf("", words))
	switch {
	case !ok:
	case slices.Contains(words, text):
		d.Keep.Policy = text
	default:
		lasting, err := time.ParseDuration(text)
		if err != nil || lasting <= 0 {
			f.list.Add(d.Tree.Pos(value), problems.OneOf(text, words)+", or a time such as 1h", "keep cannot be %q", text)
			return
		}
		d.Keep.For = lasting
	}
}

// checkStage reports keys that mean nothing for the stage they stand in.
func (f *File) checkStage(d *Stage) {
	if d.Verb == "" {
		return
	}
	reject := func(key string, wrong bool, expected, message string) {
		if wrong && d.keys[key] != nil {
			f.list.Add(d.at(key), expected, "%s", message)
		}
	}
	container := d.Inline == nil
	reject("where", !d.Each, "each: apps", "where chooses among the apps of a stage with each: apps")
	reject("per_app", !d.Each, "each: apps", "per_app is for a stage with each: apps")
	reject("on_failure", d.OnFailure == "skip_app" && !d.Each, "on_failure: stop or continue, or each: apps", "skip_app is for a stage with each: apps")
	reject("max_parallel", d.Sequential, "leave one of them out", "max_parallel means nothing with order: sequential")
	reject("ready", d.Verb != "start", "ready: is for start; await a condition in a stage of its own", "a stage that does "+d.Verb+" has no ready")
	reject("until", d.Verb != "run", "until: is for run, whose helper it ends", "a stage that does "+d.Verb+" has no until")
	reject("keep", !d.Helpers(), "keep: is for the containers of run and await, which end", "nothing is left to keep of what this stage does")
	reject("network", !d.Helpers(), "network: is for the helpers of run and await", "only helpers can share a network")
	reject("exclusive", !container, "run or start a service that mounts the volume", "only containers can hold a volume")
	reject("each", d.Each && !f.HasApps, "apps: {hivemind: {port: 8081}, …} beside stages:", "each: apps, but the file has no apps")
	if d.Exclusive != nil && d.keys["order"] == nil && d.keys["max_parallel"] == nil {
		d.Sequential = true
	}
	reject("exclusive", d.Exclusive != nil && !d.Sequential && d.MaxParallel != 1, "order: sequential", "the volume has one holder at a time, so the steps cannot run side by side")
	if !f.HasApps {
		d.Each = false
	}
	if d.Each {
		d.Apps = slices.DeleteFunc(slices.Clone(f.Apps), func(a App) bool { return !d.where.holds(a) })
	}
}
