package reports

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/ci"
	"github.com/stagehand-dev/stagehand/views/text"
)

// note is something about a run that a CI system shows where it is seen.
type note struct {
	level, title, message string
	stage                 string // that it is about, "" for none
}

// failures are notes on the steps that failed.
func (w Writer) failures(run []events.Event) []note {
	var notes []note
	for _, e := range run {
		if e.Kind == events.StepEnded && (e.Outcome == events.Failed || e.Outcome == events.TimedOut) {
			title := w.Stack.Name + ": " + e.Step + " " + strings.ReplaceAll(string(e.Outcome), "_", " ")
			notes = append(notes, note{"error", title, strings.Join(append([]string{text.How(e)}, text.Tail(e.Logs, ci.ShownLines)...), "\n"), e.Stage})
		}
	}
	return notes
}

// annotate tells GitHub Actions the notes, and adds the run to the job's summary.
func (w Writer) annotate(run []events.Event, notes []note) {
	if ci.Of(w.Getenv) != ci.GitHub {
		return
	}
	var lines []string
	for _, n := range notes {
		fmt.Fprintln(w.Masker.Writer(w.Stderr), ci.Annotation(n.level, n.title, n.message, w.place(n.stage)))
		if n.level != "error" || n.stage == "" { // the steps that failed stand in the summary anyway
			lines = append(lines, n.title+": "+n.message)
		}
	}
	path := w.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(ci.Summary(run, lines...))
		if closed := file.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		w.Say("no job summary: %v", err)
	}
}

// place is where the stage stands, relative to the repository that the job is about.
func (w Writer) place(stage string) ci.Place {
	for _, s := range w.Stack.Stages {
		if s.Name != stage || stage == "" || s.Implicit {
			continue
		}
		for _, path := range w.Stack.Files {
			relative, err := filepath.Rel(w.Getenv("GITHUB_WORKSPACE"), path)
			if filepath.Base(path) == filepath.Base(s.Pos.File) && err == nil && filepath.IsLocal(relative) {
				return ci.Place{File: filepath.ToSlash(relative), Line: s.Pos.Line, Col: s.Pos.Col}
			}
		}
	}
	return ci.Place{}
}
