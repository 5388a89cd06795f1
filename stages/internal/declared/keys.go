package declared

import (
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters/decode"
)

// key is one of a stage's keys: what may stand there, and what reads it.
type key struct {
	shapes.Field
	// read reads the value, in which variables are replaced; nil for what is read elsewhere: the
	// name, the verb, and conditions, which are read for each app.
	read func(f *File, d *Stage, value *yaml.Node, field shapes.Field)
}

var (
	services  = shapes.OneOrMore(shapes.Scalar())
	condition = shapes.Reference(decode.Definition)
	// ofService may be the word healthy: the health of the stage's own service.
	ofService    = shapes.Either(shapes.Words("healthy"), condition)
	keepWords    = shapes.Words("never", "on_failure", "always")
	networkWords = shapes.Words("own", shared)
	attempts     = shapes.Whole(0, maxCount)
)

// shared is the network of helpers that share one.
const shared = "shared"

// maxCount is what nodes.Tree.Count takes at most.
const maxCount = 1_000_000

var retryFields = shapes.Fields{
	shapes.Key("count", "How many further attempts there are after one that failed", attempts),
	shapes.Key("backoff", "How long to wait before the first further attempt; each later one waits twice as long (default 1s)", shapes.Duration()),
	shapes.Key("max_backoff", "How long to wait at most before an attempt (default 1m)", shapes.Duration()),
}

// keys are those that a stage may have, sorted.
var keys = []key{
	{shapes.Key("await", "Wait: for the end of a detector container, of several, or for a condition", shapes.Either(services, condition)), nil},
	{shapes.Key("budget", "How long the stage should take; nothing is stopped for it, but a run that took longer says so", shapes.Duration()), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Budget = d.Tree.Duration(v, k.Key)
	}},
	{shapes.Key("call", "Make a request; done is a 2xx answer", shapes.Reference(callDefinition)), nil},
	{shapes.Key("each", "apps: one step for each app; the services named are templates", shapes.Words("apps")), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Each = d.Tree.Choice(v, k.Key, k.Words()...) != ""
	}},
	{shapes.Key("exclusive", "The key of a volume, under volumes:, that has one holder at a time and is handed over only after a clean shutdown", shapes.Scalar()), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		if _, ok := d.Tree.Text(v, k.Key, "the key of a volume under volumes:"); ok {
			d.Exclusive = v
		}
	}},
	{shapes.Key("finally", "true: the stage comes after all others, whatever happened (default false)", shapes.Bool()), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Finally = d.Tree.Bool(v, k.Key)
	}},
	{shapes.Key("keep", "How long the container of a helper that ended stays: never (default), on_failure, always, or a time such as 1h", shapes.Either(keepWords.AnyOf[0], shapes.Duration())), func(f *File, d *Stage, v *yaml.Node, _ shapes.Field) {
		f.readKeep(d, v)
	}},
	{shapes.Key("max_parallel", "How many steps run at a time, at most (default: no bound)", shapes.Whole(1, maxCount)), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.MaxParallel = d.Tree.Count(v, k.Key, 1)
	}},
	{shapes.Key("name", "What events, plans and records call the stage: lower-case letters, digits and - inside", shapes.Label()), nil},
	{shapes.Key("needs", "The stages that must be over before: one, a list, or [] for none (default: the stage above)", shapes.Either(shapes.Scalar(), shapes.List(shapes.Scalar(), 0))), func(_ *File, d *Stage, v *yaml.Node, _ shapes.Field) {
		d.readNeeds(v)
	}},
	{shapes.Key("network", "own, or shared: the stage's helpers only dial out, from one network namespace that they share (default: helper_network)", networkWords), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Network = d.Tree.Choice(v, k.Key, k.Words()...)
	}},
	{shapes.Key("on_failure", "When a step fails: stop (default) starts no further step, skip_app skips what is left of that app, continue goes on", shapes.Words("stop", "skip_app", "continue")), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.OnFailure = d.Tree.Choice(v, k.Key, k.Words()...)
	}},
	{shapes.Key("order", "parallel (default), or sequential: one step after another", shapes.Words("parallel", "sequential")), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Sequential = d.Tree.Choice(v, k.Key, k.Words()...) == "sequential"
	}},
	{shapes.Key("per_app", "true: an app goes on as soon as its own steps of the needed stages are done (default false)", shapes.Bool()), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.PerApp = d.Tree.Bool(v, k.Key)
	}},
	{shapes.Key("proof", "A condition that must hold before a step that was done in an earlier run is skipped", ofService), nil},
	{shapes.Key("ready", "When a started service counts as done: a condition, or healthy for the service's own health", ofService), nil},
	{shapes.Key("retries", "How many further attempts there are after one that failed (default 0), and how far apart", shapes.Either(attempts, shapes.Mapping(retryFields))), func(f *File, d *Stage, v *yaml.Node, _ shapes.Field) {
		f.readRetries(d, v)
	}},
	{shapes.Key("run", "Run a helper, or several side by side, to its end; done is exit code 0", services), nil},
	{shapes.Key("start", "Start a service, or several side by side, that stays", services), nil},
	{shapes.Key("timeout", "How long one attempt of one step may take", shapes.Duration()), func(_ *File, d *Stage, v *yaml.Node, k shapes.Field) {
		d.Timeout = d.Tree.Duration(v, k.Key)
	}},
	{shapes.Key("until", "A condition that ends a helper which does not end by itself: it is stopped, and done if that was a clean shutdown", ofService), nil},
	{shapes.Key("where", `Only the apps with that field, or with "!FIELD" those without`, shapes.Matching("^!? *[A-Za-z_][A-Za-z0-9_-]*$")), func(f *File, d *Stage, v *yaml.Node, _ shapes.Field) {
		d.where = f.readFilter(d.Tree, v)
	}},
}

