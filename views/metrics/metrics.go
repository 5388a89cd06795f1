// Package metrics writes a run's timings as Prometheus reads them from a text file: for the
// textfile collector of node_exporter.
package metrics

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// Write writes the timings of a run, whose events are in order. name is the stack's name in its file: by its
// labels a series of one run goes on in the next, so neither the run's ID nor a text of an error is among them.
func Write(w io.Writer, name string, run []events.Event) error {
	t := timeline.Of(run)
	stack := label{"stack", name}
	whole := []label{stack, {"verb", t.Verb}}
	p := &page{}
	p.family("stagehand_run_duration_seconds", "How long the latest run took.")
	p.sample(t.Took().Seconds(), whole...)
	p.family("stagehand_run_success", "Whether the latest run was done (1) or not (0).")
	p.sample(number(t.Verdict == events.VerdictDone), whole...)
	p.family("stagehand_run_end_timestamp_seconds", "When the latest run ended, in seconds since 1970.")
	p.sample(float64(t.Started.Add(t.Took()).UnixMilli())/1000, whole...)

	p.family("stagehand_run_steps", "How many steps of the latest run ended so.")
	counts := map[string]int{}
	for _, r := range t.Rows {
		counts[strings.ReplaceAll(r.State(), " ", "_")]++
	}
	for _, state := range []string{"done", "failed", "timed_out", "skipped", "adopted", "stopped", "not_reached", "no_end", "not_begun"} {
		p.sample(float64(counts[state]), append(whole[:2:2], label{"outcome", state})...)
	}

	p.family("stagehand_stage_duration_seconds", "How long a stage took, from the beginning of its first step to the end of its last.")
	for _, s := range stages(t) {
		p.sample(s.took.Seconds(), stack, label{"stage", s.name})
	}
	p.family("stagehand_stage_critical_seconds", "What a stage had of the critical path; an empty stage stands for what no step took.")
	for _, s := range t.Shares() {
		p.sample(s.Took.Seconds(), stack, label{"stage", s.Stage})
	}
	p.family("stagehand_step_duration_seconds", "How long a step took, all attempts and the waits between them.")
	for _, r := range t.Rows {
		if !r.Started.IsZero() {
			p.sample(t.End(r).Sub(r.Started).Seconds(), step(stack, r)...)
		}
	}
	p.family("stagehand_step_attempts", "How many attempts of a step were begun.")
	for _, r := range t.Rows {
		if r.Attempts > 0 {
			p.sample(float64(r.Attempts), step(stack, r)...)
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

func step(stack label, r *timeline.Row) []label {
	return []label{stack, {"stage", r.Stage}, {"step", r.Step}, {"app", r.App}, {"service", r.Service}, {"verb", r.Verb}}
}

type stage struct {
	name string
	took time.Duration
}

// stages are those of which a step began, in the order of their first steps.
func stages(t *timeline.Run) []stage {
	var names []string
	first, last := map[string]time.Time{}, map[string]time.Time{}
	for _, r := range t.Rows {
		if r.Started.IsZero() {
			continue
		}
		if !slices.Contains(names, r.Stage) {
			names = append(names, r.Stage)
			first[r.Stage] = r.Started
		}
		if r.Started.Before(first[r.Stage]) {
			first[r.Stage] = r.Started
		}
		if end := t.End(r); end.After(last[r.Stage]) {
			last[r.Stage] = end
		}
	}
	all := make([]stage, len(names))
	for i, name := range names {
		all[i] = stage{name, last[name].Sub(first[name])}
	}
	return all
}

func number(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}

type label struct{ name, value string }

// page is the text so far. Source: prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
type page struct {
	b    strings.Builder
	name string
}

func (p *page) family(name, help string) {
	p.name = name
	fmt.Fprintf(&p.b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *page) sample(value float64, labels ...label) {
	p.b.WriteString(p.name)
	for i, l := range labels {
		opening := ","
		if i == 0 {
			opening = "{"
		}
		fmt.Fprintf(&p.b, `%s%s="%s"`, opening, l.name, escaped.Replace(strings.ToValidUTF8(l.value, "\uFFFD")))
	}
	p.b.WriteString("} " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}
