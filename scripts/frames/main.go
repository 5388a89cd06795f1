// The command frames makes a picture of a recorded terminal: of the frames that scripts/recording.sh
// has captured, as an SVG of three moments, one beneath the other.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/x/vt"
)

// The size of a cell and the room around a frame, in the picture's units.
const cellWidth, cellHeight, margin = 8, 17, 12

// colours of the sixteen that frames use, by their number, on a dark ground.
var colours = map[string]string{"2": "#7ee787", "3": "#e3b341", "1": "#ff7b72", "6": "#76e3ea"}

func main() {
	size := flag.String("size", "80x24", "WIDTHxHEIGHT of the terminal, in cells")
	out := flag.String("o", "", "the picture's file")
	flag.Parse()
	if err := draw(*size, *out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "frames:", err)
		os.Exit(1)
	}
}

func draw(size, out, folder string) error {
	var width, height int
	if _, err := fmt.Sscanf(size, "%dx%d", &width, &height); err != nil {
		return fmt.Errorf("the size %q: %w", size, err)
	}
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	var live []string // those that show a run
	last := ""
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text = bytes.TrimRight(text, "\n")
		if bytes.Contains(text, []byte("Ctrl-C stops")) && (len(live) == 0 || live[len(live)-1] != string(text)) {
			live = append(live, string(text))
		}
		if len(text) > 0 {
			last = string(text)
		}
	}
	if len(live) == 0 {
		return fmt.Errorf("no frame of a live run in %s", folder)
	}
	shown := slices.Compact([]string{live[len(live)/3], live[2*len(live)/3], last})
	var b strings.Builder
	frame := height*cellHeight + 2*margin
	w, h := width*cellWidth+2*margin, len(shown)*(frame+margin)-margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#e6edf3">`+"\n", w, h, w, h)
	for i, text := range shown {
		picture(&b, text, width, height, i*(frame+margin), w, frame)
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(out, []byte(b.String()), 0o644)
}

// picture draws one frame at the height y.
func picture(b *strings.Builder, text string, width, height, y, w, h int) {
	fmt.Fprintf(b, `<rect y="%d" width="%d" height="%d" rx="6" fill="#0d1117"/>`+"\n", y, w, h)
	screen := vt.NewEmulator(width, height)
	_, _ = screen.WriteString(strings.ReplaceAll(text, "\n", "\r\n")) // it is memory
	for row := range height {
		for from := 0; from < width; {
			style := styleAt(screen, from, row)
			to, words := from, ""
			for ; to < width && styleAt(screen, to, row) == style; to++ {
				if cell := screen.CellAt(to, row); cell != nil && cell.Content != "" {
					words += cell.Content
				} else {
					words += " "
				}
			}
			if strings.TrimSpace(words) != "" {
				fmt.Fprintf(b, `<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs" xml:space="preserve"%s>%s</text>`+"\n",
					margin+from*cellWidth, y+margin+row*cellHeight+cellHeight*3/4, (to-from)*cellWidth, style, html.EscapeString(words))
			}
			from = to
		}
	}
}

// styleAt is a cell's style as attributes.
func styleAt(screen *vt.Emulator, x, y int) string {
	cell := screen.CellAt(x, y)
	if cell == nil {
		return ""
	}
	style := ""
	if c := colours[fmt.Sprint(cell.Style.Fg)]; c != "" {
		style += fmt.Sprintf(` fill="%s"`, c)
	}
	diff := cell.Style.String()
	if strings.Contains(diff, "\x1b[1m") || strings.Contains(diff, "[1;") {
		style += ` font-weight="bold"`
	}
	if strings.Contains(diff, "\x1b[2m") || strings.Contains(diff, "[2;") {
		style += ` opacity="0.6"`
	}
	return style
}
