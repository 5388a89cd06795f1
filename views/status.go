package views

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Report is where a stack stands: its latest run, step by step, held against
// the containers that there are now.
type Report struct {
	Stack   string    `json:"stack"`
	Run     string    `json:"run,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Verdict is empty while no end is recorded: the run goes on, or its
	// process was killed.
	Verdict events.Verdict `json:"verdict,omitempty"`
	Error   string         `json:"error,omitempty"`
	// TakenDown is when a later run took the stack down; zero if none did.
	TakenDown time.Time `json:"taken_down,omitzero"`
	// Lease is who is at work on the stack now; nil when nobody is.
	Lease *containers.Holder `json:"lease,omitempty"`
	Steps []StepStatus       `json:"steps"`
	// Unobserved is why containers are not shown; empty when they are.
	Unobserved string `json:"unobserved,omitempty"`
}

// StepStatus is where a step stands.
type StepStatus struct {
	Step    string `json:"step"`
	Stage   string `json:"stage,omitempty"`
	App     string `json:"app,omitempty"`
	Service string `json:"service,omitempty"`
	// State is pending, running, waiting, retrying, not_reached, stopped (before its end,
	// as something else failed), recorded (as done by an earlier run), or the outcome:
	// done, failed, timed_out, skipped, adopted.
	State string `json:"state"`
	// Since is when it entered the state; Elapsed, of a step that ended, how long it took.
	Since   time.Time     `json:"since,omitzero"`
	Elapsed time.Duration `json:"elapsed,omitempty"` // nanoseconds
	Attempt int           `json:"attempt,omitempty"`
	// Detail is the cause, the error, or what a wait saw last.
	Detail   string           `json:"detail,omitempty"`
	ExitCode *int             `json:"exit_code,omitempty"`
	Progress *events.Progress `json:"progress,omitempty"`
	pace     text.Pace
	left     string // "about 3m05s left", of the last progress
	// Container is the step's; Now is its state on the engine, "gone" when
	// there is none, empty for steps without a container.
	Container string            `json:"container,omitempty"`
	Now       string            `json:"now,omitempty"`
	Health    containers.Health `json:"health,omitempty"`
}

// Status makes the report. run are the events of the stack's latest run,
// steps those of the stack file in its order (may be empty), observed the
// stack's containers.
func Status(stack string, run []events.Event, steps []*plan.Step, observed []containers.Status) Report {
	report := Report{Stack: stack, Steps: []StepStatus{}}
	index := map[string]int{}
	at := func(id string) *StepStatus {
		if i, ok := index[id]; ok {
			return &report.Steps[i]
		}
		index[id] = len(report.Steps)
		report.Steps = append(report.Steps, StepStatus{Step: id, State: "pending"})
		return &report.Steps[len(report.Steps)-1]
	}
	for _, s := range steps {
		*at(s.ID) = StepStatus{Step: s.ID, Stage: s.Stage, App: s.App, Service: s.Service, State: "pending", Container: s.Container}
	}
	for _, e := range run {
		report.Run = e.Run
		switch e.Kind {
		case events.RunStarted:
			report.Started = e.Time
			for _, settled := range e.Settled {
				// As the end of the step would tell it, which is not kept: see ledger.News.
				at(settled.Step).apply(events.Event{Kind: events.StepEnded, Time: e.Time, Outcome: settled.Outcome, Cause: settled.Cause})
			}
		case events.RunEnded:
			report.Ended, report.Verdict, report.Error = e.Time, e.Verdict, e.Error
		case events.StepStarted, events.StepWaiting, events.StepRetrying, events.StepProgress, events.StepEnded:
			at(e.Step).apply(e)
		}
	}
	now := map[string]containers.Status{}
	for _, c := range observed {
		now[c.Name] = c
		if i, ok := index[c.Labels[containers.LabelStep]]; ok && report.Steps[i].Container == "" {
			s := &report.Steps[i] // known from run.started only, which names no container
			s.Container, s.Stage = c.Name, cmp.Or(s.Stage, c.Labels[containers.LabelStage])
			s.App, s.Service = cmp.Or(s.App, c.Labels[containers.LabelApp]), cmp.Or(s.Service, containers.InstanceOf(c.Labels))
		}
	}
	for i := range report.Steps {
		s := &report.Steps[i]
		c, there := now[s.Container]
		switch {
		case s.Container == "" || s.State == "pending" && !there:
		case !there:
			s.Now = "gone"
		case c.Ended():
			s.Now = "exited, " + c.Verdict()
		default:
			s.Now, s.Health = string(c.State), c.Health
		}
		if there && s.State == "pending" && containers.MadeByCompose(c.Labels) {
			s.Detail = "made by docker compose"
		}
	}
	return report
}

// apply takes in what an event says of the step.
func (s *StepStatus) apply(e events.Event) {
	s.Stage, s.App, s.Service = cmp.Or(e.Stage, s.Stage), cmp.Or(e.App, s.App), cmp.Or(e.Service, s.Service)
	s.Container = cmp.Or(e.Container, s.Container)
	s.Attempt = max(s.Attempt, e.Attempt)
	if e.Progress != nil {
		s.Progress, s.left = e.Progress, text.Left(s.pace.Add(*e.Progress, e.Time))
	}
	state, detail := s.State, s.Detail
	switch e.Kind {
	case events.StepStarted:
		state, detail, s.Progress, s.pace = "running", e.Cause, nil, text.Pace{}
		if e.Verb == "await" {
			state = "waiting"
		}
	case events.StepWaiting:
		state, detail = "waiting", e.Cause
	case events.StepRetrying:
		state, detail = "retrying", text.Joined(", ", text.How(e), e.Cause)
	case events.StepEnded:
		state, detail = string(e.Outcome), cmp.Or(text.How(e), e.Cause)
		s.ExitCode, s.Elapsed = e.ExitCode, e.Elapsed
		if e.Outcome == events.Skipped && e.Error != "" {
			state, detail = "not_reached", strings.TrimPrefix(e.Error, "not reached: ")
			if why, ok := strings.CutPrefix(e.Error, "stopped: "); ok {
				state, detail = "stopped", text.Joined(", ", why, text.Exit(e))
			}
		} else if by, ok := strings.CutPrefix(detail, "recorded "); ok && e.Outcome == events.Skipped {
			state, detail = "recorded", by
		}
	}
	if state != s.State {
		s.Since = e.Time
	}
	s.State, s.Detail = state, detail
}

// Table is the report for people; now is the time to count from.
func (r Report) Table(now time.Time) string {
	var b strings.Builder
	switch {
	case r.Run == "" && len(r.Steps) == 0:
		return fmt.Sprintf("%s: no run is recorded\n", r.Stack)
	case r.Run == "":
		fmt.Fprintf(&b, "%s: no run is recorded\n\n", r.Stack)
	case r.Verdict == "":
		fmt.Fprintf(&b, "%s: run %s began %s ago\n  no end is recorded: it goes on, or its process was killed\n\n", r.Stack, r.Run, text.Duration(now.Sub(r.Started)))
	default:
		fmt.Fprintf(&b, "%s: run %s %s %s ago, after %s\n", r.Stack, r.Run, verdictWord(r.Verdict), text.Duration(now.Sub(r.Ended)), text.Duration(r.Ended.Sub(r.Started)))
		if r.Error != "" {
			fmt.Fprintf(&b, "  %s\n", text.Clean(r.Error))
		}
		if !r.TakenDown.IsZero() {
			fmt.Fprintf(&b, "  and was taken down %s ago\n", text.Duration(now.Sub(r.TakenDown)))
		}
		b.WriteByte('\n')
	}
	if r.Lease != nil {
		fmt.Fprintf(&b, "being worked on by %s, for %s\n\n", text.Clean(r.Lease.String()), text.Duration(r.Lease.Age(now)))
	}
	rows := [][]string{{"STEP", "STATE", "FOR", "CONTAINER", "DETAIL"}}
	for _, s := range r.Steps {
		rows = append(rows, s.row(r, now))
	}
	b.WriteString(text.Wrapped(rows))
	if r.Unobserved != "" {
		fmt.Fprintf(&b, "\ncontainers are not shown: %s\n", text.Clean(r.Unobserved))
	}
	return b.String()
}

func (s StepStatus) row(r Report, now time.Time) []string {
	took := "-"
	switch {
	case slices.Contains([]string{"running", "waiting", "retrying"}, s.State):
		until := now
		if !r.Ended.IsZero() {
			until = r.Ended
		}
		took = text.Duration(until.Sub(s.Since))
	case s.Elapsed > 0 && s.State != "recorded":
		took = text.Duration(s.Elapsed)
	}
	container := cmp.Or(s.Now, "-")
	if s.Health != containers.HealthNone {
		container = string(s.Health)
	}
	container, _, _ = strings.Cut(container, ",") // how it ended stands in the detail
	if container == "gone" && !s.stays() {
		container = "-" // as it should be
	}
	detail := s.Detail
	switch {
	case (s.State == "running" || s.State == "waiting") && s.Progress != nil:
		detail = text.Joined(", ", text.Progress(*s.Progress), s.left)
	case s.State == string(events.Done) && s.ExitCode != nil && *s.ExitCode == 0:
		detail = "" // as everybody expects of what is done
	case strings.HasPrefix(s.Now, "exited") && (s.State == string(events.Done) || s.State == string(events.Adopted)):
		detail = text.Joined(", ", detail, "now "+s.Now)
	}
	if s.State == string(events.Adopted) && detail == "" {
		detail = "ran already"
	}
	if s.Attempt > 1 {
		detail = text.Joined(", ", detail, fmt.Sprintf("attempt %d", s.Attempt))
	}
	return []string{s.Step, strings.ReplaceAll(s.State, "_", " "), took, container, text.Clean(detail)}
}

// stays tells whether there should be a container of the step now.
func (s StepStatus) stays() bool {
	return s.ExitCode == nil && slices.Contains([]string{"done", "adopted", "running", "waiting"}, s.State)
}

func verdictWord(v events.Verdict) string {
	if v == events.VerdictInterrupted {
		return "was interrupted"
	}
	return string(v)
}

// Unobserve takes back what the report says of containers: the engine could
// not be asked, and err says why.
func (r *Report) Unobserve(err error) {
	r.Unobserved = err.Error()
	for i := range r.Steps {
		r.Steps[i].Now, r.Steps[i].Health = "", containers.HealthNone
	}
}
