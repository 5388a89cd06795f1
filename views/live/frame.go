package live

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/stagehand-dev/stagehand/views/text"
)

// turnEvery is how long one step of the spinner lasts: a frame costs a few milliseconds.
const turnEvery = 200 * time.Millisecond

// Frame is the run as it stands at now, as lines of at most width cells, at most height of them,
// without a newline at the end. Failures and what is at work come first; where there is not room for all, the rest is
// counted. Of a run that has ended there is a line a stage, or none where there was nothing to do.
func (r *Run) Frame(width, height int, now time.Time) string {
	if width <= 0 || height <= 0 || r.began.IsZero() || r.idle && !r.ended.IsZero() {
		return ""
	}
	p := &page{Run: r, width: width, now: now, turn: int(now.Sub(r.began)/turnEvery) & math.MaxInt32}
	if !r.ended.IsZero() {
		p.now = r.ended
		for _, note := range r.notes[:min(len(r.notes), max(height-1, 0))] {
			p.note(note, alert)
		}
		p.body(height - len(p.lines))
	} else {
		p.live(height)
	}
	return strings.Join(p.lines, "\n")
}

// page is a frame being written.
type page struct {
	*Run
	width int
	now   time.Time
	turn  int
	name  int // the width of the column of names
	lines []string
}

// roomy is the least height in which a line is left to say what Ctrl-C does.
const roomy = 12

func (p *page) live(height int) {
	var foot []string
	style := alert
	if len(p.notes) > 0 {
		foot = append(foot, p.notes[len(p.notes)-1])
	}
	if p.interrupted != "" {
		foot = append(foot, p.interrupted)
	}
	if len(foot) == 0 && height >= roomy && p.Hint != "" {
		foot, style = append(foot, p.Hint), faint
	}
	foot = foot[:min(len(foot), max(height-2, 0))]
	p.lines = append(p.lines, p.head())
	p.body(height - 1 - len(foot))
	for _, line := range foot {
		p.note(line, style)
	}
}

// note writes a line of its own.
func (p *page) note(line string, style ink) {
	p.lines = append(p.lines, style.Render(ansi.Truncate(text.Clean(line), p.width, "…")))
}

// head is "haf up  12s  3 of 19 done, 1 failed, 2 running".
func (p *page) head() string {
	var n [len(words)]int
	total := 0
	for _, s := range p.stages {
		for st, count := range s.count() {
			n[st] += count
			total += count
		}
	}
	left := text.Clean(p.stack+" "+p.verb) + "  " + elapsed(p.now.Sub(p.began))
	counts := tally(n, total)
	if width := ansi.StringWidth(left); width+2+ansi.StringWidth(counts) <= p.width {
		return strong.Render(left) + "  " + counts
	}
	return strong.Render(ansi.Truncate(left+"  "+counts, p.width, "…"))
}

// tally counts steps by their states: "3 of 19 done, 1 failed, 2 running".
func tally(n [len(words)]int, total int) string {
	over := n[done] + n[adopted] + n[recorded]
	parts := []string{fmt.Sprintf("%d of %d done", over, total)}
	for st := failed; st <= missed; st++ {
		if n[st] > 0 && st != pending {
			parts = append(parts, fmt.Sprintf("%d %s", n[st], words[st]))
		}
	}
	return strings.Join(parts, ", ")
}

// block is a stage, or several of one kind that share a line.
type block struct {
	stages []*stage
	state  state
	// rows are those of its steps that deserve a line of their own, the most urgent first;
	// none where the stage's own line says it.
	rows  []*step
	shown int
}

// alone is a block's only step, which shares the line of its stage; nil where there are more.
func (b *block) alone() *step {
	if len(b.stages) == 1 && len(b.stages[0].steps) == 1 {
		return b.stages[0].steps[0]
	}
	return nil
}

// body writes the stages into at most room lines.
func (p *page) body(room int) {
	blocks := p.blocks()
	want := 0
	for _, b := range blocks {
		want += 1 + len(b.rows)
	}
	// What is done is folded first, then what is to come.
	for _, fold := range []func(state) bool{state.good, func(s state) bool { return s == pending }, func(s state) bool { return s == missed }} {
		if want <= room {
			break
		}
		before := len(blocks)
		blocks = folded(blocks, fold)
		want -= before - len(blocks)
	}
	blocks, hidden := fitting(blocks, room)
	spare := room - len(blocks)
	if hidden > 0 {
		spare--
	}
	spare = deal(blocks, spare)
	p.column()
	for _, b := range blocks {
		spare = p.block(b, spare)
	}
	if hidden > 0 && room > 0 {
		p.line(0, pending, "", fmt.Sprintf("and %s", text.Plural(hidden, "more stage")), "", faint)
	}
}

