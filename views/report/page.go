package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

const (
	// shownFailures are shown at the top with their last lines, failureLines each; the others
	// by name.
	shownFailures = 20
	failureLines  = 20
	// A stage of more than wholeRows steps shows those that failed or are on the critical path, at
	// most shownRows; the others fold away.
	wholeRows = 12
	shownRows = 40
	// longest is how many characters are shown of a text that a step brings along, least how
	// many at the least where there are many steps that share allTexts.
	longest  = 400
	least    = 100
	allTexts = 100_000
)

// page is what the template shows. All texts are plain; the template escapes them.
type page struct {
	CSS template.CSS
	JS  template.JS

	// Stream and Home are the report's; List is of a page that lists runs.
	Stream, Home string
	IsList       bool
	List         []stackRuns
	Standing     []Standing
	Unseen       string

	Title, Stack string
	State, Tone  string
	Error        string
	Facts        []fact
	Failures     []failure
	// MoreFailures are those that are not shown.
	MoreFailures []*step
	Shares       []share
	Path         []*step
	Ticks        []tick
	Stages       []*stage
	Steps        int
	Drawing      drawing
	Commands     []fact
}

// fact is a name and what there is to say about it.
type fact struct{ Name, Value string }

type failure struct {
	*step
	How string
	Log *log
	// Missed were stopped or not reached because of it.
	Missed []string
}

// share is a stage's part of the critical path.
type share struct {
	Stage   string // "" of stagehand itself
	Steps   []*step
	Took    string
	Percent float64
}

// tick is a mark on the axis of time.
type tick struct {
	Left  float64 // percent
	Label string
}

type stage struct {
	Name, Verb string
	// Shown are the rows that stand there, Folded those that fold away.
	Shown, Folded []*step
	Bar           []bar
	Took, Count   string
	Tone          string
}

// bar is a span of time, in percent of the run's.
type bar struct {
	Left, Width float64
	Tone        string
}

// step is a row of the timeline and what it opens.
type step struct {
	*timeline.Row
	// N numbers the steps, for links.
	N           int
	State, Tone string
	Bars        []bar
	Span        string
	How         string
	Facts       []fact
	Before      *step // whose end let it begin
	Tries       []*try
	Log         *log
	whole       string // of How
	waits       []string
	waited      int
}

// try is an attempt that another one followed.
type try struct {
	Name, How string
	Log       *log
}

// Key is by what a filter finds the step.
func (s *step) Key() string { return strings.ToLower(s.Step + " " + s.State) }

// clip is words in one line of at most so many characters.
func clip(words string, most int) string {
	words = text.Clean(words)
	if runes := []rune(words); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return words
}

// short is what of a step's text has room.
func (m *maker) short(words string) string {
	return clip(words, min(longest, max(least, allTexts/max(len(m.steps), 1))))
}

// maker makes a page.
type maker struct {
	Report
	run   *timeline.Run
	steps []*step
	by    map[string]*step
}

func (r Report) page() *page {
	if r.Command == nil {
		r.Command = func(words ...string) string { return "stagehand " + strings.Join(words, " ") }
	}
	m := &maker{Report: r, run: timeline.Of(r.Run), by: map[string]*step{}}
	for i, row := range m.run.Rows {
		s := &step{Row: row, N: i + 1, State: row.State(), Tone: tone(row)}
		if r.Goes && row.Outcome == "" && !row.Started.IsZero() {
			s.State, s.Tone = goesOn()
		}
		m.steps = append(m.steps, s)
		m.by[row.Step] = s
	}
	for _, e := range r.Run {
		if s := m.by[e.Step]; s != nil {
			m.take(s, e)
		}
	}
	for _, s := range m.steps {
		m.complete(s)
	}
	p := &page{
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), //nolint:gosec // our own files, not anybody's input
		Stream: r.Stream, Home: r.Home,
		Title: text.Clean(m.run.Title()), Stack: text.Clean(m.run.Stack), Error: text.Clean(m.run.Error), Steps: len(m.steps),
		Ticks: ticks(m.run.Took()), Stages: m.stages(), Shares: m.shares(), Commands: m.commands(),
	}
	p.State, p.Tone = state(m.run.Ended, m.run.Verdict, m.Goes)
	p.Facts = m.facts()
	for _, r := range m.run.Critical() {
		p.Path = append(p.Path, m.by[r.Step])
	}
	p.Failures, p.MoreFailures = m.failures()
	p.Drawing = m.drawing()
	m.fitLogs(p)
	return p
}

