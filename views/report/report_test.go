package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/stagehand-dev/stagehand/events"
)

// at is an event after so many milliseconds; a step of the verbs run and start has the
// container demo-NAME-1.
func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	e.Kind, e.Step, e.Run, e.Stack = kind, step, "r1", "demo"
	if step != "" {
		e.Stage, _, _ = strings.Cut(step, "/")
		if e.Verb == "run" || e.Verb == "start" {
			e.Service = strings.ReplaceAll(step, "/", "-")
			e.Container = "demo-" + e.Service + "-1"
		}
	}
	return e
}

const hostile = `</pre><script>alert(1)</script><img src=http://example.invalid/x onerror=alert(2)> & "q" 'a'`

// failedRun has one of everything: what was recorded, parallel steps, a wait, a
// retry, a failure with words of its own, and what it kept from being done.
func failedRun() []events.Event {
	zero, seven := 0, 7
	settled := []events.Settled{{Step: "init", Outcome: events.Skipped, Cause: "recorded by run r0"}}
	begin := func(verb, behind string, attempt int) events.Event {
		return events.Event{Verb: verb, Attempt: attempt, Cause: "never ran", Behind: behind}
	}
	return []events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up", Settled: settled, Files: []string{"stagehand.yaml"}}),
		at(10, events.StageStarted, "", events.Event{Stage: "db", Verb: "start"}),
		at(10, events.StepStarted, "db", begin("start", "", 1)),
		at(100, events.StepWaiting, "db", events.Event{Verb: "start", Cause: "tcp db:5432: refused"}),
		at(600, events.StepWaiting, "db", events.Event{Verb: "start", Cause: "tcp db:5432: reset"}),
		at(1000, events.StepEnded, "db", events.Event{Verb: "start", Outcome: events.Done, Addresses: []string{"127.0.0.1:5432->5432/tcp"}}),
		at(1010, events.StepStarted, "setup/one", begin("run", "db", 1)),
		at(1010, events.StepStarted, "setup/two", begin("run", "db", 1)),
		at(1500, events.StepEnded, "setup/two", events.Event{Verb: "run", Outcome: events.Done, ExitCode: &zero, Logs: []string{"\x1b[32mgreen\x1b[0m"}}),
		at(1510, events.HelperDestroyed, "setup/two", events.Event{Verb: "run"}),
		at(2000, events.StepRetrying, "setup/one", events.Event{Verb: "run", Attempt: 1, Outcome: events.Failed, ExitCode: &seven, Error: "exit 7", Cause: "attempt 2 of 2 in 1s", Logs: []string{"first try"}}),
		at(3000, events.StepStarted, "setup/one", begin("run", "db", 2)),
		at(4000, events.StepEnded, "setup/one", events.Event{Verb: "run", Attempt: 2, Outcome: events.Failed, ExitCode: &seven, Error: "exit 7", Logs: append(numbered("row", 30), hostile)}),
		at(4000, events.StepEnded, "api", events.Event{Verb: "start", Outcome: events.Skipped, Error: "not reached: setup/one failed"}),
		at(4010, events.HelperDestroyed, "setup/one", events.Event{Verb: "run"}),
		at(4020, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictFailed, Elapsed: 4020 * time.Millisecond}),
	}
}

func numbered(word string, n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("%s %d", word, i+1))
	}
	return lines
}

// largeRun is of so many steps in 5 stages, half of which fail, with more to tell than a page
// has room for.
func largeRun(steps int) []events.Event {
	all := []events.Event{at(0, events.RunStarted, "", events.Event{Verb: "up"})}
	nine := 9
	long := strings.Repeat("what it said was <long> ", 12)
	for i := range steps {
		stage, behind := i*5/steps, ""
		if stage > 0 {
			behind = fmt.Sprintf("stage%d/app%03d", stage-1, i-steps/5)
		}
		name, from := fmt.Sprintf("stage%d/app%03d", stage, i), 1000*stage+i
		all = append(all, at(from, events.StepStarted, name, events.Event{Verb: "run", Cause: "argv changed: " + long, Behind: behind}))
		for k := range 4 {
			all = append(all, at(from, events.StepWaiting, name, events.Event{Verb: "run", Cause: fmt.Sprint(k, " ", long)}))
		}
		end := events.Event{Verb: "run", Outcome: events.Done, Logs: numbered(long, 20)}
		if i%2 == 1 {
			end = events.Event{Verb: "run", Outcome: events.Failed, ExitCode: &nine, Error: "exit 9: " + long, Logs: numbered(long, 400)}
		}
		all = append(all, at(from+900, events.StepEnded, name, end), at(from+901, events.HelperDestroyed, name, events.Event{Verb: "run"}))
	}
	slices.SortStableFunc(all, func(a, b events.Event) int { return a.Time.Compare(b.Time) })
	return append(all, at(9000, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictFailed}))
}

