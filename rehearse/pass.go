package rehearse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/sleep"
	"github.com/stagehand-dev/stagehand/stages"
)

// pass takes the copy from nothing to serving, with kills on the way, in as
// many runs as that needs.
type pass struct {
	r      *rehearsal
	ledger Ledger
	// kill holds the boundaries at which the runner is still to be killed, twice
	// the helpers that are to be killed and whose outcome is to be lost.
	kill  map[Boundary]bool
	twice map[string]bool

	mu sync.Mutex
	// killedAt are the boundaries at which the runner was killed, in order.
	killedAt []Boundary
	// broken are the helpers that were killed, lost those whose outcome was lost.
	broken, lost map[string]bool
	// losing is the helper to remove before the next run.
	losing string
	// killing owns the kills of helpers that are under way.
	killing errgroup.Group
	kills   int
	starts  map[string]int
	// measures: took is wanted, how long each helper's container ran.
	measures bool
	took     map[string]time.Duration
	stuck    bool
}

func (r *rehearsal) newPass() *pass {
	return &pass{
		r: r, kill: map[Boundary]bool{}, twice: map[string]bool{}, broken: map[string]bool{}, lost: map[string]bool{},
		starts: map[string]int{}, took: map[string]time.Duration{},
	}
}

// ending is where a pass ends: its services, name to spec and state, and the
// files of its volumes.
type ending struct {
	containers map[string]string
	files      contents
}

