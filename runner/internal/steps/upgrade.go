package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// Upgrading is what a crew needs to take a stack from version to version.
type Upgrading struct {
	Store      upgrades.Store
	Deployment upgrades.Deployment
	// Holder says who this is.
	Holder string
	// Stops are, by step ID, the latest stops of helpers: see runner.Ledger.
	Stops map[string]events.Event
	// Walk does the upgrade; nil does all of it.
	Walk func(context.Context, *upgrades.Service) error
}

// What a helper is told of its part, as variables of its environment.
const (
	VariablePart   = "STAGEHAND_PART" // prepare, cluster, tenant, list
	VariableFrom   = "STAGEHAND_FROM"
	VariableTo     = "STAGEHAND_TO"
	VariableTenant = "STAGEHAND_TENANT"
)

// The parts of a step.
const (
	partPrepare = "prepare"
	partCluster = "cluster"
	partTenant  = "tenant"
	partList    = "list"
)

// lookForOthers is how often a runner looks for what others have done.
const lookForOthers = time.Second

// UpgradeOptions are those of a service that knows the stack's versions. do does a part of
// a step by the service for it.
func UpgradeOptions(u *stages.Upgrades, do func(ctx context.Context, step upgrades.Step, part, service, tenant string) error) upgrades.Options {
	o := upgrades.Options{
		Version: u.Version, Batch: u.Batch, Workers: u.Workers, MaxHeld: u.Workers, Retries: u.Retries,
		CheckUpgrade: lookForOthers, CheckTenants: lookForOthers,
	}
	for _, s := range u.Steps {
		f := upgrades.Funcs{From: s.From, Version: s.To}
		if s.Prepare != "" {
			f.PrepareFunc = func(ctx context.Context, step upgrades.Step, _ bool) error {
				return do(ctx, step, partPrepare, s.Prepare, "")
			}
		}
		if s.Cluster != "" {
			f.Cluster = func(ctx context.Context, step upgrades.Step) error { return do(ctx, step, partCluster, s.Cluster, "") }
		}
		if s.Tenant != "" {
			f.Tenant = func(ctx context.Context, step upgrades.Step, tenant string) error {
				return do(ctx, step, partTenant, s.Tenant, tenant)
			}
		}
		o.Handles = append(o.Handles, f)
	}
	return o
}

// upgrade walks the stack's route, beside all others who do so.
func (c *Crew) upgrade(ctx context.Context, a *active) outcome {
	w := &walk{Crew: c, step: a, standing: map[string]*active{}}
	o := UpgradeOptions(c.Stack.Upgrades, w.do)
	o.Store, o.Deployment, o.Holder, o.Report = c.Upgrading.Store, c.Upgrading.Deployment, c.Upgrading.Holder, w.report
	o.Tenants = w.tenants
	s, err := upgrades.New(o)
	if err != nil {
		return failed("%v", err)
	}
	walking := c.Upgrading.Walk
	if walking == nil {
		walking = func(ctx context.Context, s *upgrades.Service) error { return s.BootstrapUpgrade(ctx) }
	}
	err = walking(ctx, s)
	if settled := (*upgrades.AsideError)(nil); err == nil || errors.As(err, &settled) {
		if err := w.sweep(ctx, s); err != nil && w.broken == nil {
			w.broken = err
		}
	}
	return w.outcome(ctx, err, s.Close())
}

// walk is one runner's part in an upgrade.
type walk struct {
	*Crew
	step *active
	// listings counts how often this runner has asked for the tenants.
	listings atomic.Int64

	mu sync.Mutex
	// standing are the helpers that have ended and whose outcome is not recorded yet, by step ID.
	standing map[string]*active
	broken   error // of the engine or the ledger
	told     time.Time
}

