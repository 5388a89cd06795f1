package views

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
)

// summary closes the stream: what serves or, after a failure, which step,
// how, its last lines, what was not reached because of it, what to do next.
func (l *Lines) summary(e events.Event) {
	if !l.Brief { // else nothing of ours stands above
		l.print("")
	}
	if e.Verb == "down" {
		l.downSummary(e)
		return
	}
	head := fmt.Sprintf("%s: %s after %s", e.Stack, e.Verdict, text.Duration(e.Elapsed))
	if len(l.failures) > 0 {
		head += fmt.Sprintf(": %s failed", text.Plural(len(l.failures), "step"))
	}
	if len(l.missed) > 0 {
		head += fmt.Sprintf(", %d stopped or not reached", len(l.missed))
	}
	l.print(head)
	if e.Error != "" {
		l.print("  " + text.Clean(e.Error))
	}
	blamed := l.blame()
	for _, f := range l.failures {
		l.failure(f, blamed[f.Step])
	}
	if rest := blamed[""]; len(rest) > 0 {
		l.print("\n  stopped or not reached: " + l.listed(rest))
	}
	if len(l.serving) > 0 {
		l.print("")
	}
	slices.SortFunc(l.serving, text.Compare)
	width := 0
	for _, s := range l.serving {
		width = max(width, strings.IndexByte(s, '\t'))
	}
	for _, s := range l.serving {
		step, urls, _ := strings.Cut(s, "\t")
		l.print(fmt.Sprintf("  %-*s  %s", width, step, urls))
	}
	l.next(e)
}

func (l *Lines) failure(f events.Event, missed []string) {
	word := "failed"
	if f.Outcome == events.TimedOut {
		word = "timed out"
	}
	l.print(fmt.Sprintf("\n  %s %s: %s", f.Step, word, text.Clean(text.How(f))))
	var where []string
	for _, pair := range [][2]string{{"app", f.App}, {"service", f.Service}, {"container", f.Container}, {"", attempt(f)}, {"after", l.After[f.Step]}} {
		if pair[1] != "" {
			where = append(where, strings.TrimLeft(pair[0]+" "+pair[1], " "))
		}
	}
	if len(where) > 0 {
		l.print("    " + strings.Join(where, ", "))
	}
	if len(f.Logs) > 0 {
		l.print("    its last lines:")
		l.output(f.Logs, summaryLines)
	}
	if len(missed) > 0 {
		l.print("    stopped or not reached because of it: " + l.listed(missed))
	}
}

// listedSteps are so many that their names can still be read; of more the stages are named.
const listedSteps = 12

// listed names the missed steps, or counts those of each stage.
func (l *Lines) listed(ids []string) string {
	if len(ids) <= listedSteps {
		return strings.Join(ids, ", ")
	}
	counts, order := map[string]int{}, []string{}
	for _, m := range l.missed {
		if !slices.Contains(ids, m.Step) {
			continue
		}
		if counts[m.Stage]++; counts[m.Stage] == 1 {
			order = append(order, m.Stage)
		}
	}
	for i, stage := range order {
		order[i] = fmt.Sprintf("%s of %s", text.Plural(counts[stage], "step"), stage)
	}
	return strings.Join(order, ", ")
}

// blame sorts the steps that were missed by the failed step that is at fault, directly or
// through another missed step; "" has those that name none.
func (l *Lines) blame() map[string][]string {
	culprit := map[string]string{}
	for _, f := range l.failures {
		culprit[f.Step] = f.Step
	}
	blamed := map[string][]string{}
	for _, m := range l.missed {
		found := ""
		for _, word := range strings.Fields(m.Error) {
			if c, ok := culprit[strings.Trim(word, ":,")]; ok {
				found = c
				break
			}
		}
		if found != "" {
			culprit[m.Step] = found
		}
		if !slices.Contains(blamed[found], m.Step) {
			blamed[found] = append(blamed[found], m.Step)
		}
	}
	return blamed
}

// next says what the user can do now.
func (l *Lines) next(e events.Event) {
	if e.Verdict == events.VerdictDone {
		return
	}
	l.print("")
	if e.Cause != "" {
		l.print("  " + e.Cause)
	} else {
		l.print("  Services that run stay as they are. Next:")
	}
	rows := [][]string{}
	for _, f := range l.failures {
		if f.Container != "" && !f.Conflict {
			rows = append(rows, []string{l.command("logs", "--run", f.Run, f.Step), "what it has printed"},
				[]string{l.command("debug", f.Step), "a shell where it ran"})
			break
		}
	}
	for _, f := range l.failures {
		if len(f.Aside) > 0 {
			rows = append(rows, []string{l.command("upgrade", "--app", f.Aside[0]), "tries it again, once it is mended"})
		}
	}
	rows = append(rows,
		[]string{l.command("status"), "where every step stands"},
		[]string{l.command("up"), "goes on from here"})
	if e.Cause == "" {
		rows = append(rows, []string{l.command("down"), "takes the stack down"})
	}
	for row := range strings.Lines(text.Table(rows)) {
		l.print("    " + strings.TrimRight(row, "\n"))
	}
}

// command is the command line that runs words on the run's stack.
func (l *Lines) command(words ...string) string {
	if l.Command != nil {
		return l.Command(words...)
	}
	return "stagehand " + strings.Join(words, " ")
}

// downSummary closes a down: what is gone, what is kept, what goes on.
func (l *Lines) downSummary(e events.Event) {
	if e.Verdict == events.VerdictDone {
		gone := "no containers to remove"
		if n := len(l.removed); n > 0 {
			gone = text.Plural(n, "container") + " removed"
		}
		l.print(text.Joined(", ", e.Stack+": down", gone, l.Left))
		return
	}
	l.print(fmt.Sprintf("%s: down %s after %s", e.Stack, e.Verdict, text.Duration(e.Elapsed)))
	if e.Error != "" {
		l.print("  " + text.Clean(e.Error))
	}
	if e.Verdict == events.VerdictFailed {
		l.print("\n  What is not removed yet stays as it is. Once the cause is gone: " + l.command("down"))
	}
}