// fitLogs shortens the logs: those of what failed get most of the room.
func (m *maker) fitLogs(p *page) {
	var failures, bad, good []*log
	for _, f := range p.Failures {
		failures = append(failures, f.Log)
	}
	for _, s := range m.steps {
		if s.Failed() {
			bad = append(bad, s.Log)
		} else {
			good = append(good, s.Log)
		}
		for _, t := range s.Tries {
			good = append(good, t.Log)
		}
	}
	room := max(leastBytes, pageBytes-stepBytes*len(m.steps))
	fit(failures, failureBytes)
	fit(good, room-fit(bad, room*3/4))
}

func tone(r *timeline.Row) string {
	switch {
	case r.Failed():
		return "bad"
	case r.Outcome == events.Skipped && r.Error != "", r.Outcome == "":
		return "warn"
	case r.Outcome == events.Done:
		return "good"
	}
	return "idle"
}

// goesOn is the word for what has not ended yet, and the colour of that.
func goesOn() (state, tone string) { return "running", "idle" }

// state is how a run ended, in a word, and the colour of that. goes tells that it is at work.
func state(ended time.Time, verdict events.Verdict, goes bool) (state, tone string) {
	switch {
	case ended.IsZero() && goes:
		return goesOn()
	case ended.IsZero():
		return "no end", "warn"
	case verdict == events.VerdictDone:
		return "done", "good"
	case verdict == events.VerdictInterrupted:
		return "interrupted", "warn"
	}
	return string(verdict), "bad"
}

// clock is the time since the run's start.
func (m *maker) clock(at time.Time) string { return text.Clock(at.Sub(m.run.Started)) }

// span is a bar from one time to another.
func (m *maker) span(from, to time.Time, tone string) bar {
	whole := m.run.Last.Sub(m.run.Started).Seconds()
	if whole <= 0 {
		return bar{0, 100, tone}
	}
	left := 100 * from.Sub(m.run.Started).Seconds() / whole
	return bar{round(left), round(100 * to.Sub(from).Seconds() / whole), tone}
}

// round is to hundredths: a pixel of a wide screen.
func round(x float64) float64 { return float64(int(min(max(x, 0), 100)*100+0.5)) / 100 }

// take adds to a step what one event says of it.
func (m *maker) take(s *step, e events.Event) {
	switch e.Kind {
	case events.StepStarted:
		s.Bars = append(s.Bars, m.span(e.Time, m.run.End(s.Row), s.Tone))
	case events.StepWaiting:
		seen := m.clock(e.Time) + " " + m.short(e.Cause)
		if s.waited++; len(s.waits) < 2 {
			s.waits = append(s.waits, seen)
		} else {
			s.waits[1] = seen // the last one says most
		}
	case events.StepRetrying:
		if n := len(s.Bars); n > 0 {
			began := m.run.Started.Add(time.Duration(s.Bars[n-1].Left / 100 * float64(m.run.Last.Sub(m.run.Started))))
			s.Bars[n-1] = m.span(began, e.Time, "bad")
		}
		name := fmt.Sprintf("Attempt %d", max(e.Attempt, 1))
		how := m.clock(e.Time) + " " + text.Joined("; then ", m.short(text.How(e)), m.short(e.Cause))
		s.Tries = append(s.Tries, &try{name, how, newLog(name+" of "+s.Step, m.logsCommand(s), e.Logs)})
	case events.StepEnded:
		s.whole = text.How(e)
		s.How = m.short(s.whole)
		s.Log = newLog(s.Step, m.logsCommand(s), e.Logs)
		for _, pair := range []fact{{"Image", e.Image}, {"Reached at", strings.Join(e.Addresses, ", ")}, {"Alone on", e.Exclusive}} {
			if pair.Value != "" {
				s.Facts = append(s.Facts, pair)
			}
		}
	case events.ServiceStopped:
		s.Facts = append(s.Facts, fact{"Stopped", m.short(text.Joined(", ", m.clock(e.Time), text.How(e), e.Cause))})
	}
}

