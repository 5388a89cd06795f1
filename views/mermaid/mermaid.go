// Package mermaid draws a plan, or a run, as a sequence diagram in Mermaid's language.
package mermaid

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Draw draws the plan as a sequence diagram: what is there already stands
// at the top, helpers are created and destroyed where their step is, services
// are created and stay; a box holds each stage, its steps side by side in a par block.
func Draw(p *plan.Plan) string {
	d := &diagram{plan: p, there: map[string]string{}}
	d.add("sequenceDiagram")
	d.add("    title %s", safe(p.Stack))
	d.add("    actor runner as stagehand")
	for _, s := range p.Steps {
		if s.Container != "" && s.Action != plan.Create && s.Action != plan.Recreate && s.Action != plan.Skip && d.there[s.Container] == "" {
			d.add("    participant %s as %s", d.name(s), safe(label(s)))
		}
	}
	for i, stage := range p.Stages {
		if len(stage.Steps) == 0 {
			continue
		}
		// Boxes of mermaid's own (the keyword box) hold participants that exist from the start only;
		// a rect holds what happens, which is what a stage is. Two shades tell neighbours apart.
		d.add("    rect rgb(%s)", []string{"240, 244, 250", "250, 246, 238"}[i%2])
		d.add("        Note over runner: %s", safe(heading(stage)))
		d.stage(stage)
		d.add("    end")
	}
	return d.b.String()
}

type diagram struct {
	plan *plan.Plan
	b    strings.Builder
	// there maps a container that stands to its participant.
	there map[string]string
	count int
}

func (d *diagram) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// name makes a new participant for the step's container. Mermaid takes no
// name twice, even if the first has been destroyed.
func (d *diagram) name(s *plan.Step) string {
	d.count++
	name := fmt.Sprintf("p%d", d.count)
	d.there[s.Container] = name
	return name
}

func (d *diagram) stage(stage *plan.Stage) {
	var steps []*plan.Step
	for _, id := range stage.Steps {
		if s := d.plan.Step(id); s != nil {
			steps = append(steps, s)
		}
	}
	if len(steps) < 2 || stage.Sequential {
		for _, s := range steps {
			d.step(s, "        ")
		}
		return
	}
	for i, s := range steps {
		word := "and"
		if i == 0 {
			word = "par"
		}
		d.add("        %s %s", word, safe(cmp.Or(s.App, s.Service, s.ID)))
		d.step(s, "            ")
	}
	d.add("        end")
}

func (d *diagram) step(s *plan.Step, in string) {
	if s.Action == plan.Skip {
		d.add("%sNote over runner: %s", in, safe(fmt.Sprintf("%s: skipped, %s", s.ID, s.Cause)))
		return
	}
	if s.Container == "" {
		word := "waits until"
		if s.Verb == stages.Call {
			word = "sends"
		}
		d.add("%srunner->>runner: %s", in, safe(fmt.Sprintf("%s %s (%s)", word, s.WaitsFor, s.Cause)))
		return
	}
	name := d.appear(s, in)
	if s.Exclusive != "" {
		d.add("%sNote over %s: %s", in, name, safe("alone on "+s.Exclusive))
	}
	switch {
	case !s.Helper():
		if s.WaitsFor != "" {
			d.add("%s%s-->>runner: %s", in, name, safe("ready: "+s.WaitsFor))
		}
	case kept(d.plan, s):
		d.add("%s%s-->>runner: %s", in, name, safe(end(s)+", kept"))
	default:
		d.add("%sdestroy %s", in, name)
		d.add("%s%s-xrunner: %s", in, name, safe(end(s)))
		delete(d.there, s.Container)
	}
}

// appear writes the message that begins the step, creating its participant unless it stands there.
func (d *diagram) appear(s *plan.Step, in string) string {
	name, there := d.there[s.Container]
	does := fmt.Sprintf("%s (%s)", s.Action, s.Cause)
	if there && s.Action == plan.Recreate {
		d.add("%sdestroy %s", in, name)
		d.add("%srunner-x%s: %s", in, name, safe("removes ("+s.Cause+")"))
		there = false
	}
	if !there {
		name = d.name(s)
		d.add("%screate participant %s as %s", in, name, safe(label(s)))
	}
	d.add("%srunner->>%s: %s", in, name, safe(does))
	return name
}

// end is what a helper's end means.
func end(s *plan.Step) string {
	if s.Verb == stages.Await {
		return "it holds"
	}
	if s.WaitsFor != "" {
		return "stopped once " + s.WaitsFor
	}
	return "exit 0"
}

func kept(p *plan.Plan, s *plan.Step) bool {
	for _, stage := range p.Stages {
		if stage.Name == s.Stage && stage.Source != nil {
			return stage.Source.Keep.Policy == "always" || stage.Source.Keep.For > 0
		}
	}
	return false
}

func label(s *plan.Step) string { return cmp.Or(s.Service, s.Container) }

func heading(s *plan.Stage) string {
	words := []string{fmt.Sprintf("%s: %s", s.Name, s.Verb)}
	if len(s.Needs) > 0 && s.PerApp {
		words = append(words, "each app after its own "+strings.Join(s.Needs, " and "))
	} else if len(s.Needs) > 0 {
		words = append(words, "after "+strings.Join(s.Needs, " and "))
	}
	if s.Finally {
		words = append(words, "at the end, whatever happened")
	}
	return strings.Join(words, ", ")
}

// textReplacer makes a string safe in a line of a diagram: "#" and ";" have a meaning
// there, "<" would be HTML, and a line break ends the statement.
var textReplacer = strings.NewReplacer("#", "#35;", ";", "#59;", "<", "#lt;", ">", "#gt;", "%%", "#37;#37;", "\n", " ", "\r", " ", "\t", " ")

func safe(s string) string { return textReplacer.Replace(text.Clean(s)) }
