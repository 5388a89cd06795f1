package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stagehand-dev/stagehand/stages"
)

// String is the plan for people and golden tests: stages from top to bottom,
// a line a step with its action, its cause and what it waits for.
func (p *Plan) String() string { return p.Text(0) }

// Text is String with what does not fit into that many columns on further lines; 0 is no bound.
func (p *Plan) Text(width int) string {
	var b strings.Builder
	todo := 0
	for _, s := range p.Steps {
		if s.Action != Skip && s.Action != Adopt {
			todo++
		}
	}
	fmt.Fprintf(&b, "%s: %s, %d to do\n", p.Stack, count(len(p.Steps), "step"), todo)
	idWidth, containerWidth := 0, 0
	for _, s := range p.Steps {
		idWidth = max(idWidth, len(s.ID))
		containerWidth = max(containerWidth, len(target(s)))
	}
	byID := make(map[string]*Step, len(p.Steps))
	for _, s := range p.Steps {
		byID[s.ID] = s
	}
	for _, stage := range p.Stages {
		if stage.LeftOut || stage.Verb == stages.Upgrade && len(stage.Steps) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", stage.heading())
		if len(stage.Steps) == 0 {
			b.WriteString("  (no step: " + stage.empty() + ")\n")
		}
		for _, id := range stage.Steps {
			s := byID[id]
			before := fmt.Sprintf("  %-8s  %-*s  %-*s  ", s.Action, idWidth, s.ID, containerWidth, target(s))
			b.WriteString(hanging(before, s.Cause, width))
			for _, detail := range s.details() {
				b.WriteString(hanging(fmt.Sprintf("  %8s  ", ""), detail, width))
			}
		}
	}
	if text := p.Version.text(); text != "" {
		fmt.Fprintf(&b, "\n%s\n", text)
	}
	for _, a := range p.Apps {
		if text := a.text(); text != "" {
			fmt.Fprintf(&b, "\n%s\n", text)
		}
	}
	for _, l := range p.Sweep {
		b.WriteString("\n" + hanging("remove first: ", l.Container+", "+l.Cause, width))
	}
	if len(p.Orphans) > 0 {
		b.WriteString("\n" + hanging("left alone: ", strings.Join(p.Orphans, ", ")+", of no service of the file (--remove-orphans)", width))
	}
	return b.String()
}

const (
	// narrowest is the least room, in columns, that is worth a column of its own.
	narrowest = 30
	// indent is where further lines begin where there is no such room.
	indent = 12
)

// hanging is text behind what stands before it, its further lines beginning below its first one.
func hanging(before, text string, width int) string {
	line, rest := before, strings.Fields(text)
	margin := utf8.RuneCountInString(before)
	if width == 0 || margin+utf8.RuneCountInString(text) <= width {
		return strings.TrimRight(before+text, " ") + "\n"
	}
	if width-margin < narrowest {
		margin = indent
	}
	var b strings.Builder
	for _, word := range rest {
		if utf8.RuneCountInString(line)+utf8.RuneCountInString(word) > width && strings.TrimSpace(line) != "" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", margin)
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}

// empty says why the stage has no step.
func (s *Stage) empty() string {
	if s.Source != nil && !s.Source.Each {
		return "no container is wanted"
	}
	return "no app matches"
}

func (s *Stage) heading() string {
	words := []string{s.Name + ":", string(s.Verb)}
	switch {
	case s.Finally:
		words = append(words, "at the end, whatever happened")
	case len(s.Needs) > 0 && s.PerApp:
		words = append(words, "each app after its own "+strings.Join(s.Needs, ", "))
	case len(s.Needs) > 0:
		words = append(words, "after "+strings.Join(s.Needs, ", "))
	default:
		words = append(words, "at once")
	}
	if s.Sequential {
		words = append(words, "one after another")
	} else if s.MaxParallel > 0 {
		words = append(words, fmt.Sprintf("%d at a time", s.MaxParallel))
	}
	return words[0] + " " + strings.Join(words[1:], ", ")
}

// target is the container, or what an inline step does.
func target(s *Step) string {
	if s.Container != "" {
		return s.Container
	}
	return ""
}

func (s *Step) details() []string {
	var out []string
	if s.WaitsFor != "" {
		word := "until"
		switch s.Verb {
		case stages.Call:
			word = "sends"
		case stages.Upgrade:
			word = "walks"
		}
		out = append(out, word+" "+s.WaitsFor)
	}
	if s.Exclusive != "" {
		out = append(out, "alone on "+s.Exclusive)
	}
	if s.Follows != "" {
		out = append(out, "after the end of "+s.Follows)
	}
	return out
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
