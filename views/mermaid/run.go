package mermaid

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/sequence"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// DrawRun draws what happened in a run as a sequence diagram, in the order of
// its events and with the time since its start: a container appears when its
// step begins and goes when it was removed. What ran before stands at the top. Of a run that is too large
// to be drawn those steps are left out that matter least, and the first line says so.
func DrawRun(run []events.Event) string {
	whole := Write(sequence.Of(run, nil))
	if len(whole) <= maxText {
		return whole
	}
	rows := timeline.Of(run).Rows
	slices.SortStableFunc(rows, func(a, b *timeline.Row) int { return rank(a) - rank(b) })
	place := map[string]int{}
	for i, r := range rows {
		place[r.Step] = i
	}
	first := func(n int) string {
		d := sequence.Of(run, func(r *timeline.Row) bool { return place[r.Step] < n })
		said := fmt.Sprintf("%d of %d steps: what failed, the critical path, and as many more as can be drawn", n, len(rows))
		d.Lines = slices.Insert(d.Lines, 0, sequence.Line{Kind: sequence.Note, Text: said})
		return Write(d)
	}
	return first(sort.Search(len(rows), func(n int) bool { return len(first(n+1)) > maxText }))
}

// maxText is how much mermaid draws where nobody has told it otherwise, as on GitHub and GitLab, in
// characters. Source: mermaid's configuration, maxTextSize.
const maxText = 50_000

// rank is lower for what matters more.
func rank(r *timeline.Row) int {
	switch {
	case r.Failed():
		return 0
	case r.Critical:
		return 1
	}
	return 2
}

// Write writes the diagram in Mermaid's language.
func Write(d sequence.Diagram) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	b.WriteString("sequenceDiagram\n")
	add("title %s", safe(d.Title))
	add("actor runner as stagehand")
	name := func(party int) string {
		if party == sequence.Stagehand {
			return "runner"
		}
		return fmt.Sprintf("p%d", party)
	}
	for i, p := range d.Parties {
		if i != sequence.Stagehand && p.There {
			add("participant %s as %s", name(i), safe(p.Name))
		}
	}
	for _, l := range d.Lines {
		p, words := name(l.Party), safe(text.Clock(l.At)+" "+l.Text)
		switch l.Kind {
		case sequence.Note:
			add("Note over %s: %s", p, words)
		case sequence.Begin:
			if l.Appears {
				add("create participant %s as %s", p, safe(d.Parties[l.Party].Name))
			}
			add("runner->>%s: %s", p, words)
		case sequence.Done:
			add("%s-->>runner: %s", p, words)
		case sequence.Failed:
			add("%s--xrunner: %s", p, words)
		case sequence.Gone:
			add("destroy %s", p)
			add("runner-x%s: %s", p, words)
		}
	}
	return b.String()
}
