package views

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Lines writes a run for people: one aligned line an event, with the time
// since the run's start, and a summary at its end.
type Lines struct {
	// W takes the text.
	W io.Writer
	// Steps are the IDs of the steps to come, so that columns are aligned from the first line on.
	Steps []string
	// After says, by step ID, what the step came after, for its failure.
	After map[string]string
	// Host is where published ports are reached; "" is localhost.
	Host string
	// Command is the command line that runs words on the same stack, for hints;
	// nil puts stagehand before them.
	Command func(words ...string) string
	// Left is what a down leaves or takes beside containers ("4 volumes kept"), for its summary.
	Left string
	// Brief leaves out what comes before the run's end: the summary is enough, or another view
	// shows the rest.
	Brief bool

	mu       sync.Mutex
	width    int
	over     bool // the run's end has been told
	quiet    bool // nothing is to be done: a line a service is enough
	removed  map[string]bool
	started  time.Time
	open     map[string]*openStep
	failures []events.Event
	missed   []events.Event
	serving  []string // step, URLs…
	err      error
}

// openStep is a step that has started and not ended.
type openStep struct {
	id       string
	started  time.Time
	said     time.Time // when its last line was written, by the machine's clock
	cause    string    // why it was started
	state    string    // what it is doing, for the heartbeat
	progress text.Pace
}

// runsAlready is the plan's cause for taking over what runs.
const runsAlready = "runs already"

// shownLines of a failed container's output stand in the stream; the summary has more.
const shownLines = 5

// summaryLines of a failed container's output stand in the summary.
const summaryLines = 20

// progressEvery bounds how often one step's progress is written.
const progressEvery = time.Second

// Heartbeat is how long a step may be silent before a line says that it is still at work.
const Heartbeat = 30 * time.Second

// Emit writes the event's lines.
func (l *Lines) Emit(_ context.Context, e events.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started.IsZero() {
		l.begin(e)
	}
	switch e.Kind {
	case events.RunStarted:
		l.quiet = Idle(e.Plan)
		what := counts(e.Plan)
		switch {
		case e.Verb == "down":
			what = "takes the stack down"
		case e.Cause != "":
			what = e.Cause
		}
		l.line(e.Time, e.Stack, "run", e.Run+": "+what)
		for _, app := range e.Removed {
			l.line(e.Time, app, "removed", "deployed, and in the stack file no more: "+l.command("apps", "remove", app)+" forgets it")
		}
	case events.RunEnded:
		l.over = true
		l.summary(e)
	case events.RunInterrupted:
		l.line(e.Time, e.Stack, "stopping", strings.TrimPrefix(e.Cause, "stopping "))
	case events.StageStarted:
		if l.quiet {
			break
		}
		l.line(e.Time, e.Stage, "stage", "begins: "+e.Verb)
	case events.StageCompleted:
		if l.quiet && e.Error == "" {
			break
		}
		l.line(e.Time, e.Stage, "stage", stageEnd(e))
	case events.StepStarted, events.StepWaiting, events.StepRetrying, events.StepProgress:
		l.goesOn(e)
	case events.StepEnded:
		l.ended(e)
	case events.LeaseAcquired:
		if e.Elapsed > 0 { // who did not wait need not know
			l.line(e.Time, e.Stack, "lease", "acquired, after a wait of "+text.Duration(e.Elapsed))
		}
	case events.LeaseLost:
		l.line(e.Time, e.Stack, "lease", "lost")
	case events.StepStopping: // what comes of it is told
	case events.AppRemoved:
		l.line(e.Time, e.App, "forgotten", text.Joined(": ", e.Cause, plan.Fields(e.Descriptor)))
	case events.StepOutput: // a log is read where it is kept
	case events.HelperDestroyed:
		l.line(e.Time, subject(e), "removed", e.Container)
	case events.ServiceStopped:
		l.removed[e.Container] = true
		l.line(e.Time, subject(e), "stopped", text.Joined(": ", e.Container, text.Joined(", ", text.How(e), stopCause(e))))
	default: // a kind that a newer writer knows
		l.line(e.Time, subject(e), string(e.Kind), text.Joined(": ", e.Cause, e.Error))
	}
	return l.err
}

