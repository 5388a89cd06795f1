package stages

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/secrets"
)

// Lint reads a stack's files as Load does, and finds the traps in them: what is
// allowed, and yet makes a start-up hang, fail or take longer than it must, with
// stagehand or with Docker Compose. The list holds them as warnings, those of Load among
// them, and the files' texts. The error is that of Load.
func Lint(ctx context.Context, o compose.Options) (*problems.List, error) {
	r, err := loaded(ctx, o)
	if err != nil {
		return nil, err
	}
	found := &problems.List{}
	for _, f := range r.Files() {
		found.Source(f.Name, f.Text)
	}
	told := map[problems.Problem]bool{} // a template is looked at once for each app
	r.list = &problems.List{}
	for _, name := range sortedKeys(r.instances) {
		i := r.instances[name]
		if i.number > 1 {
			continue
		}
		for _, dep := range sortedKeys(i.service.DependsOn) {
			r.lintDependency(i, dep, i.service.DependsOn[dep])
		}
		r.lintHealthcheck(i)
		r.lintOneShot(i)
		r.lintSecrets(i)
	}
	for _, p := range slices.Concat(r.stack.Warnings, r.list.All()) {
		if !told[p] {
			told[p] = true
			found.Warn(p.Pos, p.Expected, "%s", p.Message)
		}
	}
	return found, nil
}

// defaultInterval is the engine's. Source: Dockerfile reference, HEALTHCHECK.
const defaultInterval = 30 * time.Second

// patient is how long people wait for a service that is up without asking what
// it is waiting for.
const patient = 5 * time.Second

// lintDependency looks at one entry of depends_on.
func (r *reader) lintDependency(i *instance, dep string, on types.ServiceDependency) {
	pos := r.source.At("services", i.template, "depends_on", dep)
	for _, p := range r.peers(i, dep) {
		if p.stage.Helpers() {
			if on.Condition != types.ServiceConditionCompletedSuccessfully {
				r.list.Warn(pos, "condition: service_completed_successfully", "%s ends by itself, but %s depends on no more than its start: with docker compose it may begin before %[1]s is done", dep, i.template)
			}
			continue
		}
		if on.Condition == types.ServiceConditionStarted && hasHealthcheck(p.service) {
			r.list.Warn(pos, "condition: service_healthy", "%s has a healthcheck, but %s does not wait for it: it begins as soon as the process of %[1]s is there", dep, i.template)
		}
	}
}

// awaitedHealthy tells whether somebody expects the instance healthy.
func (r *reader) awaitedHealthy(i *instance) bool {
	for _, name := range sortedKeys(r.instances) {
		other := r.instances[name]
		on, ok := other.service.DependsOn[i.template]
		if ok && on.Condition == types.ServiceConditionHealthy && slices.Contains(r.peers(other, i.template), i) {
			return true
		}
	}
	return false
}

// lintHealthcheck looks at how soon a healthcheck can tell what others wait for.
func (r *reader) lintHealthcheck(i *instance) {
	if !hasHealthcheck(i.service) {
		return
	}
	set := func(d *types.Duration) bool { return d != nil && *d > 0 }
	h, at := i.service.HealthCheck, func(key ...string) problems.Pos {
		return r.source.At(append([]string{"services", i.template, "healthcheck"}, key...)...)
	}
	interval := defaultInterval
	if set(h.Interval) {
		interval = time.Duration(*h.Interval)
	}
	if !set(h.StartInterval) && interval > patient && r.awaitedHealthy(i) {
		r.list.Warn(at(), "start_period: "+(2*interval).String()+" and start_interval: 1s",
			"others wait until %s is healthy, which the engine first asks after %s: docker compose up takes at least that long (stagehand asks by a clock of its own)", i.template, interval)
	}
	if set(h.StartInterval) && !set(h.StartPeriod) {
		r.list.Warn(at("start_interval"), "start_period: as long as the start may take", "start_interval counts within start_period only, and %s has none", i.template)
	}
	if limit := i.stage.Timeout; limit > 0 && set(h.Timeout) && limit < time.Duration(*h.Timeout) {
		r.list.Warn(at("timeout"), "less than the "+limit.String()+" of stage "+i.stage.Name, "one test of %s may take %s, but its stage gives up after %s", i.template, *h.Timeout, limit)
	}
}

// oneShot are names that people give to what does one job and ends.
var oneShot = regexp.MustCompile(`(?i)(^|[-_.])(init|initdb|migrate|migrations?|seed|setup|bootstrap|createbuckets?|create[-_](topics?|buckets?|db))($|[-_.0-9])`)

// lintOneShot looks for a job that is taken for a service, as nobody waits for its end.
func (r *reader) lintOneShot(i *instance) {
	s := i.service
	if i.stage.verb() != Start || !i.stage.Implicit || hasHealthcheck(i.service) || len(s.Ports)+len(s.Expose) > 0 ||
		s.Restart == "always" || s.Restart == "unless-stopped" || !oneShot.MatchString(i.template) {
		return
	}
	r.list.Warn(r.source.At("services", i.template), "depends_on: {"+i.template+": {condition: service_completed_successfully}} where it is needed, or a stage that says run: "+i.template,
		"%s looks like a job that ends, but nobody waits for its end: it is started as a service, and docker compose up --wait fails when it exits", i.template)
}

// lintSecrets looks for secrets that are too short to be hidden in what containers print.
func (r *reader) lintSecrets(i *instance) {
	const mend = "4 characters or more, and 6 of digits only"
	short := func(value string) bool { return value != "" && secrets.Short(value) }
	for _, name := range sortedKeys(i.service.Environment) {
		if value := i.service.Environment[name]; value != nil && secrets.Named(name) && short(*value) {
			r.list.Warn(r.source.At("services", i.template, "environment", name), mend,
				"the value of %s is too short to be hidden where it stands in a text: what prints it shows it", name)
		}
	}
	for _, file := range r.stack.Services[i.name].Spec.Files {
		if file.Secret && short(strings.TrimSpace(string(file.Content))) {
			r.list.Warn(r.source.At("services", i.template, "secrets"), mend,
				"what %s holds is too short to be hidden where it stands in a text: what prints it shows it", file.Path)
		}
	}
}
