package report

import (
	"fmt"
	"html"
	"strings"

	"github.com/stagehand-dev/stagehand/bench/internal/figures"
)

// The picture's measures, in pixels.
const (
	width     = 880
	left      = 20
	unitWidth = 380 // from 0 to 1
	most      = 1.3 // what is longer is cut off there
	rowHeight = 44
	barHeight = 12
	wordsAt   = left + unitWidth*13/10 + 26 // where the figures stand
)

// style has the colours for light and dark. The words say what they say, too.
const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.quiet { fill: #59636e }
.met { fill: #1f6feb } .missed { fill: #bc4c00 } text.missed { font-weight: 600 }
.one { stroke: #59636e; stroke-dasharray: 3 3 } .bound { stroke: #1f2328; stroke-width: 2 }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 } .met { fill: #58a6ff } .missed { fill: #f0883e }
.one { stroke: #9198a1 } .bound { stroke: #f0f6fc } .ground { fill: #0d1117 }
}
</style>
`

// bar is one claim, drawn.
type bar struct {
	title, figure string
	length, bound float64
	met           bool
}

// SVG draws what was measured against its bounds.
func SVG(r figures.Report) string {
	ratios, others := bars(r)
	var b strings.Builder
	y := 34
	if len(ratios) > 0 {
		y = panel(&b, y, "stagehand's time or memory, the other's being 1: shorter is better", ratios)
	}
	if len(others) > 0 {
		y = panel(&b, y+24, "stagehand by itself, its bound being 1", others)
	}
	m := r.Machine
	fmt.Fprintf(&b, `<text class="quiet" x="%d" y="%d">%s</text>`+"\n", left, y+10, html.EscapeString(fmt.Sprintf(
		"%d cores, engine %s, docker compose %s, %s; medians of %d, one run", m.Cores, m.Engine, m.Compose, r.Began.Format("2006-01-02"), r.Repetitions)))
	height := y + 28
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="What stagehand takes, against Docker Compose and the engine's bare interface">`+"\n%s"+
		`<rect class="ground" width="%d" height="%d"/>`+"\n%s</svg>\n", width, height, width, height, style, width, height, b.String())
}

// bars are the claims that were measured: the ratios of stagehand to others, and the rest.
func bars(r figures.Report) (ratios, others []bar) {
	for _, w := range r.Works {
		for _, c := range w.Claims {
			v, ok := w.Value(c)
			if !ok || c.AtMost == 0 {
				continue
			}
			one := bar{title: c.Title, length: v.Claimed, bound: c.AtMost, met: v.Met(c)}
			switch {
			case c.Theirs != "" && c.Ours == "stagehand":
				one.figure = fmt.Sprintf("%.2f: %s, %s %s", v.Claimed, Amount(v.Ours.Median, v.Unit), c.Theirs, Amount(v.Theirs.Median, v.Unit))
				ratios = append(ratios, one)
				continue
			case c.Theirs != "":
				one.figure = fmt.Sprintf("%.2f, at most %g", v.Claimed, c.AtMost)
			default:
				one.figure = fmt.Sprintf("%s, at most %g %s", Amount(v.Claimed, v.Unit), c.AtMost, v.Unit)
			}
			one.length, one.bound = v.Claimed/c.AtMost, 1
			others = append(others, one)
		}
	}
	return ratios, others
}

// panel draws bars below y and returns where it ends.
func panel(b *strings.Builder, y int, title string, list []bar) int {
	fmt.Fprintf(b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", left, y, html.EscapeString(title))
	y += 12
	fmt.Fprintf(b, `<line class="one" x1="%d" x2="%d" y1="%d" y2="%d"/>`+"\n", left+unitWidth, left+unitWidth, y, y+rowHeight*len(list))
	for _, one := range list {
		class, said := "met", "met"
		if !one.met {
			class, said = "missed", "missed"
		}
		length := int(unitWidth * min(one.length, most))
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left, y+18, html.EscapeString(strings.ReplaceAll(one.title, "`", "")))
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`+"\n", class, left, y+24, max(length, 1), barHeight)
		if one.length > most {
			fmt.Fprintf(b, `<path class="%s" d="M%d %d l8 %d l-8 %d z"/>`+"\n", class, left+length, y+24, barHeight/2, barHeight/2)
		}
		at := left + int(unitWidth*min(one.bound, most))
		fmt.Fprintf(b, `<line class="bound" x1="%d" x2="%d" y1="%d" y2="%d"/>`+"\n", at, at, y+21, y+24+barHeight+3)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s <tspan class="%s">%s</tspan></text>`+"\n", wordsAt, y+24+barHeight-1, html.EscapeString(one.figure), class, said)
		y += rowHeight
	}
	return y + 14
}