// stopCause is why a service was stopped, where the run's first line does not say it.
func stopCause(e events.Event) string {
	switch e.Cause {
	case "stop", "restart":
		return ""
	}
	return strings.TrimPrefix(e.Cause, "down")
}

func (l *Lines) begin(e events.Event) {
	l.started, l.open = e.Time, map[string]*openStep{}
	l.removed = map[string]bool{}
	l.width = utf8.RuneCountInString(e.Stack)
	for _, id := range l.Steps {
		l.width = max(l.width, utf8.RuneCountInString(id))
	}
}

// goesOn is any event of a step that has not ended.
func (l *Lines) goesOn(e events.Event) {
	step := l.open[e.Step]
	if step == nil {
		step = &openStep{id: e.Step, started: e.Time}
		l.open[e.Step] = step
	}
	now := time.Now()
	switch e.Kind {
	case events.StepStarted:
		step.state, step.progress, step.cause = "running", text.Pace{}, e.Cause
		if e.Cause == runsAlready && e.Verb == "start" {
			break // its end says that; what it waits for is said
		}
		why := e.Cause
		if e.Attempt > 1 { // its cause, how the one before failed, has just been told
			why = attempt(e)
		}
		detail := text.Joined(": ", e.Container, why)
		word := "started"
		if e.Cause == runsAlready {
			word = "running"
		}
		l.line(e.Time, e.Step, word, detail)
	case events.StepWaiting:
		step.state = "waiting for " + e.Cause
		l.line(e.Time, e.Step, "waiting", e.Cause)
	case events.StepRetrying:
		step.state = "waiting to try again"
		l.line(e.Time, e.Step, "retrying", text.Joined(": ", attempt(e), text.Joined(", ", text.How(e), e.Cause)))
		l.output(e.Logs, shownLines)
	case events.StepProgress:
		if e.Progress == nil {
			return
		}
		step.state = text.Joined(", ", text.Progress(*e.Progress), text.Left(step.progress.Add(*e.Progress, e.Time)))
		finished := e.Progress.Total > 0 && e.Progress.Done >= e.Progress.Total
		if now.Sub(step.said) < progressEvery && !finished {
			return
		}
		l.line(e.Time, e.Step, "progress", step.state)
	}
	step.said = now
}

func (l *Lines) ended(e events.Event) {
	if step := l.open[e.Step]; step != nil && e.Outcome == events.Adopted {
		e.Cause = step.cause
	}
	delete(l.open, e.Step)
	switch {
	case e.Outcome == events.Skipped && e.Error != "":
		l.missed = append(l.missed, e)
		word, reason := "missed", strings.TrimPrefix(e.Error, "not reached: ")
		if rest, ok := strings.CutPrefix(e.Error, "stopped: "); ok {
			word, reason = "stopped", rest
		}
		l.line(e.Time, e.Step, word, text.Joined(", ", reason, text.Exit(e)))
	case e.Outcome.OK():
		l.serves(e)
		if l.quiet && e.Outcome != events.Done {
			break
		}
		word, cause := string(e.Outcome), e.Cause
		if by, ok := strings.CutPrefix(cause, "recorded "); ok && e.Outcome == events.Skipped {
			word, cause = "recorded", by
		}
		if e.Outcome == events.Done {
			cause = "" // why it ran was said when it started
		}
		l.line(e.Time, e.Step, word, text.Joined(", ", cause, endedAfter(e), strings.Join(links(e.Addresses, l.Host), " ")))
	default:
		l.failures = append(l.failures, e)
		word := "failed"
		if e.Outcome == events.TimedOut {
			word = "timed out"
		}
		l.line(e.Time, e.Step, word, text.Joined(", ", endedAfter(e), attempt(e)))
		l.output(e.Logs, shownLines)
	}
}

