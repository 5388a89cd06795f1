package stages

import (
	"maps"
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

// declared is a stage as it stands in the file: what holds for all its units,
// and the nodes of what is made once a unit.
type declared struct {
	Stage
	tree nodes.Tree
	// keys are the stage's keys in the file, by name: for the checks' positions.
	keys     map[string]*yaml.Node
	services []*yaml.Node // what the verb names
	inline   *yaml.Node   // the condition of await, the request of call
	needs    []*yaml.Node
	// exclusive is a key of volumes:, conditions are ready, until and proof.
	exclusive  *yaml.Node
	conditions map[string]*yaml.Node
	where      filter
	// awaited holds {healthy: …} for instances that others expect healthy by depends_on.
	awaited map[string]*yaml.Node
	// index in the order; before has a bit for each stage that is over when this one begins.
	index  int
	before *big.Int
	// apps that the stage has steps for; one App{} where it is not for each app.
	apps []App
}

func (d *declared) at(key string) problems.Pos {
	if n := d.keys[key]; n != nil {
		return d.tree.Pos(n)
	}
	return d.Pos
}

// helpers tells whether the stage's containers come to an end.
func (d *declared) helpers() bool { return (d.Verb == Run || d.Verb == Await) && d.inline == nil }

// stageKeys says how each key of a stage is read.
var stageKeys map[string]func(r *reader, d *declared, value *yaml.Node)

func init() { // the table names its own keys, in the suggestion for an unknown one
	stageKeys = map[string]func(r *reader, d *declared, value *yaml.Node){
		"name":  func(*reader, *declared, *yaml.Node) {},
		"run":   (*reader).readVerb,
		"await": (*reader).readVerb,
		"start": (*reader).readVerb,
		"call":  (*reader).readVerb,
		"each": func(_ *reader, d *declared, v *yaml.Node) {
			d.Each = d.tree.Choice(v, "each", "apps") != ""
		},
		"where": func(r *reader, d *declared, v *yaml.Node) { d.where = r.readFilter(d.tree, v) },
		"order": func(_ *reader, d *declared, v *yaml.Node) {
			d.Sequential = d.tree.Choice(v, "order", "parallel", "sequential") == "sequential"
		},
		"max_parallel": func(_ *reader, d *declared, v *yaml.Node) {
			d.MaxParallel = d.tree.Count(v, "max_parallel", 1)
		},
		"needs": (*reader).readNeeds,
		"per_app": func(_ *reader, d *declared, v *yaml.Node) {
			d.PerApp = d.tree.Bool(v, "per_app")
		},
		"exclusive": func(_ *reader, d *declared, v *yaml.Node) {
			if _, ok := d.tree.Text(v, "exclusive", "the key of a volume under volumes:"); ok {
				d.exclusive = trees.Resolve(v)
			}
		},
		"timeout": func(_ *reader, d *declared, v *yaml.Node) { d.Timeout = d.tree.Duration(v, "timeout") },
		"retries": (*reader).readRetries,
		"on_failure": func(_ *reader, d *declared, v *yaml.Node) {
			d.OnFailure = OnFailure(d.tree.Choice(v, "on_failure", "stop", "skip_app", "continue"))
		},
		"keep":    (*reader).readKeep,
		"ready":   readCondition("ready"),
		"until":   readCondition("until"),
		"proof":   readCondition("proof"),
		"finally": func(_ *reader, d *declared, v *yaml.Node) { d.Finally = d.tree.Bool(v, "finally") },
	}
}

// perUnit are the keys whose values are made anew for each app.
var perUnit = []string{"name", "run", "await", "start", "call", "ready", "until", "proof"}

var verbs = []string{"run", "await", "start", "call"}

// readStages reads stages: a list of mappings. It returns false where the files
// have none.
func (r *reader) readStages() bool {
	file, node := r.source.Own("stages")
	if node == nil {
		return false
	}
	tree := r.tree(file)
	const shape = "stages: [{name: db, start: postgres}, …]"
	if n := trees.Resolve(node); n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.list.Add(tree.Pos(node), shape, "stages must be a list with at least one stage, not %s", nodes.Kind(node))
		return true
	}
	seen := map[string]*declared{}
	for _, item := range nodes.Items(node) {
		if item.Kind != yaml.MappingNode {
			r.list.Add(tree.Pos(item), shape, "a stage must be a mapping, not %s", nodes.Kind(item))
			continue
		}
		d := r.readStage(tree, item)
		if first := seen[d.Name]; first != nil && d.Name != "" {
			r.list.Add(d.at("name"), "each stage needs a name of its own", "a stage named %s stands in line %d already", d.Name, first.Pos.Line)
			continue
		}
		seen[d.Name] = d
		r.declared = append(r.declared, d)
	}
	return true
}

