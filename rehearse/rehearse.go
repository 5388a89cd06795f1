// Package rehearse proves on a copy of the user's own stack that it may be
// killed anywhere: it kills the runner at each boundary and the helpers in
// the middle of their work, runs again each time, and compares where that
// ends with where an undisturbed run does.
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

// Moment is what has just happened to a step when something is killed.
type Moment string

// The moments at which the runner is killed, and the two of a helper.
const (
	Created  Moment = "created"  // its container is made, not started
	Started  Moment = "started"  // its container runs
	Ended    Moment = "ended"    // it is done, and that is not recorded
	Recorded Moment = "recorded" // that is recorded, and nothing is cleaned up
	// Middle: the helper itself is killed while it works.
	Middle Moment = "middle"
	// Lost: the helper has done its work, and it was lost that it had.
	Lost Moment = "lost"
)

// Boundary is a place where something is killed.
type Boundary struct {
	Step   string `json:"step"`
	Moment Moment `json:"moment"`
}

// String is "STEP MOMENT".
func (b Boundary) String() string { return b.Step + " " + string(b.Moment) }

// Verdict is what came of a kill.
type Verdict string

// The verdicts.
const (
	// Same: the runs after it ended where an undisturbed run ends.
	Same Verdict = "same"
	// NotReached: it happened while something else was being killed, or the
	// step was over before it could be killed.
	NotReached Verdict = "not reached"
	// NotRepeatable: the helper, executed again, failed or left something else behind.
	NotRepeatable Verdict = "not repeatable"
	// Different: another place was reached, or none.
	Different Verdict = "different"
)

// Check is one kill and what came of it.
type Check struct {
	Boundary
	Killed  string  `json:"killed"` // runner or helper
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"`
}

// Report is the result of a rehearsal.
type Report struct {
	Stack  string  `json:"stack"`
	Checks []Check `json:"checks"`
	// NotRepeatable are the IDs of the helpers that must not be executed twice.
	NotRepeatable []string `json:"not_repeatable"`
	// Ignored are files and folders, VOLUME/PATH, that differ between undisturbed runs too.
	Ignored []string `json:"ignored,omitempty"`
	// Runs is how often the runner was started, Kills how often something was killed.
	Runs    int           `json:"runs"`
	Kills   int           `json:"kills"`
	Elapsed time.Duration `json:"elapsed"` // nanoseconds
}

// Good tells whether everything ended in the same place.
func (r Report) Good() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Verdict == Different || c.Verdict == NotRepeatable })
}

// Ledger is what keeps a rehearsal's events.
type Ledger interface {
	events.Sink
	runner.Ledger
	Close() error
}

// Options of a rehearsal. All must be set but Say.
type Options struct {
	// Stack is a copy that shares nothing with the user's: see Isolate. Whatever
	// carries its name on the engine is removed.
	Stack  *stages.Stack
	Engine containers.Engine
	// Ledger opens an empty ledger.
	Ledger func(context.Context) (Ledger, error)
	// Run makes the ID of a new run.
	Run func() string
	// Say is told what goes on, for people.
	Say func(string)
}

// ErrUndisturbed: the stack does not even come up without being disturbed.
var ErrUndisturbed = errors.New("the stack does not come up undisturbed")

// chains is how often runs are killed at all boundaries that are left: some
// are passed by while another step's boundary is at hand.
const chains = 3

// cleanUpLimit bounds taking the copy down at the end.
const cleanUpLimit = 5 * time.Minute

