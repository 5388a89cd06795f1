// Package live shows a run on a terminal while it goes on: its stages from top to bottom, and
// in those that are open what each step does or waits for. Run is the model, events in and
// frames out, and knows no terminal and no clock; View puts its frames on one.
package live

import (
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Run is a run as far as its events have told it. The zero value is one of which nothing is
// known; it is not safe for concurrent use.
type Run struct {
	// Hint says what Ctrl-C does, for as long as there is room to say it; "" says nothing.
	Hint string

	stack, verb  string
	began, ended time.Time
	// idle: the plan has found nothing to do.
	idle bool
	// interrupted is what an interrupt stops; "" while there was none.
	interrupted string
	notes       []string
	stages      []*stage
	byName      map[string]*stage
	byID        map[string]*step
}

// NewRun is a run of which the steps to come are known, in their order.
func NewRun(steps []*plan.Step) *Run {
	r := &Run{}
	for _, s := range steps {
		r.step(events.Event{Step: s.ID, Stage: s.Stage, Verb: string(s.Verb)})
	}
	return r
}

// stage is what one stage has come to.
type stage struct {
	name  string
	verb  string
	steps []*step
	began time.Time
	took  time.Duration // of one that is completed
	wide  int           // the width of its steps' names
}

// state is where a step stands.
type state int

// The states, the most urgent first.
const (
	failed state = iota
	stopping
	retrying
	running
	waiting
	pending
	missed // not reached, or stopped before its end
	done
	adopted
	recorded
)

// words are the states as stages count them.
var words = [...]string{"failed", "stopping", "trying again", "running", "waiting", "to come", "not reached", "done", "ran already", "done before"}

// open tells whether the step is at work.
func (s state) open() bool { return s >= stopping && s <= waiting }

// good tells whether the step ended as it should.
func (s state) good() bool { return s >= done }

// step is what one step has come to.
type step struct {
	id      string
	short   string // within its stage
	state   state
	began   time.Time
	took    time.Duration
	attempt int
	// detail is the condition and what it saw last, why it failed, or why it is tried again.
	detail string
	// said is the last line that it printed.
	said string

	progress *events.Progress
	pace     text.Pace
	// end is when the work would be done at its pace; zero while that is not known.
	end time.Time
}

// step finds the event's step, or takes it up.
func (r *Run) step(e events.Event) *step {
	if s := r.byID[e.Step]; s != nil {
		return s
	}
	if r.byID == nil {
		r.byID, r.byName = map[string]*step{}, map[string]*stage{}
	}
	name := e.Stage
	if name == "" {
		name, _, _ = strings.Cut(e.Step, "/")
	}
	st := r.stage(name)
	if e.Verb != "" {
		st.verb = e.Verb
	}
	s := &step{id: e.Step, short: strings.TrimPrefix(e.Step, name+"/"), state: pending}
	st.steps = append(st.steps, s)
	st.wide = max(st.wide, ansi.StringWidth(text.Clean(s.short)))
	r.byID[e.Step] = s
	return s
}

func (r *Run) stage(name string) *stage {
	if s := r.byName[name]; s != nil {
		return s
	}
	if r.byName == nil {
		r.byID, r.byName = map[string]*step{}, map[string]*stage{}
	}
	s := &stage{name: name}
	r.stages = append(r.stages, s)
	r.byName[name] = s
	return s
}

// Note takes in what is said beside the run's events: the last one is shown while it goes on,
// all of them when it has ended.
func (r *Run) Note(text string) { r.notes = append(r.notes, text) }

// Apply takes in what has happened.
func (r *Run) Apply(e events.Event) {
	if r.began.IsZero() {
		r.began, r.stack = e.Time, e.Stack
	}
	switch e.Kind {
	case events.RunStarted:
		r.verb, r.idle = e.Verb, views.Idle(e.Plan)
		for _, s := range e.Settled {
			known := r.byID[s.Step]
			if known == nil {
				continue
			}
			known.state = recorded
			if s.Outcome == events.Adopted {
				known.state = adopted
			}
		}
	case events.RunEnded:
		r.ended = e.Time
	case events.RunInterrupted:
		r.interrupted = "interrupted: " + e.Cause
	case events.StageStarted:
		r.stage(e.Stage).began = e.Time
	case events.StageCompleted:
		r.stage(e.Stage).took = e.Elapsed
	case events.StepStarted, events.StepWaiting, events.StepProgress, events.StepOutput, events.StepRetrying, events.StepStopping, events.StepEnded:
		if e.Step != "" {
			r.step(e).apply(e)
		}
	}
}

func (s *step) apply(e events.Event) {
	s.attempt = max(s.attempt, e.Attempt)
	if s.began.IsZero() {
		s.began = e.Time
	}
	switch e.Kind {
	case events.StepStarted:
		s.state, s.detail, s.said, s.progress, s.pace, s.end = running, "", "", nil, text.Pace{}, time.Time{}
		if e.Verb == "await" {
			s.state = waiting
		}
	case events.StepWaiting:
		s.state, s.detail = waiting, e.Cause
		s.forgetText()
	case events.StepProgress:
		if e.Progress == nil {
			return
		}
		s.progress, s.end = e.Progress, time.Time{}
		if left := s.pace.Add(*e.Progress, e.Time); left > 0 {
			s.end = e.Time.Add(left)
		}
	case events.StepOutput:
		s.said = last(e.Logs, s.said)
		s.forgetText()
	case events.StepRetrying:
		s.state, s.detail = retrying, text.Joined(", ", text.How(e), e.Cause)
		s.said, s.progress = last(e.Logs, s.said), nil
	case events.StepStopping:
		s.state, s.detail = stopping, strings.TrimPrefix(e.Cause, "stopped: ")
	case events.StepEnded:
		s.ended(e)
	}
}

// forgetText forgets progress that was no more than a text (pulling an image): it is over
// when something else is told.
func (s *step) forgetText() {
	if s.progress != nil && text.Amount(*s.progress) == "" {
		s.progress = nil
	}
}

func (s *step) ended(e events.Event) {
	s.took, s.progress = e.Elapsed, nil
	switch {
	case e.Outcome == events.Skipped && e.Error != "":
		s.state, s.detail = missed, strings.TrimPrefix(strings.TrimPrefix(e.Error, "not reached: "), "stopped: ")
	case e.Outcome == events.Skipped:
		s.state, s.detail, s.said = recorded, "", ""
	case e.Outcome == events.Adopted:
		s.state, s.detail, s.said = adopted, "", ""
	case e.Outcome.OK():
		s.state, s.detail, s.said = done, "", ""
	default:
		s.state, s.detail = failed, text.How(e)
		if e.Outcome == events.TimedOut && !strings.HasPrefix(s.detail, "timed out") {
			s.detail = text.Joined(", ", "timed out", s.detail)
		}
		s.said = last(e.Logs, s.said)
	}
}

func last(lines []string, otherwise string) string {
	if len(lines) == 0 {
		return otherwise
	}
	return lines[len(lines)-1]
}

// count is how many steps stand in each state.
func (s *stage) count() (n [len(words)]int) {
	for _, step := range s.steps {
		n[step.state]++
	}
	return n
}

// state is the stage's as a whole: the most urgent of what is under way, or how it ended.
func (s *stage) state() state {
	n := s.count()
	ended, total := 0, len(s.steps)
	for st := range n {
		switch {
		case n[st] == 0:
		case state(st) == failed || state(st).open():
			return state(st)
		case state(st) != pending:
			ended += n[st]
		}
	}
	switch {
	case ended == 0:
		return pending
	case ended < total:
		return running // its other steps wait for something
	case n[missed] > 0:
		return missed
	case n[recorded] == total:
		return recorded
	case n[adopted]+n[recorded] == total:
		return adopted
	}
	return done
}