// blocks has one for each stage that has steps.
func (p *page) blocks() []*block {
	var out []*block
	for _, s := range p.stages {
		if len(s.steps) == 0 {
			continue
		}
		b := &block{stages: []*stage{s}, state: s.state()}
		if b.alone() == nil && p.ended.IsZero() {
			for _, step := range s.steps {
				if step.state == failed || step.state.open() {
					b.rows = append(b.rows, step)
				}
			}
			slices.SortStableFunc(b.rows, func(x, y *step) int { return cmp.Compare(min(x.state, running), min(y.state, running)) })
		}
		out = append(out, b)
	}
	return out
}

// folded puts blocks side by side that are of one kind into one.
func folded(blocks []*block, kind func(state) bool) []*block {
	var out []*block
	for _, b := range blocks {
		if n := len(out); n > 0 && kind(b.state) && kind(out[n-1].state) && len(b.rows) == 0 && len(out[n-1].rows) == 0 {
			out[n-1].stages = append(out[n-1].stages, b.stages...)
			out[n-1].state = min(out[n-1].state, b.state)
			continue
		}
		out = append(out, b)
	}
	return out
}

// fitting leaves as many blocks as there are lines, the most urgent ones in their order, and says
// how many stages are in none.
func fitting(blocks []*block, room int) (fit []*block, hidden int) {
	if len(blocks) <= room {
		return blocks, 0
	}
	order := slices.Clone(blocks)
	slices.SortStableFunc(order, func(x, y *block) int { return cmp.Compare(x.state, y.state) })
	keep := map[*block]bool{}
	for _, b := range order[:max(room-1, 0)] {
		keep[b] = true
	}
	for _, b := range blocks {
		if keep[b] {
			fit = append(fit, b)
		} else {
			hidden += len(b.stages)
		}
	}
	return fit, hidden
}

// deal gives each block lines for its steps: to failures first, then one after another.
// It returns what is left.
func deal(blocks []*block, spare int) int {
	give := func(wants func(*block) bool) {
		for given := true; given && spare > 0; {
			given = false
			for _, b := range blocks {
				if spare > 0 && b.shown < len(b.rows) && wants(b) {
					b.shown++
					spare--
					given = true
				}
			}
		}
	}
	give(func(b *block) bool { return b.rows[b.shown].state == failed })
	give(func(*block) bool { return true })
	return max(spare, 0)
}

// column finds the width of the names, which is the same for all of a run, so that nothing jumps.
func (p *page) column() {
	for _, s := range p.stages {
		p.name = max(p.name, ansi.StringWidth(text.Clean(s.name)))
		if len(s.steps) > 1 && p.ended.IsZero() {
			p.name = max(p.name, 2+s.wide)
		}
	}
	p.name = min(p.name, p.width/3)
}

// least is with how few lines for steps one of them is given to say how many there are beside.
const least = 3

// block writes a block, with what its steps printed last as long as there are spare lines, and returns how many are left.
func (p *page) block(b *block, spare int) int {
	if len(b.stages) > 1 {
		var names []string
		for _, s := range b.stages {
			names = append(names, text.Clean(s.name))
		}
		word := words[b.state]
		if b.state.good() {
			word = words[done]
		}
		p.line(0, b.state, "", fmt.Sprintf("%d stages %s: %s", len(b.stages), word, strings.Join(names, ", ")), "", faint)
		return spare
	}
	st := b.stages[0]
	if alone := b.alone(); alone != nil {
		detail, style := p.detail(alone)
		p.line(0, alone.state, st.name, detail, p.time(alone), style)
		return p.output(0, alone, spare)
	}
	p.line(0, b.state, st.name, p.stageDetail(st), p.stageTime(st, b.state), plain)
	rows := b.rows[:b.shown]
	more := len(b.rows) - len(rows)
	if more > 0 && len(rows) >= least {
		rows = rows[:len(rows)-1]
		more++
	} else {
		more = 0 // the stage's own line counts them
	}
	for _, s := range rows {
		detail, style := p.detail(s)
		p.line(1, s.state, s.short, detail, p.time(s), style)
		spare = p.output(1, s, spare)
	}
	if more > 0 {
		p.line(1, pending, "", fmt.Sprintf("and %d more", more), "", faint)
	}
	return spare
}

// output writes what a step that is not done printed last, without its colours.
func (p *page) output(indent int, s *step, spare int) int {
	if spare <= 0 || s.said == "" || !p.ended.IsZero() || s.state != failed && !s.state.open() {
		return spare
	}
	margin := strings.Repeat(" ", 2*indent+2)
	p.lines = append(p.lines, faint.Render(ansi.Truncate(margin+"│ "+text.Clean(ansi.Strip(s.said)), p.width, "…")))
	return spare - 1
}

