// Package ci writes what CI systems make more of than plain lines: sections that
// fold, annotations, a summary of the job.
package ci

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/mermaid"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// System is a CI system; "" is none that is known.
type System string

// The systems.
const (
	GitHub System = "github"
	GitLab System = "gitlab"
)

// Of is the system that a process with this environment runs in.
func Of(getenv func(string) string) System {
	switch {
	case getenv("GITHUB_ACTIONS") == "true":
		return GitHub
	case getenv("GITLAB_CI") == "true":
		return GitLab
	}
	return ""
}

// Sections folds the lines of a run away, all but its summary. It must stand
// before the view that writes them, and write to the same place.
type Sections struct {
	W      io.Writer
	System System
}

// Emit opens a section with the run and closes it before its end is told.
func (s Sections) Emit(_ context.Context, e events.Event) error {
	verb := e.Verb
	if verb == "" {
		verb = "run"
	}
	name := verb + "_" + strings.ReplaceAll(e.Run, "-", "_")
	mark := ""
	switch {
	case e.Kind == events.RunStarted && s.System == GitHub:
		mark = fmt.Sprintf("::group::stagehand %s %s\n", verb, text.Clean(e.Stack))
	case e.Kind == events.RunEnded && s.System == GitHub:
		mark = "::endgroup::\n"
	case e.Kind == events.RunStarted && s.System == GitLab:
		mark = fmt.Sprintf("\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0Kstagehand %s %s\n", e.Time.Unix(), name, verb, text.Clean(e.Stack))
	case e.Kind == events.RunEnded && s.System == GitLab:
		mark = fmt.Sprintf("\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", e.Time.Unix(), name)
	}
	_, err := io.WriteString(s.W, mark)
	return err
}

// Place is a place in a file, for annotations; the zero value is none.
type Place struct {
	File      string // relative to the repository
	Line, Col int
}

var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// Annotation is the line, without its end, that has GitHub Actions show a
// message beside a file; level is error, warning or notice. Source: the
// documentation of workflow commands.
func Annotation(level, title, message string, at Place) string {
	var where string
	if at.File != "" {
		where = fmt.Sprintf("file=%s,line=%d,col=%d,", property.Replace(at.File), at.Line, at.Col)
	}
	return fmt.Sprintf("::%s %stitle=%s::%s", level, where, property.Replace(title), data.Replace(message))
}

// ShownLines of a failed container's output are shown.
const ShownLines = 20

// shownRows bounds the table of a summary. The diagram bounds itself.
const shownRows = 300

// Summary is a run in GitHub's Markdown: what failed first, then all steps, the
// diagram, and notes beneath the title.
func Summary(run []events.Event, notes ...string) string {
	t := timeline.Of(run)
	var b strings.Builder
	fmt.Fprintf(&b, "### stagehand: %s\n\n", cell(t.Title()))
	for _, note := range notes {
		fmt.Fprintf(&b, "- %s\n", cell(note))
	}
	if t.Error != "" {
		fmt.Fprintf(&b, "- %s\n", cell(t.Error))
	}
	if len(notes) > 0 || t.Error != "" {
		b.WriteString("\n")
	}
	for _, e := range run {
		if e.Kind == events.StepEnded && (e.Outcome == events.Failed || e.Outcome == events.TimedOut) {
			fmt.Fprintf(&b, "**%s**: %s\n\n", cell(e.Step), cell(text.How(e)))
			if len(e.Logs) > 0 {
				b.WriteString(fenced("", text.Tail(e.Logs, ShownLines)))
			}
		}
	}
	if len(t.Rows) > 0 {
		b.WriteString("| step | outcome | time | attempts | |\n|---|---|---|---|---|\n")
	}
	rows := append(filtered(t.Rows, true), filtered(t.Rows, false)...)
	for i, r := range rows {
		if i == shownRows {
			fmt.Fprintf(&b, "\n%s more\n", text.Plural(len(rows)-i, "step"))
			break
		}
		took, attempts, why := "", "", r.Error
		if !r.Started.IsZero() {
			took, attempts = text.Duration(r.Took()), fmt.Sprint(r.Attempts)
		}
		if r.Critical {
			why = text.Joined(", ", why, "on the critical path")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(r.Step), r.State(), took, attempts, cell(why))
	}
	if len(t.Rows) > 0 {
		drawing := mermaid.DrawRun(run)
		b.WriteString("\n<details><summary>What happened</summary>\n\n" + fenced("mermaid", strings.Split(strings.TrimRight(drawing, "\n"), "\n")) + "</details>\n")
	}
	b.WriteString("\n")
	return b.String()
}

func filtered(rows []*timeline.Row, failed bool) []*timeline.Row {
	var out []*timeline.Row
	for _, r := range rows {
		if r.Failed() == failed {
			out = append(out, r)
		}
	}
	return out
}

// markdown are the characters that mean something in a line of Markdown.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "#", `\#`, "@", "&#64;",
)

// cell is text as it stands, in a line of Markdown.
func cell(words string) string { return markdown.Replace(text.Clean(words)) }

// fenced is a block of code, whatever its lines are.
func fenced(language string, lines []string) string {
	fence := "```"
	for _, line := range lines {
		for strings.Contains(line, fence) {
			fence += "`"
		}
	}
	var b strings.Builder
	b.WriteString(fence + language + "\n")
	for _, line := range lines {
		b.WriteString(text.Clean(line) + "\n")
	}
	b.WriteString(fence + "\n\n")
	return b.String()
}
