package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/views/mermaid"
	"github.com/stagehand-dev/stagehand/views/sequence"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// What can be looked at in one drawing: more lines, or more containers at a time, are not drawn.
const (
	drawnLines   = 400
	drawnColumns = 24
	// drawnFailures are drawn of a run that is drawn in part, drawnText characters of a line.
	drawnFailures = 10
	drawnText     = 160
)

// drawing is a sequence diagram: a picture, and over it its lines as a list of
// texts, which can be selected, searched and read aloud.
type drawing struct {
	SVG   template.HTML
	Lines []drawnLine
	Width int // pixels
	// Note says what of the run is drawn, where that is not all.
	Note string
	// Mermaid is the same in Mermaid's language.
	Mermaid string
}

type drawnLine struct {
	// With is the party, for who does not see the picture.
	With, Text string
	Class      string
}

// drawing draws the run, or of a large one the critical path and what failed, or nothing.
func (m *maker) drawing() drawing {
	whole := sequence.Of(m.Run, nil)
	if d, ok := draw(whole); ok {
		return d
	}
	failures := 0
	part := sequence.Of(m.Run, func(r *timeline.Row) bool {
		if r.Failed() {
			failures++
		}
		return r.Critical || r.Failed() && failures <= drawnFailures
	})
	said := fmt.Sprintf("The whole run has %s; ", text.Plural(len(whole.Lines), "line"))
	d, ok := draw(part)
	if !ok {
		return drawing{Note: said + "that is too much for a drawing."}
	}
	d.Note = said + "this is its critical path, and what failed first."
	return d
}

// The measures of a drawing, in pixels; page.css has those of the lines' texts.
const (
	headRow = 40 // the boxes of what stood at the start
	lineRow = 34
	boxRow  = 50 // a line at which a box appears
	margin  = 48 // the middle of stagehand's own lifeline
	column  = 132
	box     = 120
	boxHigh = 24
)

// draw is not ok where there is more than can be looked at.
func draw(d sequence.Diagram) (drawing, bool) {
	if len(d.Lines) > drawnLines {
		return drawing{}, false
	}
	p := newPainter(d)
	if p.columns > drawnColumns {
		return drawing{}, false
	}
	out := drawing{Mermaid: mermaid.Write(d)}
	y := headRow
	for i, party := range d.Parties {
		if party.There {
			p.appear(i, headRow/2, party.Name)
		}
	}
	for _, l := range d.Lines {
		high := lineRow
		line := drawnLine{Class: string(l.Kind), Text: clip(text.Clock(l.At)+" "+l.Text, drawnText)}
		if l.Party != sequence.Stagehand {
			line.With = text.Clean(d.Parties[l.Party].Name)
		}
		if l.Appears {
			high = boxRow
			line.Class += " tall"
		}
		p.line(l, y, high, d.Parties[l.Party].Name)
		out.Lines = append(out.Lines, line)
		y += high
	}
	for i, from := range p.from {
		if from > 0 {
			p.life(i, from, y)
		}
	}
	out.Width = margin + column*max(p.columns, 1) + box/2
	out.SVG = template.HTML(fmt.Sprintf(`<svg width="%d" height="%d" aria-hidden="true" focusable="false">%s%s</svg>`, out.Width, y, p.lives.String(), p.b.String())) //nolint:gosec // names are escaped where they are written
	return out, true
}

// painter paints a diagram.
type painter struct {
	lives, b strings.Builder
	// columns are those beside stagehand's own; column has each party's, 1 and up.
	columns int
	column  []int
	// from is where a party's lifeline begins, 0 where it does not stand.
	from []int
}

// newPainter gives each party a column, the first that is free when it appears: that of
// a container that has gone is free again.
func newPainter(d sequence.Diagram) *painter {
	p := &painter{column: make([]int, len(d.Parties)), from: make([]int, len(d.Parties))}
	taken := []bool{true}
	take := func(party int) {
		at := slices.Index(taken, false)
		if at < 0 {
			at = len(taken)
			taken = append(taken, false)
		}
		taken[at], p.column[party] = true, at
	}
	for i, party := range d.Parties {
		if i != sequence.Stagehand && party.There {
			take(i)
		}
	}
	for _, l := range d.Lines {
		switch {
		case l.Appears:
			take(l.Party)
		case l.Kind == sequence.Gone:
			taken[p.column[l.Party]] = false
		}
	}
	p.columns = len(taken) - 1
	return p
}

func (p *painter) x(party int) int { return margin + column*p.column[party] }

func (p *painter) paint(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// appear paints a party's box around y.
func (p *painter) appear(party, y int, name string) {
	name = text.Clean(name)
	if runes := []rune(name); len(runes) > 17 {
		name = string(runes[:16]) + "…"
	}
	width := box
	if party == sequence.Stagehand {
		width = 2*margin - 8
	}
	p.paint(`<rect x="%d" y="%d" width="%d" height="%d" rx="4"/><text x="%d" y="%d">%s</text>`,
		p.x(party)-width/2, y-boxHigh/2, width, boxHigh, p.x(party), y+4, template.HTMLEscapeString(name))
	p.from[party] = y + boxHigh/2
}

func (p *painter) life(party, from, to int) {
	fmt.Fprintf(&p.lives, `<path class="life" d="M%d %dV%d"/>`, p.x(party), from, to)
	p.from[party] = 0
}

// line paints what stands between y and y+high: the text comes first, the arrow beneath it.
func (p *painter) line(l sequence.Line, y, high int, name string) {
	from, to, at := p.x(sequence.Stagehand), p.x(l.Party), y+high-8
	if l.Appears {
		at = y + high - boxHigh/2 - 4
		p.appear(l.Party, at, name)
		to -= box / 2
	}
	switch {
	case l.Kind == sequence.Note:
		p.paint(`<circle cx="%d" cy="%d" r="3"/>`, to, y+11)
	case l.Party == sequence.Stagehand:
		p.paint(`<path class="%s" d="M%d %dh26v8h-20"/><path class="head" d="M%d %dl7 -4v8z"/>`, l.Kind, from, at-5, from, at+3)
	case l.Kind == sequence.Begin:
		p.paint(`<path class="begin" d="M%d %dH%d"/><path class="head" d="M%d %dl-8 -4v8z"/>`, from, at, to-6, to, at)
	case l.Kind == sequence.Gone:
		p.paint(`<path class="gone" d="M%d %dH%d"/><path class="cross" d="M%d %dl10 10m0 -10l-10 10"/>`, from, at, to-8, to-5, at-5)
		p.life(l.Party, p.from[l.Party], at)
	default:
		p.paint(`<path class="%s" d="M%d %dH%d"/>`, l.Kind, to, at, from+6)
		if l.Kind == sequence.Failed {
			p.paint(`<path class="cross bad" d="M%d %dl10 10m0 -10l-10 10"/>`, from+1, at-5)
		} else {
			p.paint(`<path class="head" d="M%d %dl8 -4v8z"/>`, from, at)
		}
	}
}