func (w *walk) outcome(ctx context.Context, err, closing error) outcome {
	var broken *record.Broken
	var aside *upgrades.AsideError
	var part *upgrades.PartError
	switch {
	case w.broken != nil:
		return broke(w.broken)
	case errors.As(context.Cause(ctx), &broken):
		return broke(broken.Err)
	case err != nil && ctx.Err() != nil:
		return interruption(ctx, "")
	case errors.As(err, &aside):
		o := failed("%v", err)
		for _, t := range aside.Tenants {
			o.aside = append(o.aside, t.Tenant)
		}
		return o
	case errors.As(err, &part):
		return failed("%v", err)
	case errors.Is(err, upgrades.ErrNoTenant), errors.Is(err, upgrades.ErrLost), errors.Is(err, upgrades.ErrMoved),
		errors.Is(err, upgrades.ErrOlder), errors.Is(err, upgrades.ErrUnderWay), errors.Is(err, upgrades.ErrGap):
		return failed("%v", err)
	case err != nil || closing != nil:
		return broke(fmt.Errorf("%w: %w", record.ErrLedger, errors.Join(err, closing)))
	}
	return outcome{kind: events.Done}
}

// fail ends the walk, as nothing is known any more.
func (w *walk) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
	return fmt.Errorf("%w: %w", upgrades.ErrAbort, err)
}

// do has a helper do a part of a step, to its end.
func (w *walk) do(ctx context.Context, step upgrades.Step, part, service, tenant string) error {
	_, err := w.helper(ctx, step, part, service, tenant)
	return err
}

func (w *walk) helper(ctx context.Context, step upgrades.Step, part, service, tenant string) (*active, error) {
	h, err := w.errand(ctx, step, part, service, tenant)
	if err != nil {
		return nil, err
	}
	o := w.Crew.helper(ctx, h, nil)
	switch {
	case o.broken != nil:
		return nil, w.fail(o.broken)
	case ctx.Err() != nil:
		// It was stopped: whatever it said then is not its own end.
		if err := w.destroy(context.WithoutCancel(ctx), h); err != nil {
			return nil, w.fail(err)
		}
		return nil, context.Cause(ctx)
	}
	w.mu.Lock()
	w.standing[h.ID] = h
	w.mu.Unlock()
	if o.failure == "" {
		return h, nil
	}
	if part != partTenant {
		w.over(h.ID)
	}
	text := o.failure
	if len(o.logs) > 0 {
		text += ", said last: " + o.logs[len(o.logs)-1]
	}
	return nil, errors.New(w.Stack.Secrets.Text(text)) // it is recorded beside the events, too
}

// errand is the helper for a part, and says what is to be done with what stands under its name. What runs, or has
// ended well and was not stopped, was begun for the same part by a runner that died: it is taken over.
func (w *walk) errand(ctx context.Context, step upgrades.Step, part, service, tenant string) (*active, error) {
	id := errandID(step, part, tenant)
	spec := w.Stack.Services[service].Spec
	variables := map[string]string{VariablePart: part}
	if part == partList {
		// Any number of runners may ask at one time, and each anew for every version.
		id += fmt.Sprintf("/%s/%d", w.Run, w.listings.Add(1))
	} else {
		variables[VariableFrom], variables[VariableTo] = step.From.String(), step.To.String()
	}
	if part == partTenant {
		variables[VariableTenant] = tenant
	}
	spec.Name = containers.Name(w.Stack.Name, id)
	spec.Env = slices.DeleteFunc(slices.Clone(spec.Env), func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		return variables[key] != ""
	})
	for key, value := range variables {
		spec.Env = append(spec.Env, key+"="+value)
	}
	slices.Sort(spec.Env)
	spec.Labels = maps.Clone(spec.Labels)
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	maps.Copy(spec.Labels, map[string]string{
		containers.LabelProject: w.Stack.Name, containers.LabelStack: w.Stack.Name, containers.LabelStage: w.step.Stage,
		containers.LabelStep: id, containers.LabelGrace: spec.Grace().String(), containers.LabelRole: containers.RoleHelper,
	})
	h := &active{
		Step:  &plan.Step{ID: id, Stage: w.step.Stage, Verb: stages.Run, Service: service, Action: plan.Create, Container: spec.Name, Image: spec.Image, Spec: &spec, Unit: &stages.Unit{Service: service}},
		stage: w.step.stage, attempt: 1, underway: func() {},
	}
	if o, ok := w.resolveSpec(h); !ok {
		return nil, errors.New(o.failure)
	}
	status, err := w.Engine.Status(ctx, spec.Name)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return h, nil
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, w.fail(err)
	}
	h.Action = plan.Recreate
	if w.ownEnd(h, status) {
		h.Action = plan.Adopt
	}
	return h, nil
}