// logsCommand prints all that is kept of what the step has printed.
func (m *maker) logsCommand(s *step) string {
	return m.Command("logs", "--run", m.run.ID, s.Step)
}

// complete adds what is known of a step once all events are.
func (m *maker) complete(s *step) {
	s.Before = m.by[s.Behind]
	if lines, ok := m.Standing[s.Container]; ok && s.Container != "" {
		s.Log = newLog(s.Step, m.logsCommand(s), lines)
	}
	facts := []fact{}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{name, m.short(value)})
		}
	}
	if !s.Started.IsZero() {
		s.Span = text.Duration(m.run.End(s.Row).Sub(s.Row.Started))
		when := m.clock(s.Row.Started) + " to " + m.clock(m.run.End(s.Row))
		if s.Row.Ended.IsZero() {
			when = m.clock(s.Row.Started) + ", no end is recorded"
			if m.Goes {
				when = "since " + m.clock(s.Row.Started)
			}
		}
		add("When", when)
	}
	add("Why", s.Cause)
	if s.Attempts > 1 {
		add("Attempts", fmt.Sprint(s.Attempts))
	}
	switch {
	case s.waited == 1:
		add("Waited", s.waits[0])
	case s.waited > 1:
		add("Waited first", s.waits[0])
		add("Waited last", s.waits[1])
	}
	add("App", s.App)
	add("Service", s.Service)
	add("Container", s.Container)
	s.Facts = append(facts, s.Facts...)
}

func (m *maker) facts() []fact {
	facts := []fact{
		{"Run", text.Clean(m.run.ID)},
		{"Began", m.run.Started.UTC().Format("2006-01-02 15:04:05 UTC")},
		{"Took", text.Duration(m.run.Took())},
		{"What", m.counts(m.steps)},
	}
	if m.run.Verb != "" {
		facts = slices.Insert(facts, 0, fact{"Command", "stagehand " + text.Clean(m.run.Verb)})
	}
	for _, e := range m.Run {
		if e.Kind == events.RunStarted && len(e.Files) > 0 {
			facts = append(facts, fact{"Files", m.short(strings.Join(e.Files, ", "))})
		}
	}
	return facts
}

// counts is "12 steps: 1 failed, 2 not reached, 9 done", what is graver first.
func (m *maker) counts(steps []*step) string {
	count, order := map[string]int{}, []string{}
	for _, t := range []string{"bad", "warn", "good", "idle"} {
		for _, s := range steps {
			if s.Tone == t {
				if count[s.State]++; count[s.State] == 1 {
					order = append(order, s.State)
				}
			}
		}
	}
	for i, state := range order {
		order[i] = fmt.Sprintf("%d %s", count[state], state)
	}
	return text.Joined(": ", text.Plural(len(steps), "step"), strings.Join(order, ", "))
}

// failures are the steps that failed, in the order of their ends, and what each kept from being done.
func (m *maker) failures() (shown []failure, more []*step) {
	var failed []*step
	for _, s := range m.steps {
		if s.Failed() {
			failed = append(failed, s)
		}
	}
	slices.SortStableFunc(failed, func(a, b *step) int { return a.Row.Ended.Compare(b.Row.Ended) })
	for i, s := range failed {
		if i >= shownFailures {
			return shown, failed[i:]
		}
		f := failure{step: s, How: clip(s.whole, longest), Log: s.Log.last(failureLines)}
		for _, other := range m.steps {
			if other.Outcome == events.Skipped && slices.Contains(strings.FieldsFunc(other.Error, func(r rune) bool { return strings.ContainsRune(" :,", r) }), s.Step) {
				f.Missed = append(f.Missed, other.Step)
			}
		}
		shown = append(shown, f)
	}
	return shown, nil
}