var keyNames = stageFields().Keys()

// Keys are those that a stage may have, sorted.
func Keys() []string { return slices.Clone(keyNames) }

func stageFields() (fields shapes.Fields) {
	for _, k := range keys {
		fields = append(fields, k.Field)
	}
	return fields
}

// top are the keys of a stack file that are ours, sorted.
var top = shapes.Fields{
	shapes.Key("apps", "What stages with each: apps fan out over: names with their fields, ${APP_<FIELD>} in services", shapes.OrNothing(shapes.Open(shapes.Label().Pattern, shapes.OrNothing(shapes.Open(fieldName.String(), shapes.OrNothing(shapes.Scalar())))))),
	shapes.Key("budget", "How long the start-up should take; nothing is stopped for it, but a run that took longer says so", shapes.Duration()),
	shapes.Key("helper_network", "own (default), or shared: helpers that need no network of their own only dial out, from one network namespace that they share", networkWords),
	shapes.Key("immutable", "The fields of apps that never change once an app is deployed: one, a list, or a mapping to limits such as 1..64", shapes.Either(
		shapes.Scalar(), shapes.List(shapes.Scalar(), 0), shapes.Open("", shapes.OrNothing(shapes.Matching(`^[0-9]+\.\.[0-9]+$`))))),
	shapes.Key("on_failure", "What happens to what a failed run has made: keep (default) or down", shapes.Words("keep", "down")),
	shapes.Key("reserved", "Names that no app may have", shapes.Either(shapes.Scalar(), shapes.List(shapes.Scalar(), 0))),
	shapes.Key("stages", "What happens, from top to bottom (default: what follows from depends_on)", shapes.List(shapes.Reference(stageDefinition), 1)),
	shapes.Key("tenants", "Who is upgraded one by one: those that a service prints, or the apps", shapes.Mapping(tenantFields)),
	shapes.Key("upgrades", "How a stack of an older version gets to version: one entry for each version on the way", shapes.List(shapes.Mapping(upgradeFields, "to", "from"), 1)),
	shapes.Key("version", "Which version the file is for: numbers such as 1.5.0 or, with a count of entries, 1.5.0+3", shapes.Scalar()),
}

const (
	stageDefinition = "stagehand_stage"
	callDefinition  = "stagehand_call"
)

// Shapes are our keys of a stack file, and the definitions that these refer to.
func Shapes() (fields shapes.Fields, definitions map[string]shapes.Shape) {
	stage := shapes.Mapping(stageFields(), "name").Choosing(verbs...)
	stage.Patterns = map[string]shapes.Shape{"^x-": {}}
	condition, call := decode.Shapes()
	return top, map[string]shapes.Shape{stageDefinition: stage, decode.Definition: condition, callDefinition: call}
}