func written(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// outline is what a page says, without styles and scripts: a line an element
// with text of its own.
func outline(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(n *html.Node, in string)
	walk = func(n *html.Node, in string) {
		switch {
		case n.Type == html.ElementNode && (n.Data == "style" || n.Data == "script" || n.Data == "svg" || n.Data == "meta"):
			return
		case n.Type == html.ElementNode:
			in += " " + n.Data
			for _, a := range n.Attr {
				if a.Key == "href" || a.Key == "id" || a.Key == "style" {
					in += "[" + a.Val + "]"
				}
			}
			if n.Data == "i" && n.FirstChild == nil {
				b.WriteString(strings.TrimPrefix(in, " html body div[page] ") + "\n")
			}
		case n.Type == html.TextNode && strings.TrimSpace(n.Data) != "":
			for line := range strings.Lines(strings.TrimSpace(n.Data)) {
				b.WriteString(strings.TrimPrefix(in, " html body div[page] ") + ": " + strings.TrimSpace(line) + "\n")
			}
		}
		for c := range n.ChildNodes() {
			walk(c, in)
		}
	}
	walk(root, "")
	return b.String()
}

// The outlines are compared with testdata/*.txt, which GOLDEN=write writes.
func TestOutline(t *testing.T) {
	for name, r := range map[string]Report{
		"failed": {Run: failedRun(), Standing: map[string][]string{"demo-db-1": {"ready to accept connections"}}},
		// Its process was killed, or it goes on.
		"unfinished": {Run: failedRun()[:7]},
		"empty":      {Run: []events.Event{at(0, events.RunStarted, "", events.Event{Verb: "up"}), at(20, events.RunEnded, "", events.Event{Verdict: events.VerdictDone})}},
		"nothing":    {},
	} {
		t.Run(name, func(t *testing.T) {
			got, file := outline(t, written(t, r)), filepath.Join("testdata", name+".txt")
			if os.Getenv("GOLDEN") == "write" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a container prints stays text, and nothing on the page reaches for anything outside.
func TestHostile(t *testing.T) {
	run := failedRun()
	for i := range run {
		for _, field := range []*string{&run[i].Error, &run[i].Cause} {
			if *field != "" {
				*field += hostile
			}
		}
		run[i].Stack = "demo" + hostile
	}
	page := written(t, Report{Run: run, Standing: map[string][]string{"demo-db-1": {hostile}}})
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" {
			scripts++
		}
		if n.Data == "img" || n.Data == "link" || n.Data == "iframe" || n.Data == "object" {
			t.Errorf("an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	if scripts != 1 {
		t.Errorf("%d scripts, expected our own", scripts)
	}
	if strings.Contains(pageCSS, "url(") || strings.Contains(pageCSS, "@import") {
		t.Error("the style reaches for something")
	}
}

// A page of 1,000 steps stays under 2 MB, and each log says what is missing of it.
func TestSize(t *testing.T) {
	page := written(t, Report{Run: largeRun(1000)})
	if len(page) >= 2_000_000 {
		t.Errorf("%d bytes", len(page))
	}
	t.Logf("%d bytes", len(page))
	if got := strings.Count(page, ` of 400 lines; all that is kept: <code>stagehand logs --run r1 stage`); got < 500 {
		t.Errorf("%d logs say that they were shortened", got)
	}
	if got := strings.Count(page, `<details class="step`); got != 1000 {
		t.Errorf("%d steps", got)
	}
	// What has room is shown whole.
	if page := written(t, Report{Run: failedRun()}); !strings.Contains(page, "\nrow 1\n") && !strings.Contains(page, ">row 1\n") {
		t.Error("a log of 31 lines was shortened")
	}
}

func TestFit(t *testing.T) {
	line := strings.Repeat("x", 99) // 100 bytes with its end
	logOf := func(lines int) *log {
		return newLog("", "", strings.Split(strings.Repeat(line+"\n", lines)[:100*lines-1], "\n"))
	}
	logs := []*log{logOf(50), nil, logOf(2), logOf(30)}
	if used := fit(logs, 4200); used != 4200 {
		t.Errorf("%d bytes used", used)
	}
	if len(logs[0].Lines) != 20 || len(logs[2].Lines) != 2 || len(logs[3].Lines) != 20 || !logs[0].Cut() || logs[2].Cut() {
		t.Errorf("%d, %d, %d lines", len(logs[0].Lines), len(logs[2].Lines), len(logs[3].Lines))
	}
	one := newLog("", "", []string{strings.Repeat("é", 500)})
	if fit([]*log{one}, 300); len(one.Lines) != 1 || one.bytes() > 300 || !strings.HasSuffix(one.Lines[0], "é…") {
		t.Errorf("%q", one.Lines)
	}
}

// A drawing gives each container a column while it stands, and a large run is drawn in part.
func TestDrawing(t *testing.T) {
	p := Report{Run: failedRun()}.page()
	if got := strings.Count(string(p.Drawing.SVG), "<rect"); got != 5 {
		t.Errorf("%d boxes, expected stagehand, db, setup/two and twice setup/one", got)
	}
	if len(p.Drawing.Lines) == 0 || p.Drawing.Note != "" || !strings.HasPrefix(p.Drawing.Mermaid, "sequenceDiagram\n") {
		t.Errorf("%+v", p.Drawing)
	}
	large := Report{Run: largeRun(500)}.page().Drawing
	if !strings.Contains(large.Note, "critical path, and what failed first") || large.SVG == "" {
		t.Errorf("%q", large.Note)
	}
}

func TestTicks(t *testing.T) {
	for whole, want := range map[time.Duration]string{
		0:                      "",
		900 * time.Millisecond: "0 200ms 400ms 600ms 800ms",
		4 * time.Second:        "0 1s 2s 3s 4s",
		95 * time.Second:       "0 15s 30s 45s 1m00s 1m15s 1m30s",
		30 * time.Hour:         "0 8h00m 16h00m 1d00h",
	} {
		var got []string
		for _, tick := range ticks(whole) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", whole, got, want)
		}
	}
}
