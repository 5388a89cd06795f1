package runner_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

const image = "actor:test"

// book is a ledger in memory.
type book struct {
	mu     sync.Mutex
	events []events.Event
	fail   func(events.Event) error
}

func (b *book) Emit(_ context.Context, e events.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(e); err != nil {
			return err
		}
	}
	b.events = append(b.events, e)
	return nil
}

func (b *book) Recorded(context.Context, string, string) (map[string]events.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events {
		if e.Kind == events.StepEnded && e.Outcome == events.Done {
			out[e.Step] = e
		}
	}
	return out, nil
}

func (b *book) Holders(context.Context, string, string) (map[string]events.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]events.Event{}
	for _, e := range b.events {
		if e.Exclusive != "" && e.ExitCode != nil {
			out[e.Exclusive] = e
		}
	}
	return out, nil
}

func (b *book) Forget(context.Context, string, string, ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = nil
	return nil
}

// shift makes all that is recorded younger.
func (b *book) shift(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.events {
		b.events[i].Time = b.events[i].Time.Add(d)
	}
}

// of returns the events of one kind, in order.
func (b *book) of(kind events.Kind) []events.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.events), func(e events.Event) bool { return e.Kind != kind })
}

// trace is "what step" for the kinds that make the order of a run.
func (b *book) trace() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, e := range b.events {
		switch e.Kind {
		case events.StepStarted:
			out = append(out, "start "+e.Step)
		case events.StepEnded:
			out = append(out, string(e.Outcome)+" "+e.Step)
		}
	}
	return out
}

func (b *book) outcomes() map[string]events.Outcome {
	out := map[string]events.Outcome{}
	for _, e := range b.of(events.StepEnded) {
		out[e.Step] = e.Outcome
	}
	return out
}

// before fails the test unless a stands before b in the trace.
func before(t *testing.T, trace []string, a, b string) {
	t.Helper()
	i, j := slices.Index(trace, a), slices.Index(trace, b)
	if i < 0 || j < 0 || i > j {
		t.Errorf("want %q before %q in:\n%s", a, b, strings.Join(trace, "\n"))
	}
}

// stackBuilder writes stacks the way package stages reads them.
type stackBuilder struct{ stages.Stack }

func newStack(name string) *stackBuilder {
	return &stackBuilder{stages.Stack{
		Name: name, OnFailure: stages.KeepUp, Services: map[string]stages.Service{},
		Networks: []containers.Network{{Name: name + "_default", Labels: containers.OfStack(name)}}, DefaultNetwork: name + "_default",
	}}
}

func (b *stackBuilder) volume(name string) string {
	full := b.Name + "_" + name
	b.Volumes = append(b.Volumes, containers.Volume{Name: full, Labels: containers.OfStack(b.Name)})
	return full
}

// service adds a service whose container runs the actor with the given
// commands; change may alter its spec.
func (b *stackBuilder) service(name, command string, change func(*containers.Spec)) {
	app, template, isApp := strings.Cut(name, "/")
	full := name
	if isApp {
		full = app + "-" + template
	} else {
		app, template = "", name
	}
	spec := containers.Spec{
		Name: containers.Name(b.Name, full, "1"), Image: image, Command: strings.Fields(command),
		Networks: []containers.Attachment{{Network: b.Name + "_default", Aliases: []string{full}}},
		Labels:   map[string]string{containers.LabelService: full, containers.LabelProject: b.Name},
	}
	if change != nil {
		change(&spec)
	}
	b.Services[full] = stages.Service{Name: full, Template: template, App: app, Spec: spec}
}

func mount(volume, target string) func(*containers.Spec) {
	return func(s *containers.Spec) {
		s.Mounts = append(s.Mounts, containers.Mount{Kind: containers.MountVolume, Source: volume, Target: target})
	}
}

// stage adds a stage whose needs are the stage above unless it names its own.
func (b *stackBuilder) stage(s stages.Stage, services ...string) {
	if s.Needs == nil && len(b.Stages) > 0 {
		s.Needs = []string{b.Stages[len(b.Stages)-1].Name}
	}
	if s.OnFailure == "" {
		s.OnFailure = stages.StopRun
	}
	for _, name := range services {
		app, template, isApp := strings.Cut(name, "/")
		u := stages.Unit{Service: name}
		if isApp {
			u.Service, u.App = app+"-"+template, app
			s.Each = true
		}
		if len(s.Units) == 1 && s.Units[0].Service == "" && len(services) == 1 {
			s.Units[0].Service, s.Units[0].App = u.Service, u.App // a unit that was given conditions only
			continue
		}
		s.Units = append(s.Units, u)
	}
	b.Stages = append(b.Stages, s)
}

// bench is one engine with one ledger, over several runs.
type bench struct {
	t      *testing.T
	engine *memory.Engine
	book   *book
	runs   int
	opts   runner.Options
}

// inBubble runs a test with its own clock and engine.
func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, engine: memory.New(memory.Options{Images: map[string]memory.Program{image: actor.Main}}), book: &book{}, opts: runner.Options{Key: secrets.NewKey()}}
		defer b.engine.Halt()
		test(t, b)
	})
}

func (b *bench) up(s *stackBuilder) runner.Result {
	b.t.Helper()
	result, err := b.try(s)
	if err != nil {
		b.t.Fatalf("up: %v", err)
	}
	return result
}

func (b *bench) try(s *stackBuilder) (runner.Result, error) {
	b.runs++
	opts := b.opts
	if opts.Engine == nil {
		opts.Engine = b.engine
	}
	opts.Sink, opts.Ledger, opts.Run = b.book, b.book, "run"+string(rune('0'+b.runs))
	return runner.Up(b.t.Context(), &s.Stack, opts)
}

// creates is how many containers were made since the last call.
func (b *bench) containers() []string {
	list, err := b.engine.List(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Name+" "+string(c.State))
	}
	return out
}

func wantDone(t *testing.T, r runner.Result) {
	t.Helper()
	if r.Verdict != events.VerdictDone {
		t.Fatalf("verdict %s, failures %v", r.Verdict, failuresOf(r))
	}
}

func failuresOf(r runner.Result) map[string]string {
	out := map[string]string{}
	for _, f := range r.Failures {
		out[f.Step] = f.Error
	}
	return out
}

var errPlanned = errors.New("planned by the test")

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var mustRegexp = regexp.MustCompile

func logs(t *testing.T, b *bench, name string) string {
	t.Helper()
	synctest.Wait() // what was just started has printed by then
	reader, err := b.engine.Logs(t.Context(), name, containers.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