// Run rehearses. Nothing of the copy is left behind, whatever happens, but for
// an engine that does not answer. The error says that engine or ledger broke, that ctx
// ended, or (ErrUndisturbed) that there was nothing to compare with.
func Run(ctx context.Context, o Options) (report Report, err error) {
	walker, ok := o.Engine.(containers.Walker)
	if !ok {
		return report, errors.New("this engine cannot read the files of volumes")
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	r := &rehearsal{Options: o, walker: walker, began: time.Now(), steps: map[string]string{}, took: map[string]time.Duration{}, starts: map[string]int{}, key: secrets.NewKey()}
	r.report.Stack = o.Stack.Name
	for _, s := range plan.Make(o.Stack, plan.Facts{}, time.Now()).Steps {
		r.all = append(r.all, s)
		if s.Container != "" {
			r.steps[s.Container] = s.ID
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
		defer cancel()
		err = errors.Join(err, r.down(ctx, true))
		r.report.Elapsed = time.Since(r.began)
		report = r.report
	}()
	if err := r.references(ctx); err != nil {
		return r.report, err
	}
	if err := r.killRunner(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.killHelpers(ctx)
}

type rehearsal struct {
	Options
	walker containers.Walker
	// key seals what is handed on, in all of its runs.
	key    *secrets.Key
	began  time.Time
	report Report

	all   []*plan.Step
	steps map[string]string // step by container
	// Of the undisturbed runs: where they end, how long each helper takes, and
	// how often each container is started.
	end    ending
	noise  noise
	took   map[string]time.Duration
	starts map[string]int
}

// references runs the stack twice and disturbs nothing.
func (r *rehearsal) references(ctx context.Context) error {
	var ends [2]ending
	for i := range ends {
		r.Say(fmt.Sprintf("undisturbed run %d of %d", i+1, len(ends)))
		p := r.newPass()
		p.measures = true
		var err error
		ends[i], err = r.pass(ctx, p)
		var stuck *stuckError
		if errors.As(err, &stuck) {
			return fmt.Errorf("%w: %w", ErrUndisturbed, err)
		}
		if err != nil {
			return err
		}
		r.took, r.starts = p.took, p.starts
	}
	if said := ends[0].containersDiffer(ends[1]); said != "" {
		return fmt.Errorf("%w twice in the same way: %s", ErrUndisturbed, said)
	}
	r.end, r.noise = ends[1], learn(ends[0].files, ends[1].files)
	for folder := range r.noise {
		r.report.Ignored = append(r.report.Ignored, folder)
	}
	slices.Sort(r.report.Ignored)
	return nil
}

// killRunner kills the runner at every boundary of every step.
func (r *rehearsal) killRunner(ctx context.Context) error {
	checks := map[Boundary]*Check{}
	var order []Boundary
	for _, s := range r.all {
		moments := []Moment{Created, Started, Ended, Recorded}
		if s.Container == "" {
			moments = moments[2:]
		}
		for _, m := range moments {
			b := Boundary{s.ID, m}
			checks[b] = &Check{Boundary: b, Killed: "runner", Verdict: NotReached}
			order = append(order, b)
		}
	}
	defer func() {
		for _, b := range order {
			r.report.Checks = append(r.report.Checks, *checks[b])
		}
	}()
	for chain := range chains {
		left := slices.DeleteFunc(slices.Clone(order), func(b Boundary) bool { return checks[b].Verdict != NotReached })
		if len(left) == 0 {
			break
		}
		r.Say(fmt.Sprintf("killing the runner at %d boundaries, round %d", len(left), chain+1))
		p := r.newPass()
		for _, b := range left {
			p.kill[b] = true
		}
		end, err := r.pass(ctx, p)
		said, err := r.verdict(p, end, err)
		if err != nil {
			return err
		}
		for i, b := range p.killedAt {
			checks[b].Verdict = Same
			// Where a run got stuck, the kill just before is why; where only
			// the end differs, it may be any of them.
			if said != "" && (!p.stuck || i == len(p.killedAt)-1) {
				checks[b].Verdict, checks[b].Detail = Different, "see "+p.killedAt[len(p.killedAt)-1].String()
			}
			if said != "" && i == len(p.killedAt)-1 {
				checks[b].Detail = said
			}
		}
		if said != "" || len(p.killedAt) == 0 {
			break
		}
	}
	return nil
}

// killHelpers kills each helper in the middle of its work, and loses the
// outcome of each once: all in one pass, and each in a pass of its own where
// that did not end well.
func (r *rehearsal) killHelpers(ctx context.Context) error {
	var helpers []string
	for _, s := range r.all {
		if s.Helper() && !r.finally(s) {
			helpers = append(helpers, s.ID)
		}
	}
	if len(helpers) == 0 {
		return nil
	}
	r.Say(fmt.Sprintf("executing %d helpers more than once", len(helpers)))
	said, p, err := r.twice(ctx, helpers)
	if err != nil {
		return err
	}
	if said == "" || len(helpers) == 1 {
		for _, id := range helpers {
			r.judge(id, p, said)
		}
		return nil
	}
	for _, id := range helpers {
		r.Say("executing " + id + " more than once")
		said, p, err := r.twice(ctx, []string{id})
		if err != nil {
			return err
		}
		r.judge(id, p, said)
	}
	return nil
}

func (r *rehearsal) twice(ctx context.Context, helpers []string) (string, *pass, error) {
	p := r.newPass()
	for _, id := range helpers {
		p.twice[id] = true
	}
	end, err := r.pass(ctx, p)
	said, err := r.verdict(p, end, err)
	return said, p, err
}

// judge enters what came of killing one helper.
func (r *rehearsal) judge(id string, p *pass, said string) {
	verdict := Same
	if said != "" {
		verdict = NotRepeatable
		r.report.NotRepeatable = append(r.report.NotRepeatable, id)
	}
	middle := Check{Boundary: Boundary{id, Middle}, Killed: "helper", Verdict: verdict, Detail: said}
	if !p.broken[id] {
		middle.Verdict, middle.Detail = NotReached, "it was over before it could be killed"
	}
	lost := Check{Boundary: Boundary{id, Lost}, Killed: "helper", Verdict: verdict, Detail: said}
	if !p.lost[id] {
		lost.Verdict, lost.Detail = NotReached, "it did not end well a second time"
	}
	r.report.Checks = append(r.report.Checks, middle, lost)
}

func (r *rehearsal) finally(s *plan.Step) bool {
	return slices.ContainsFunc(r.Stack.Stages, func(stage stages.Stage) bool { return stage.Name == s.Stage && stage.Finally })
}

// verdict says in words what is not as it should be at the end of a pass; ""
// when all is. Errors that are no result of the pass are passed on.
func (r *rehearsal) verdict(p *pass, end ending, err error) (string, error) {
	var stuck *stuckError
	if errors.As(err, &stuck) {
		p.stuck = true
		return stuck.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if said := r.end.containersDiffer(end); said != "" {
		return said, nil
	}
	if len(p.twice) == 0 {
		for _, s := range r.all {
			if s.Verb == stages.Run && p.starts[s.ID] > r.starts[s.ID] {
				return fmt.Sprintf("%s was started %d times in place of %d", s.ID, p.starts[s.ID], r.starts[s.ID]), nil
			}
		}
	}
	if said := differences(r.end.files, end.files, r.noise); len(said) > 0 {
		if len(said) > 4 {
			said = append(said[:3], fmt.Sprintf("%d more files", len(said)-3))
		}
		return strings.Join(said, ", "), nil
	}
	return "", nil
}