// line writes a sign, a name, a detail and, at the right edge, a time.
func (p *page) line(indent int, st state, name, detail, time string, style ink) {
	sign, colour := st.sign(p.turn)
	margin := strings.Repeat(" ", 2*indent)
	left := ""
	if name != "" {
		left = fit(text.Clean(name), max(p.name-2*indent, 1)) + "  "
	}
	room := p.width - len(margin) - 2 - ansi.StringWidth(left)
	right := ""
	if time != "" {
		right = "  " + time
		room -= ansi.StringWidth(right)
	}
	if room < 1 { // a terminal as narrow as that gets the beginning of the line
		p.lines = append(p.lines, ansi.Truncate(margin+sign+" "+left, p.width, ""))
		return
	}
	detail = ansi.Truncate(text.Clean(detail), room, "…")
	pad := ""
	if right != "" {
		pad = strings.Repeat(" ", max(room-ansi.StringWidth(detail), 0))
	}
	p.lines = append(p.lines, strings.TrimRight(margin+colour.Render(sign)+" "+left+style.Render(detail)+pad+faint.Render(right), " "))
}

// fit cuts or pads text to exactly width cells.
func fit(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(width-ansi.StringWidth(s), 0))
}

func (p *page) stageDetail(s *stage) string {
	n := s.count()
	total := len(s.steps)
	switch {
	case n[pending] == total:
		return fmt.Sprintf("%s to come", text.Plural(total, "step"))
	case n[done] == total:
		return text.Plural(total, "step")
	case n[recorded] == total, n[adopted] == total, n[missed] == total:
		return fmt.Sprintf("%s, %s", text.Plural(total, "step"), words[s.state()])
	}
	return tally(n, total)
}

func (p *page) stageTime(s *stage, st state) string {
	switch {
	case s.took > 0:
		return text.Duration(s.took)
	case s.began.IsZero() || st == pending || st == recorded || st == adopted || !p.ended.IsZero():
		return ""
	}
	return elapsed(p.now.Sub(s.began))
}

func (p *page) time(s *step) string {
	switch {
	case s.state.open():
		return elapsed(p.now.Sub(s.began))
	case (s.state == done || s.state == failed) && s.took > 0:
		return text.Duration(s.took)
	}
	return ""
}

// detail is what a step does, waits for or has come to.
func (p *page) detail(s *step) (string, ink) {
	attempt := ""
	if s.attempt > 1 {
		attempt = fmt.Sprintf("attempt %d", s.attempt)
	}
	switch s.state {
	case failed:
		return text.Joined(", ", cmp.Or(s.detail, words[failed]), attempt), bad
	case stopping:
		return text.Joined(": ", "stopping", s.detail), alert
	case retrying:
		return s.detail, alert
	case running, waiting:
		return text.Joined(", ", p.doing(s), attempt), plain
	case pending:
		return words[pending], faint
	case missed:
		return text.Joined(": ", words[missed], s.detail), alert
	case adopted, recorded:
		return words[s.state], faint
	}
	return attempt, faint
}

// doing is what a step that is at work does.
func (p *page) doing(s *step) string {
	switch {
	case s.progress != nil && s.progress.Total > 0:
		return p.bar(s)
	case s.progress != nil:
		return text.Joined(", ", text.Progress(*s.progress), rate(s.pace))
	case s.state == waiting && s.detail != "":
		return "waits for " + s.detail
	}
	return words[s.state]
}

// bar is "██████░░░░  41%  41.2/98 Mblocks, 1.3/s, 43s left: syncing".
func (p *page) bar(s *step) string {
	width := min(max(p.width/8, 6), 24)
	share := min(max(s.progress.Done/s.progress.Total, 0), 1)
	full := int(share * float64(width))
	parts := []string{text.Amount(*s.progress), rate(s.pace)}
	if left := s.end.Sub(p.now); !s.end.IsZero() && left >= time.Second {
		parts = append(parts, elapsed(left)+" left")
	}
	return fmt.Sprintf("%s%s %3d%%  %s", strings.Repeat("█", full), strings.Repeat("░", width-full), int(100*share),
		text.Joined(": ", text.Joined(", ", parts...), s.progress.Text))
}

// rate is "689/s", "11.7/s" or "1.25/s"; "" while it is not known.
func rate(p text.Pace) string {
	r := p.Rate()
	switch {
	case r <= 0:
		return ""
	case r < 10:
		return text.Number(r) + "/s"
	case r < 100:
		return fmt.Sprintf("%.1f/s", r)
	}
	return fmt.Sprintf("%.0f/s", r)
}

// elapsed is a time that still runs: whole seconds, so that it does not flicker.
func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	}
	return text.Duration(d)
}