// containersDiffer says in words which containers are not as in the other ending.
func (e ending) containersDiffer(other ending) string {
	var out []string
	for name, want := range e.containers {
		if got := other.containers[name]; got != want {
			out = append(out, fmt.Sprintf("container %s is %s in place of %s", name, orNone(got), want))
		}
	}
	for name, got := range other.containers {
		if _, known := e.containers[name]; !known {
			out = append(out, fmt.Sprintf("container %s is %s in place of none", name, got))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// stuckError is a run that failed although nothing was killed in it.
type stuckError struct{ text string }

func (e *stuckError) Error() string { return e.text }

// pass runs until a run comes to its end, and takes the copy down again.
func (r *rehearsal) pass(ctx context.Context, p *pass) (end ending, err error) {
	if err := r.down(ctx, true); err != nil {
		return end, err
	}
	if p.ledger, err = r.Ledger(ctx); err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, p.ledger.Close()) }()
	for ctx.Err() == nil {
		done, err := p.run(ctx)
		if err != nil {
			return end, err
		}
		if done {
			break
		}
	}
	if ctx.Err() != nil {
		return end, context.Cause(ctx)
	}
	left, err := runner.Plan(ctx, r.Stack, r.Engine, p.ledger, r.key, runner.Wish{})
	if err != nil {
		return end, err
	}
	for _, s := range left.Steps {
		if s.Action != plan.Skip && s.Action != plan.Adopt && !r.finally(s) {
			return end, &stuckError{fmt.Sprintf("the stack is up, and yet %s is to be done again: %s", s.ID, s.Cause)}
		}
	}
	if end.containers, err = r.standing(ctx); err != nil {
		return end, err
	}
	if err := r.down(ctx, false); err != nil {
		return end, err
	}
	end.files, err = read(ctx, r.Engine, r.walker, r.Stack)
	return end, err
}

// run is one run of the runner; done tells that the stack is up.
func (p *pass) run(ctx context.Context) (done bool, err error) {
	r := p.r
	r.report.Runs++
	before := p.kills
	m := newMortal(r.Engine, p.ledger, r.steps, func(b Boundary) bool { return p.reached(ctx, b) })
	result, err := runner.Up(ctx, r.Stack, runner.Options{
		Engine: m.engine, Sink: m, Ledger: m, Run: r.Run(), OnFailure: stages.KeepUp, Key: r.key,
	})
	m.die()
	if broken := p.killing.Wait(); broken != nil && ctx.Err() == nil {
		return false, broken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	killed := p.kills - before
	r.report.Kills += killed
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case m.killed():
		losing := p.losing
		p.losing = ""
		if losing == "" {
			return false, nil
		}
		return false, r.Engine.Destroy(ctx, losing)
	case err != nil:
		return false, err
	case result.Verdict == events.VerdictDone:
		return true, nil
	case killed > 0:
		return false, nil
	}
	return false, &stuckError{failureText(result)}
}

func failureText(result runner.Result) string {
	var said []string
	for _, f := range result.Failures {
		text := f.Step + " failed: " + f.Error
		if n := len(f.Logs); n > 0 {
			text += " (" + f.Logs[n-1] + ")"
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return "the run ended " + string(result.Verdict)
	}
	return strings.Join(said, ", ")
}

// reached decides whether the runner is killed at a boundary, and kills
// helpers.
func (p *pass) reached(ctx context.Context, b Boundary) bool {
	var took time.Duration
	if p.measures && b.Moment == Ended {
		if status, err := p.r.Engine.Status(ctx, p.r.container(b.Step)); err == nil && status.Ended() {
			took = status.Finished.Sub(status.Started)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[b.Step] = max(took, p.took[b.Step])
	if b.Moment == Started {
		p.starts[b.Step]++
		if p.twice[b.Step] && p.starts[b.Step] == 1 {
			p.killing.Go(func() error { return p.killHelper(ctx, b.Step) })
		}
	}
	switch {
	case p.kill[b]:
		delete(p.kill, b)
		p.killedAt = append(p.killedAt, b)
	case b.Moment == Ended && p.twice[b.Step] && !p.lost[b.Step]:
		p.lost[b.Step] = true
		p.losing = p.r.container(b.Step)
	default:
		return false
	}
	p.kills++
	return true
}

// killHelper kills a helper when a third of the time that it takes is over: we
// hear of its start late.
func (p *pass) killHelper(ctx context.Context, step string) error {
	if sleep.For(ctx, p.r.took[step]/3) != nil {
		return nil
	}
	name := p.r.container(step)
	before, err := p.r.Engine.Status(ctx, name)
	if errors.Is(err, containers.ErrNotFound) || err == nil && !before.Running() {
		return nil
	}
	if err != nil {
		return err
	}
	status, err := p.r.Engine.Stop(ctx, name, 0)
	if errors.Is(err, containers.ErrNotFound) {
		return nil
	}
	if err == nil && status.Ended() && status.ExitCode == 137 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.broken[step] = true
		p.kills++
	}
	return err
}

func (r *rehearsal) container(step string) string {
	for name, id := range r.steps {
		if id == step {
			return name
		}
	}
	return ""
}

// standing are the copy's containers.
func (r *rehearsal) standing(ctx context.Context) (map[string]string, error) {
	list, err := r.Engine.List(ctx, map[string]string{containers.LabelStack: r.Stack.Name})
	found := map[string]string{}
	for _, s := range list {
		if !containers.Aside(s.Labels) {
			spec := s.Labels[containers.LabelSpec]
			found[s.Name] = fmt.Sprintf("%s with spec %.8s", s.State, spec)
		}
	}
	return found, err
}

// down takes the copy down, its volumes where asked.
func (r *rehearsal) down(ctx context.Context, volumes bool) error {
	err := runner.Down(ctx, runner.DownOptions{
		Stack: r.Stack.Name, Engine: r.Engine, Sink: nowhere{}, Ledger: nowhere{}, Run: r.Run(), Volumes: volumes, Order: r.Stack,
	})
	if err != nil {
		return fmt.Errorf("taking the rehearsal down: %w", err)
	}
	return nil
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Emit(context.Context, events.Event) error { return nil }
func (nowhere) Recorded(context.Context, string, string) (map[string]events.Event, error) {
	return nil, nil
}
func (nowhere) Holders(context.Context, string, string) (map[string]events.Event, error) {
	return nil, nil
}
func (nowhere) Stops(context.Context, string, string) (map[string]events.Event, error) {
	return nil, nil
}
func (nowhere) Apps(context.Context, string, string) (map[string]events.App, error) {
	return nil, nil
}
func (nowhere) Forget(context.Context, string, string, ...string) error { return nil }