// errandID is upgrade/VERSION/PART or upgrade/VERSION/PART/TENANT, of the listing upgrade/list.
func errandID(step upgrades.Step, part, tenant string) string {
	id := string(stages.Upgrade)
	for _, word := range []string{step.To.String(), part, tenant} {
		if word != "" {
			id += "/" + word
		}
	}
	return id
}

// ownEnd tells whether the container is one whose end, come or to come, is the errand's own.
func (w *walk) ownEnd(h *active, status containers.Status) bool {
	if status.Labels[containers.LabelSpec] != h.spec.Labels[containers.LabelSpec] || containers.StackOf(status.Labels) != w.Stack.Name {
		return false
	}
	stop, stopped := w.Upgrading.Stops[h.ID]
	if stopped && !stop.Time.Before(status.Created) {
		return false
	}
	return status.Running() && !status.HalfStarted() || status.Ended() && status.ExitCode == 0 && !status.OOMKilled
}

// over destroys a helper whose outcome is recorded, or counts as not known, off the critical path.
func (w *walk) over(id string) {
	w.mu.Lock()
	h := w.standing[id]
	delete(w.standing, id)
	w.mu.Unlock()
	if h == nil {
		return
	}
	w.background.Go(func() error {
		if err := w.destroy(context.Background(), h); err != nil {
			return fmt.Errorf("destroying %s: %w", h.Container, err)
		}
		return nil
	})
}

// sweep destroys what runners have left behind that died when a helper's outcome was recorded and its container was
// still there, or while they listed the tenants.
func (w *walk) sweep(ctx context.Context, s *upgrades.Service) error {
	standing, err := w.Engine.List(ctx, map[string]string{containers.LabelStack: w.Stack.Name, containers.LabelStage: w.step.Stage})
	if err != nil || len(standing) == 0 {
		return err
	}
	recorded, err := w.recorded(ctx)
	if err != nil {
		return err
	}
	holders, err := s.Holders(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", record.ErrLedger, err)
	}
	for _, status := range standing {
		id := status.Labels[containers.LabelStep]
		run, listing := strings.CutPrefix(id, errandID(upgrades.Step{}, partList, "")+"/")
		run, _, _ = strings.Cut(run, "/")
		lives := slices.ContainsFunc(holders, func(h upgrades.Holder) bool { return strings.Contains(h.Text, run) })
		if listing && !lives || status.Ended() && recorded[id] {
			w.mu.Lock()
			w.standing[id] = &active{Step: &plan.Step{ID: id, Container: status.Name}}
			w.mu.Unlock()
			w.over(id)
		}
	}
	return nil
}

// recorded are the errands whose outcome is recorded, for good: one for a tenant that is set aside may be tried again.
func (w *walk) recorded(ctx context.Context) (map[string]bool, error) {
	status, err := w.Upgrading.Store.Status(ctx, w.Upgrading.Deployment)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrLedger, err)
	}
	tenants, err := w.Upgrading.Store.Tenants(ctx, w.Upgrading.Deployment)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrLedger, err)
	}
	out := map[string]bool{}
	for _, s := range status.Steps {
		listed := s.State == upgrades.UpgradingTenants || s.State == upgrades.StepReady
		out[errandID(s.Step, partPrepare, "")] = listed || s.State == upgrades.StepPrepared
		out[errandID(s.Step, partCluster, "")] = listed
	}
	for _, t := range tenants {
		out[errandID(status.Steps[t.Step].Step, partTenant, t.Tenant)] = t.State == upgrades.TenantReady || t.State == upgrades.TenantDeleted
	}
	return out, nil
}

