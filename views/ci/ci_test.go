package ci

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time, e.Kind, e.Step, e.Run, e.Stack = zero.Add(time.Duration(ms)*time.Millisecond), kind, step, "20260102-030405-abcdef", "demo"
	return e
}

func TestOf(t *testing.T) {
	for variable, want := range map[string]System{"GITHUB_ACTIONS": GitHub, "GITLAB_CI": GitLab, "CI": ""} {
		if got := Of(func(name string) string {
			if name == variable {
				return "true"
			}
			return ""
		}); got != want {
			t.Errorf("%s: %q", variable, got)
		}
	}
}

func TestSections(t *testing.T) {
	for system, want := range map[System]string{
		GitHub: "::group::stagehand up demo\n::endgroup::\n",
		GitLab: "\x1b[0Ksection_start:1767323045:up_20260102_030405_abcdef[collapsed=true]\r\x1b[0Kstagehand up demo\n" +
			"\x1b[0Ksection_end:1767323046:up_20260102_030405_abcdef\r\x1b[0K\n",
	} {
		var out bytes.Buffer
		s := Sections{W: &out, System: system}
		for _, e := range []events.Event{
			at(0, events.RunStarted, "", events.Event{Verb: "up"}),
			at(0, events.StepStarted, "a", events.Event{Verb: "run"}),
			at(1000, events.RunEnded, "", events.Event{Verb: "up"}),
		} {
			if err := s.Emit(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s: %s", system, diff)
		}
	}
}

func TestAnnotation(t *testing.T) {
	for want, got := range map[string]string{
		"::error title=a%3A b%2C c::100%25%0Aof it: yes, all":   Annotation("error", "a: b, c", "100%\nof it: yes, all", Place{}),
		"::warning file=x%2Cy.yaml,line=3,col=5,title=t::m%0Dn": Annotation("warning", "t", "m\rn", Place{"x,y.yaml", 3, 5}),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	seven := 7
	got := Summary([]events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up"}),
		at(0, events.StepStarted, "db", events.Event{Attempt: 1}),
		at(100, events.StepEnded, "db", events.Event{Outcome: events.Done}),
		at(100, events.StepStarted, "a_b|c", events.Event{Attempt: 1}),
		at(300, events.StepEnded, "a_b|c", events.Event{Outcome: events.Failed, ExitCode: &seven, Error: "exit 7", Logs: []string{"<b>", "```", "\x1b[1mbold"}}),
		at(300, events.StepEnded, "api", events.Event{Outcome: events.Skipped, Error: "not reached: a_b|c failed"}),
		at(310, events.RunEnded, "", events.Event{Verdict: events.VerdictFailed}),
	}, "warning: @all of *it*")
	want := "### stagehand: demo, up 20260102-030405-abcdef, failed after 310ms\n\n" +
		"- warning: &#64;all of \\*it\\*\n\n" +
		"**a\\_b\\|c**: exit 7\n\n" +
		"````\n<b>\n```\n[1mbold\n````\n\n" +
		"| step | outcome | time | attempts | |\n|---|---|---|---|---|\n" +
		"| a\\_b\\|c | failed | 200ms | 1 | exit 7, on the critical path |\n" +
		"| db | done | 100ms | 1 | on the critical path |\n" +
		"| api | not reached |  |  | not reached: a\\_b\\|c failed |\n" +
		"\n<details><summary>What happened</summary>\n\n```mermaid\nsequenceDiagram\n"
	if !strings.HasPrefix(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if !strings.HasSuffix(got, "310 failed\n```\n\n</details>\n\n") && !strings.HasSuffix(got, "0.31 failed\n```\n\n</details>\n\n") {
		t.Errorf("the end: %q", got[len(got)-80:])
	}
}

// A summary stays small, whatever the run: GitHub takes 1 MiB.
func TestSummaryOfManySteps(t *testing.T) {
	run := []events.Event{at(0, events.RunStarted, "", events.Event{Verb: "up"})}
	for i := range 2000 {
		id := fmt.Sprintf("setup/app-with-a-long-name-%d", i)
		run = append(run, at(i, events.StepStarted, id, events.Event{Attempt: 1, Container: id}), at(i+1, events.StepEnded, id, events.Event{Outcome: events.Done, Container: id}))
	}
	got := Summary(append(run, at(5000, events.RunEnded, "", events.Event{Verdict: events.VerdictDone})))
	if len(got) > 100_000 || !strings.Contains(got, "\n1700 steps more\n") || !strings.Contains(got, " of 2000 steps: ") {
		t.Errorf("%d bytes:\n%s", len(got), got)
	}
}