// endedAfter is "exit 3 after 2.1s", or "it said why, after 2.1s".
func endedAfter(e events.Event) string {
	if e.Elapsed <= 0 {
		return text.How(e)
	}
	separator := ", "
	if e.ExitCode != nil && text.How(e) == text.Exit(e) {
		separator = " "
	}
	return text.Joined(separator, text.How(e), "after "+text.Duration(e.Elapsed))
}

// serves notes where a service is reached.
func (l *Lines) serves(e events.Event) {
	switch {
	case len(e.Addresses) > 0:
		l.serving = append(l.serving, e.Step+"\t"+strings.Join(links(e.Addresses, l.Host), " "))
	case l.quiet && e.Verb == "start":
		l.serving = append(l.serving, e.Step+"\truns, no port published")
	}
}

// Beat writes a line for each step that has been silent for every, until ctx
// is done. It is to run beside the run that emits.
func (l *Lines) Beat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(max(every/10, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.beat(every)
		}
	}
}

func (l *Lines) beat(every time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(l.open)) {
		if step := l.open[id]; now.Sub(step.said) >= every {
			step.said = now
			l.line(now, id, "still", fmt.Sprintf("%s, for %s", step.state, text.Duration(now.Sub(step.started))))
		}
	}
}

func (l *Lines) line(at time.Time, subject, word, detail string) {
	if l.Brief && !l.over {
		return
	}
	l.width = max(l.width, utf8.RuneCountInString(subject))
	pad := strings.Repeat(" ", l.width-utf8.RuneCountInString(subject))
	l.print(strings.TrimRight(fmt.Sprintf("%8s  %s%s  %-9s  %s", text.Clock(at.Sub(l.started)), subject, pad, word, text.Clean(detail)), " "))
}

func (l *Lines) print(text string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.W, text+"\n")
	}
}

// output writes the last lines that a container printed, indented.
func (l *Lines) output(logs []string, most int) {
	if l.Brief && !l.over {
		return
	}
	for _, line := range text.Tail(logs, most) {
		l.print(strings.TrimRight("            | "+text.Clean(line), " "))
	}
}

func stageEnd(e events.Event) string {
	said := "completed"
	if e.Error != "" {
		said = "ended: " + e.Error
	}
	return said + ", after " + text.Duration(e.Elapsed)
}

// subject is what an event is about, as near as it says.
func subject(e events.Event) string {
	for _, name := range []string{e.Step, e.Stage, e.Service} {
		if name != "" {
			return name
		}
	}
	return e.Stack
}

// attempt is named from the second on.
func attempt(e events.Event) string {
	if e.Attempt < 2 {
		return ""
	}
	return fmt.Sprintf("attempt %d", e.Attempt)
}

// todo are the words for what is planned, by action, the work first.
var todo = []struct{ action, one, many string }{
	{"create", "to create", "to create"},
	{"recreate", "to make anew", "to make anew"},
	{"start", "to start again", "to start again"},
	{"wait", "to wait for", "to wait for"},
	{"call", "to call", "to call"},
	{"adopt", "runs already", "run already"},
	{"skip", "recorded as done", "recorded as done"},
}

// counts is "12 steps: 7 run already, 5 recorded as done, nothing new to do".
func counts(counted map[string]int) string {
	total := 0
	var parts []string
	rest := maps.Clone(counted)
	if n := rest[plan.Removals]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d to remove first", n))
		delete(rest, plan.Removals)
	}
	for _, t := range todo {
		n := counted[t.action]
		delete(rest, t.action)
		total += n
		switch {
		case n == 1:
			parts = append(parts, "1 "+t.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, t.many))
		}
	}
	for _, action := range slices.Sorted(maps.Keys(rest)) { // those that a newer writer knows
		total += rest[action]
		parts = append(parts, fmt.Sprintf("%d %s", rest[action], action))
	}
	if Idle(counted) {
		parts = append(parts, "nothing new to do")
	}
	return text.Joined(": ", text.Plural(total, "step"), strings.Join(parts, ", "))
}

// Idle tells whether all that a plan has is there already.
func Idle(plan map[string]int) bool {
	there := plan["adopt"] + plan["skip"]
	for _, n := range plan {
		there -= n
	}
	return len(plan) > 0 && there == 0
}