// report is told what is recorded: then the helpers go, and people see how far it is.
func (w *walk) report(r upgrades.Report) {
	switch {
	case r.Tenant != nil:
		w.over(errandID(r.Step, partTenant, r.Tenant.Tenant))
	case r.State == upgrades.StepPrepared:
		w.over(errandID(r.Step, partPrepare, ""))
	case r.State == upgrades.UpgradingTenants:
		w.over(errandID(r.Step, partCluster, ""))
	}
	e := record.About(events.StepProgress, w.step.Step)
	switch {
	case r.Tenant == nil:
		e.Progress = w.progress(r.Step, strings.ReplaceAll(string(r.State), "_", " "))
	case r.Tenant.State == upgrades.TenantSetAside:
		e.Progress = w.progress(r.Step, fmt.Sprintf("%s is set aside: %s", r.Tenant.Tenant, r.Tenant.Error))
	case r.Tenant.State == upgrades.TenantDeleted:
		e.Progress = w.progress(r.Step, r.Tenant.Tenant+" is deleted")
	case r.Tenant.State == upgrades.TenantPending:
		e.Progress = w.progress(r.Step, fmt.Sprintf("%s failed, attempt %d of %d: %s", r.Tenant.Tenant, r.Tenant.Attempts, w.Stack.Upgrades.Retries+1, r.Tenant.Error))
	case time.Since(w.told) < outputPause:
		return
	default:
		e.Progress = w.progress(r.Step, "")
	}
	w.told = time.Now()
	w.Record.Note(e)
}

// progress is how many of the step's tenants have passed it.
func (w *walk) progress(step upgrades.Step, text string) *events.Progress {
	p := &events.Progress{Unit: "tenants", Text: step.String()}
	if text != "" {
		p.Text += ": " + text
	}
	status, err := w.Upgrading.Store.Status(context.Background(), w.Upgrading.Deployment)
	if err != nil {
		return p // whoever needs the ledger will meet that, too
	}
	for _, s := range status.Steps {
		if s.Step != step {
			continue
		}
		for state, n := range s.Tenants {
			if p.Total += float64(n); state == upgrades.TenantReady {
				p.Done += float64(n)
			}
		}
	}
	return p
}

// tenants are the stack's apps, or what the helper for that prints.
func (w *walk) tenants(ctx context.Context) ([]string, error) {
	u := w.Stack.Upgrades
	if u.Apps {
		var names []string
		for _, app := range w.Stack.Apps {
			names = append(names, app.Name)
		}
		return names, nil
	}
	if u.List == "" {
		return nil, nil
	}
	h, err := w.helper(ctx, upgrades.Step{}, partList, u.List, "")
	if err != nil {
		return nil, fmt.Errorf("listing the tenants: %w", err)
	}
	defer w.over(h.ID)
	reader, err := w.Engine.Logs(ctx, h.Container, containers.LogOptions{})
	if err != nil {
		return nil, w.fail(err)
	}
	defer reader.Close()
	var names []string
	var wrong error
	err = eachLine(reader, func(line string) {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || strings.HasPrefix(name, "::"):
		case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) || len(name) > longestTenant:
			wrong = fmt.Errorf("%q is no tenant's name: %s is to print one a line, of at most %d bytes and without spaces, and nothing else", name[:min(len(name), 80)], u.List, longestTenant)
		default:
			names = append(names, name)
		}
	})
	if err != nil {
		return nil, w.fail(err)
	}
	return names, wrong
}

// longestTenant is the longest name of a tenant, in bytes.
const longestTenant = 200
