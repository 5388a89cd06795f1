// Package report writes a run as one HTML page that needs nothing else: no
// network, no script. It shows what failed, the critical path, when each step
// ran, what passed between stagehand and the containers, and what these printed.
package report

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/stagehand-dev/stagehand/events"
)

// Report is the run that a page is about.
type Report struct {
	// Run are the events of the run, in order.
	Run []events.Event
	// Standing are the last lines of containers that still stand, by their names. They
	// take the place of what the events have of their steps.
	Standing map[string][]string
	// Goes tells that the run is at work: then what has no end is running.
	Goes bool
	// Command is the command line that runs words on the same stack, for hints;
	// nil puts stagehand before them.
	Command func(words ...string) string
	// Stream, of a page that is served, is where it hears what is new: server-sent events,
	// each the page's new Body as a JSON string; "over" ends them. Home leads to the list of runs.
	Stream, Home string
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	pages = template.Must(template.New("page").Parse(pageHTML))
)

// Write writes the page: under 2 MB for a run of 1,000 steps, whatever these have
// printed. Where logs are shortened for that, they say so and where all of them is.
func Write(w io.Writer, r Report) error { return pages.Execute(w, r.page()) }

// Body writes what of the page changes while its run goes on.
func Body(w io.Writer, r Report) error { return pages.ExecuteTemplate(w, "body", r.page()) }