func (r *reader) readStage(tree nodes.Tree, node *yaml.Node) *declared {
	d := &declared{
		Stage: Stage{Pos: tree.Pos(node), OnFailure: StopRun, Keep: Keep{Policy: "never"},
			Retries: Retries{Backoff: defaultBackoff, MaxBackoff: defaultMaxBackoff}},
		tree: tree, keys: map[string]*yaml.Node{}, conditions: map[string]*yaml.Node{},
	}
	entries := trees.Entries(node)
	for _, e := range entries {
		d.keys[trees.Resolve(e.Key).Value] = trees.Resolve(e.Key)
	}
	for _, e := range entries {
		if trees.Resolve(e.Key).Value != "name" {
			continue
		}
		if name, ok := tree.Text(e.Value, "name", "name: setup"); ok {
			d.Pos, d.keys["name"] = tree.Pos(e.Value), trees.Resolve(e.Value)
			if tree.Label(e.Value, "a stage") {
				d.Name = name
			}
		}
	}
	if d.keys["name"] == nil {
		r.list.Add(d.Pos, "name: a word that says what the stage does", "the stage has no name")
	}
	misspelt := false
	for _, e := range entries {
		key := trees.Resolve(e.Key).Value
		read := stageKeys[key]
		switch {
		case strings.HasPrefix(key, "x-"): // an extension, as everywhere in Compose files
		case read == nil:
			misspelt = misspelt || slices.Contains(verbs, problems.Nearest(key, verbs))
			r.list.Add(tree.Pos(e.Key), problems.OneOf(key, slices.Collect(maps.Keys(stageKeys))), "a stage has no key %q", key)
		case slices.Contains(verbs, key) && r.secondVerb(d, key):
		case slices.Contains(perUnit, key):
			read(r, d, e.Value)
		default:
			if !r.plainOnly(tree, e.Value, "the key "+key+" of a stage, which holds for all its steps") {
				continue
			}
			if value, ok := tree.Interpolate(e.Value, r.environment); ok {
				read(r, d, value)
			}
		}
	}
	if d.Verb == "" && !misspelt {
		r.list.Add(d.Pos, "one of: run a helper, await a condition, start a service, call an endpoint", "the stage %s has no verb", d.Name)
	}
	r.checkStage(d)
	return d
}

func (r *reader) secondVerb(d *declared, verb string) bool {
	if d.Verb == "" {
		d.Verb = Verb(verb)
		return false
	}
	r.list.Add(d.at(verb), "one verb a stage: make a second stage of it", "the stage has two verbs, %s and %s", d.Verb, verb)
	return true
}