func (m *maker) shares() []share {
	var all []share
	whole := m.run.Took()
	for _, s := range m.run.Shares() {
		one := share{Stage: text.Clean(s.Stage), Took: text.Duration(s.Took)}
		if whole > 0 {
			one.Percent = round(100 * float64(s.Took) / float64(whole))
		}
		for _, r := range s.Rows {
			one.Steps = append(one.Steps, m.by[r.Step])
		}
		all = append(all, one)
	}
	return all
}

// stages are the rows of the timeline.
func (m *maker) stages() []*stage {
	var all []*stage
	rows := map[string][]*step{}
	for _, s := range m.steps {
		// A step that there was nothing to do for has no more than its ID, which begins with the stage.
		name, _, _ := strings.Cut(s.Step, "/")
		name = cmp.Or(s.Row.Stage, name)
		if rows[name] == nil {
			all = append(all, &stage{Name: text.Clean(name)})
		}
		rows[name] = append(rows[name], s)
		st := all[slices.IndexFunc(all, func(st *stage) bool { return st.Name == text.Clean(name) })]
		st.Verb = cmp.Or(st.Verb, s.Verb)
	}
	for _, st := range all {
		steps := rows[st.Name]
		if len(steps) > 1 {
			st.Count = m.counts(steps)
		}
		var from, to time.Time
		worst := []string{"good", "idle", "warn", "bad"}
		at := 0
		for i, s := range steps {
			at = max(at, slices.Index(worst, s.Tone))
			if s.Tone != "idle" {
				st.Tone = "good"
			}
			if len(steps) <= wholeRows || (s.Failed() || s.Critical) && len(st.Shown) < shownRows {
				st.Shown = append(st.Shown, steps[i])
			} else {
				st.Folded = append(st.Folded, steps[i])
			}
			if s.Row.Started.IsZero() {
				continue
			}
			if from.IsZero() || s.Row.Started.Before(from) {
				from = s.Row.Started
			}
			if end := m.run.End(s.Row); end.After(to) {
				to = end
			}
		}
		if at > 1 || st.Tone == "" {
			st.Tone = worst[at]
		}
		if !from.IsZero() {
			st.Bar, st.Took = []bar{m.span(from, to, st.Tone)}, text.Duration(to.Sub(from))
		}
	}
	return all
}

// ticks are four to eight marks at round times.
func ticks(whole time.Duration) []tick {
	if whole <= 0 {
		return nil
	}
	step := time.Millisecond
	for _, factor := range []int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 1800000, 3600000} {
		if step = time.Duration(factor) * time.Millisecond; whole/step <= 6 {
			break
		}
	}
	for whole/step > 6 { // longer than hours
		step *= 2
	}
	var all []tick
	for at := time.Duration(0); at <= whole; at += step {
		label := text.Duration(at)
		if at == 0 {
			label = "0"
		}
		all = append(all, tick{round(100 * float64(at) / float64(whole)), strings.Replace(label, ".0s", "s", 1)})
	}
	return all
}

func (m *maker) commands() []fact {
	all := []fact{
		{m.Command("logs", "--run", m.run.ID), "all that is kept of what its containers printed"},
		{m.Command("events", "--run", m.run.ID), "every event"},
		{m.Command("diagram", "--run", m.run.ID), "the sequence diagram in Mermaid's language"},
	}
	if m.run.Verdict != events.VerdictDone {
		all = append(all, fact{m.Command("up"), "goes on where this run ended"})
	}
	return all
}
