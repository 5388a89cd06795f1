package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner/internal/record"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// DeployedError is that apps are to be deployed otherwise than they are, or that the file's version does not follow on the recorded one. Where they stand in a stack file, Unwrap
// gives each in its place, a *problems.Error. It is a containers.ErrConflict.
type DeployedError struct{ each error }

// Error is each conflict in words.
func (e *DeployedError) Error() string { return e.each.Error() }

// Unwrap gives each conflict in its place, where it has one.
func (e *DeployedError) Unwrap() error { return e.each }

// Is makes it a conflict.
func (e *DeployedError) Is(target error) bool { return target == containers.ErrConflict }

// CheckApps refuses, with a *DeployedError, a stack file that has an app otherwise than it
// is deployed. Up and Plan do that by themselves, before anything is made.
func CheckApps(ctx context.Context, stack *stages.Stack, engine containers.Engine, ledger Ledger) error {
	info, err := patient(engine, time.Second).Info(ctx)
	if err != nil {
		return err
	}
	_, err = checkedApps(ctx, stack, ledger, info.ID)
	return err
}

// checkedApps are the apps that are registered; the error may be a *DeployedError.
func checkedApps(ctx context.Context, stack *stages.Stack, ledger Ledger, engineID string) (map[string]events.App, error) {
	apps, err := ledger.Apps(ctx, stack.Name, engineID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	deployed := make(map[string]map[string]string, len(apps))
	for name, app := range apps {
		deployed[name] = app.Descriptor
	}
	if err := stack.Redeployed(deployed).Err(); err != nil {
		return nil, &DeployedError{err}
	}
	return apps, nil
}

// Apps are those of the ledger, and those that holders who keep other ledgers have told.
func (i *informed) Apps(ctx context.Context, stack, engineID string) (map[string]events.App, error) {
	apps, err := i.Ledger.Apps(ctx, stack, engineID)
	if err != nil || apps == nil {
		return apps, err
	}
	for _, e := range i.told {
		if _, known := apps[e.App]; !known && e.Registers() == events.Deployed {
			apps[e.App] = events.App{Name: e.App, Stack: stack, Engine: engineID, State: events.Deploying, Descriptor: e.Descriptor, Run: e.Run, Time: e.Time}
		}
	}
	return apps, nil
}

// RegisterOptions say which app to register, and with what. All must be set.
type RegisterOptions struct {
	// Stack is the stack's name, EngineID that of its engine.
	Stack, EngineID string
	App             string
	// Descriptor holds the app's fields that never change: see stages.Stack.Descriptor.
	Descriptor map[string]string
	Sink       events.Sink
	Ledger     Ledger
	Run        string
}

// RegisterApp registers an app that somebody else deploys, by a run for nothing else; made tells whether it was not
// registered before. One that is, with the same fields, is left alone: nothing is written. With other fields the error is a
// *DeployedError, which has each of them in words. The ledger itself has the last word where two register one app.
func RegisterApp(ctx context.Context, o RegisterOptions) (app events.App, made bool, err error) {
	apps, err := o.Ledger.Apps(ctx, o.Stack, o.EngineID)
	if err != nil {
		return app, false, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	known, registered := apps[o.App]
	if registered {
		if err := redeclared(known, o.Descriptor); err != nil {
			return known, false, err
		}
		more := false
		for field := range o.Descriptor {
			_, has := known.Descriptor[field]
			more = more || !has
		}
		if !more {
			return known, false, nil
		}
	}
	recorder, began := record.New(o.Sink, o.Run, o.Stack), time.Now()
	err = recorder.Emit(events.Event{Kind: events.RunStarted, Verb: "apps register", Engine: o.EngineID, App: o.App, Descriptor: o.Descriptor})
	if err == nil {
		err = recorder.Emit(events.Event{Kind: events.RunEnded, Verb: "apps register", Verdict: events.VerdictDone, Elapsed: time.Since(began)})
	}
	after, lookErr := o.Ledger.Apps(ctx, o.Stack, o.EngineID)
	if lookErr != nil {
		return app, false, errors.Join(err, fmt.Errorf("%w: %w", ErrLedger, lookErr))
	}
	app = after[o.App]
	if changed := redeclared(app, o.Descriptor); changed != nil {
		return app, false, changed // another one was faster
	}
	return app, !registered && app.Run == o.Run, err
}

// redeclared is a *DeployedError where the app is deployed otherwise.
func redeclared(app events.App, descriptor map[string]string) error {
	var texts []string
	for _, field := range slices.Sorted(maps.Keys(app.Descriptor)) {
		if is, was := descriptor[field], app.Descriptor[field]; is != was {
			texts = append(texts, stages.Changed(app.Name, field, is, was))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return &DeployedError{errors.New(strings.Join(texts, "; "))}
}

// ForgetOptions say which apps to forget. All must be set but Force and Lock.
type ForgetOptions struct {
	// Stack is the stack's name.
	Stack  string
	Apps   []string
	Engine containers.Engine
	Sink   events.Sink
	Ledger Ledger
	Run    string
	// Force forgets an app although containers of it stand on the engine.
	Force bool
	// Lock says how the stack's lease is taken.
	Lock Lock
}

// ErrNotDeployed: no app of that name is registered.
var ErrNotDeployed = errors.New("is not registered")

// ForgetApps takes the registration of apps back, while no other run works on the stack, and returns what they
// were deployed with. Nothing on the engine is touched. An app of which a container stands there is a
// containers.ErrConflict; then, and where one is not registered, none is forgotten.
func ForgetApps(ctx context.Context, o ForgetOptions) (forgotten []events.App, err error) {
	engine := patient(o.Engine, 0)
	turn, engineID, err := o.Lock.queue(ctx, engine, o.Ledger, o.Stack, o.Run, nil)
	if err != nil {
		return nil, err
	}
	defer turn.Release()
	for !turn.Needless() {
		if err := turn.Take(ctx); err != nil {
			return nil, err
		}
	}
	apps, err := o.Ledger.Apps(ctx, o.Stack, engineID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	for _, name := range o.Apps {
		app, registered := apps[name]
		if !registered {
			return nil, fmt.Errorf("%s %w", name, ErrNotDeployed)
		}
		forgotten = append(forgotten, app)
	}
	if !o.Force {
		if err := refuseStanding(ctx, engine, o.Stack, o.Apps); err != nil {
			return nil, err
		}
	}
	recorder, began := record.New(o.Sink, o.Run, o.Stack), time.Now()
	err = recorder.Emit(events.Event{Kind: events.RunStarted, Verb: "apps remove", Engine: engineID, Token: turn.Token()})
	if err == nil {
		err = acquired(recorder, turn)
	}
	if err == nil {
		err = forgetApps(recorder, forgotten, "apps remove")
	}
	if err == nil {
		err = recorder.Emit(events.Event{Kind: events.RunEnded, Verb: "apps remove", Verdict: events.VerdictDone, Elapsed: time.Since(began)})
	}
	return forgotten, err
}

// refuseStanding is a conflict where containers of the apps stand on the engine.
func refuseStanding(ctx context.Context, engine containers.Engine, stack string, apps []string) error {
	list, err := containers.ListStack(ctx, engine, stack)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range list {
		if slices.Contains(apps, s.Labels[containers.LabelApp]) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("%w: still on the engine: %s", containers.ErrConflict, strings.Join(names, ", "))
}

func forgetApps(recorder *record.Recorder, apps []events.App, cause string) error {
	for _, app := range apps {
		if err := recorder.Emit(events.Event{Kind: events.AppRemoved, App: app.Name, Descriptor: app.Descriptor, Cause: cause}); err != nil {
			return err
		}
	}
	return nil
}

// forgetApps forgets the stack's apps, and its version, once its volumes have been removed, unless
// their data may live on in a volume that is not the stack's to remove.
func (d *demolition) forgetApps(ctx context.Context, o DownOptions, engineID string) error {
	apps, err := o.Ledger.Apps(ctx, o.Stack, engineID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	if len(Outliving(o.Order)) > 0 {
		return nil
	}
	if store := storeOf(o.Ledger); store != nil {
		if err := store.Forget(ctx, upgrades.Deployment{Name: o.Stack, Engine: engineID}); err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
	}
	var list []events.App
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		list = append(list, apps[name])
	}
	return forgetApps(d.record, list, "down --volumes")
}

// Outliving are the external volumes that containers of the stack write to, by name: what
// is in them is still there after a down with its volumes. None for no stack.
func Outliving(stack *stages.Stack) []string {
	if stack == nil {
		return nil
	}
	external, found := map[string]bool{}, map[string]bool{}
	for _, v := range stack.Volumes {
		external[v.Name] = v.External
	}
	for _, service := range stack.Services {
		for _, m := range service.Spec.Mounts {
			if m.Kind == containers.MountVolume && !m.ReadOnly && external[m.Source] {
				found[m.Source] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