func (r *reader) readVerb(d *declared, value *yaml.Node) {
	n := trees.Resolve(value)
	expected := "a service or a list of services"
	switch d.Verb {
	case Await:
		expected = "a service, a list of services, or a condition such as {healthy: db}"
	case Call:
		expected = `a request: call: {http: {method: PUT, url: "http://host:8080/path"}}`
	}
	if n.Kind == yaml.MappingNode && (d.Verb == Await || d.Verb == Call) {
		d.inline = n
		return
	}
	if d.Verb == Call {
		r.list.Add(d.tree.Pos(value), expected, "call cannot be %s", nodes.Kind(value))
		d.inline = &yaml.Node{Kind: yaml.MappingNode}
		return
	}
	for _, item := range nodes.Items(n) {
		if d.Verb == Await && item.Kind == yaml.MappingNode {
			r.list.Add(d.tree.Pos(item), "await: {all: [...]} for several conditions", "await takes a list of services, not of conditions")
			return
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.list.Add(d.tree.Pos(value), expected, "%s has an empty list", d.Verb)
	}
	d.services, _ = d.tree.Texts(value, string(d.Verb), expected)
}

func (r *reader) readNeeds(d *declared, value *yaml.Node) {
	d.needs = []*yaml.Node{}
	if n := trees.Resolve(value); n.Kind != yaml.SequenceNode || len(n.Content) > 0 {
		texts, _ := d.tree.Texts(value, "needs", "a stage, a list of stages, or [] for none")
		d.needs = append(d.needs, texts...)
	}
}

func (r *reader) readRetries(d *declared, value *yaml.Node) {
	if trees.Resolve(value).Kind != yaml.MappingNode {
		d.Retries.Count = d.tree.Count(value, "retries", 0)
		return
	}
	for _, e := range trees.Entries(value) {
		switch key := trees.Resolve(e.Key).Value; key {
		case "count":
			d.Retries.Count = d.tree.Count(e.Value, "count", 0)
		case "backoff":
			d.Retries.Backoff = d.tree.Duration(e.Value, "backoff")
		case "max_backoff":
			d.Retries.MaxBackoff = d.tree.Duration(e.Value, "max_backoff")
		default:
			r.list.Add(d.tree.Pos(e.Key), problems.OneOf(key, []string{"count", "backoff", "max_backoff"}), "retries has no key %q", key)
		}
	}
	if d.Retries.MaxBackoff < d.Retries.Backoff {
		d.Retries.MaxBackoff = d.Retries.Backoff
	}
}

func (r *reader) readKeep(d *declared, value *yaml.Node) {
	words := []string{"never", "on_failure", "always"}
	text, ok := d.tree.Text(value, "keep", problems.OneOf("", words))
	switch {
	case !ok:
	case slices.Contains(words, text):
		d.Keep.Policy = text
	default:
		lasting, err := time.ParseDuration(text)
		if err != nil || lasting <= 0 {
			r.list.Add(d.tree.Pos(value), problems.OneOf(text, words)+", or a time such as 1h", "keep cannot be %q", text)
			return
		}
		d.Keep.For = lasting
	}
}

func readCondition(key string) func(r *reader, d *declared, value *yaml.Node) {
	return func(_ *reader, d *declared, value *yaml.Node) { d.conditions[key] = trees.Resolve(value) }
}

// checkStage reports keys that mean nothing for the stage they stand in.
func (r *reader) checkStage(d *declared) {
	if d.Verb == "" {
		return
	}
	reject := func(key string, wrong bool, expected, message string) {
		if wrong && d.keys[key] != nil {
			r.list.Add(d.at(key), expected, "%s", message)
		}
	}
	container := d.inline == nil
	reject("where", !d.Each, "each: apps", "where chooses among the apps of a stage with each: apps")
	reject("per_app", !d.Each, "each: apps", "per_app is for a stage with each: apps")
	reject("on_failure", d.OnFailure == SkipApp && !d.Each, "on_failure: stop or continue, or each: apps", "skip_app is for a stage with each: apps")
	reject("max_parallel", d.Sequential, "leave one of them out", "max_parallel means nothing with order: sequential")
	reject("ready", d.Verb != Start, "ready: is for start; await a condition in a stage of its own", "a stage that does "+string(d.Verb)+" has no ready")
	reject("until", d.Verb != Run, "until: is for run, whose helper it ends", "a stage that does "+string(d.Verb)+" has no until")
	reject("keep", !d.helpers(), "keep: is for the containers of run and await, which end", "nothing is left to keep of what this stage does")
	reject("exclusive", !container, "run or start a service that mounts the volume", "only containers can hold a volume")
	reject("each", d.Each && !r.hasApps, "apps: {hivemind: {port: 8081}, …} beside stages:", "each: apps, but the file has no apps")
	if d.exclusive != nil && d.keys["order"] == nil && d.keys["max_parallel"] == nil {
		d.Sequential = true
	}
	reject("exclusive", d.exclusive != nil && !d.Sequential && d.MaxParallel != 1, "order: sequential", "the volume has one holder at a time, so the steps cannot run side by side")
	if !r.hasApps {
		d.Each = false
	}
	d.apps = []App{{}}
	if d.Each {
		d.apps = slices.DeleteFunc(slices.Clone(r.stack.Apps), func(a App) bool { return !d.where.holds(a) })
	}
}
