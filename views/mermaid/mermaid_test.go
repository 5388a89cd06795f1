package mermaid

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/stages"
)

// hafPlan has one of everything.
func hafPlan() *plan.Plan {
	spec := &containers.Spec{}
	step := func(id, stage string, verb stages.Verb, app, service string, action plan.Action, cause string) *plan.Step {
		s := &plan.Step{ID: id, Stage: stage, Verb: verb, App: app, Service: service, Action: action, Cause: cause}
		if service != "" {
			s.Container, s.Spec = "haf-"+service+"-1", spec
		}
		return s
	}
	p := &plan.Plan{Stack: "haf; # <1>", Steps: []*plan.Step{
		step("indexes/a", "indexes", stages.Run, "a", "a-builder", plan.Create, "never ran"),
		step("indexes/b", "indexes", stages.Run, "b", "b-builder", plan.Recreate, "last attempt: exit 1; see #3"),
		step("haf", "haf", stages.Start, "", "haf", plan.Restart, "had ended: exit 0"),
		step("live", "live", stages.Await, "", "", plan.Wait, "never ran"),
		step("probe", "probe", stages.Await, "", "end", plan.Create, "never ran"),
		step("setup/a", "setup", stages.Run, "a", "a-setup", plan.Skip, "recorded by run r1"),
		step("setup/b", "setup", stages.Run, "b", "b-setup", plan.Adopt, "runs already"),
		step("api/a", "api", stages.Start, "a", "a-api", plan.Create, "not there"),
		step("api/b", "api", stages.Start, "b", "b-api", plan.Adopt, "runs already"),
		step("tell", "tell", stages.Call, "", "", plan.Request, "never ran"),
	}}
	p.Step("indexes/a").Exclusive, p.Step("indexes/b").Exclusive = "haf-data", "haf-data"
	p.Step("live").WaitsFor = `sql postgres://haf:5432/x "SELECT a > 1; -- %% 'end'"`
	p.Step("api/a").WaitsFor = "http://a-api:8080/"
	p.Step("tell").WaitsFor = "PUT http://haf:1/x"
	p.Stages = []*plan.Stage{
		{Name: "indexes", Verb: stages.Run, Steps: []string{"indexes/a", "indexes/b"}, Sequential: true},
		{Name: "haf", Verb: stages.Start, Needs: []string{"indexes"}, Steps: []string{"haf"}},
		{Name: "live", Verb: stages.Await, Needs: []string{"haf"}, Steps: []string{"live"}},
		{Name: "probe", Verb: stages.Await, Needs: []string{"haf"}, Steps: []string{"probe"}},
		{Name: "setup", Verb: stages.Run, Needs: []string{"live"}, Steps: []string{"setup/a", "setup/b"}},
		{Name: "api", Verb: stages.Start, Needs: []string{"setup"}, PerApp: true, Steps: []string{"api/a", "api/b"}, Source: &stages.Stage{}},
		{Name: "tell", Verb: stages.Call, Finally: true, Steps: []string{"tell"}},
		{Name: "nobody", Verb: stages.Run},
	}
	return p
}

func TestMermaid(t *testing.T) {
	want := `sequenceDiagram
    title haf#59; #35; #lt;1#gt;
    actor runner as stagehand
    participant p1 as haf
    participant p2 as b-setup
    participant p3 as b-api
    rect rgb(240, 244, 250)
        Note over runner: indexes: run
        create participant p4 as a-builder
        runner->>p4: create (never ran)
        Note over p4: alone on haf-data
        destroy p4
        p4-xrunner: exit 0
        create participant p5 as b-builder
        runner->>p5: recreate (last attempt: exit 1#59; see #35;3)
        Note over p5: alone on haf-data
        destroy p5
        p5-xrunner: exit 0
    end
    rect rgb(250, 246, 238)
        Note over runner: haf: start, after indexes
        runner->>p1: start (had ended: exit 0)
    end
    rect rgb(240, 244, 250)
        Note over runner: live: await, after haf
        runner->>runner: waits until sql postgres://haf:5432/x "SELECT a #gt; 1#59; -- #37;#37; 'end'" (never ran)
    end
    rect rgb(250, 246, 238)
        Note over runner: probe: await, after haf
        create participant p6 as end
        runner->>p6: create (never ran)
        destroy p6
        p6-xrunner: it holds
    end
    rect rgb(240, 244, 250)
        Note over runner: setup: run, after live
        par a
            Note over runner: setup/a: skipped, recorded by run r1
        and b
            runner->>p2: adopt (runs already)
            destroy p2
            p2-xrunner: exit 0
        end
    end
    rect rgb(250, 246, 238)
        Note over runner: api: start, each app after its own setup
        par a
            create participant p7 as a-api
            runner->>p7: create (not there)
            p7-->>runner: ready: http://a-api:8080/
        and b
            runner->>p3: adopt (runs already)
        end
    end
    rect rgb(240, 244, 250)
        Note over runner: tell: call, at the end, whatever happened
        runner->>runner: sends PUT http://haf:1/x (never ran)
    end
`
	if diff := cmp.Diff(want, Draw(hafPlan())); diff != "" {
		t.Error(diff)
	}
}

// The rules of mermaid's own parser for participants that come and go, held
// for any plan. Source: mermaid's sequenceDb, cases createParticipant,
// destroyParticipant and addMessage.
func TestMermaidRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan(t)
		if err := mermaidRules(Draw(p)); err != nil {
			t.Fatalf("%v in\n%s", err, Draw(p))
		}
	})
}

func anyPlan(t *rapid.T) *plan.Plan {
	p := &plan.Plan{Stack: "x"}
	for i := range rapid.IntRange(0, 6).Draw(t, "stages") {
		verb := rapid.SampledFrom([]stages.Verb{stages.Run, stages.Await, stages.Start, stages.Call}).Draw(t, "verb")
		stage := &plan.Stage{Name: fmt.Sprint("s", i), Verb: verb, Sequential: rapid.Bool().Draw(t, "sequential"),
			Source: &stages.Stage{Keep: stages.Keep{Policy: rapid.SampledFrom([]string{"never", "always"}).Draw(t, "keep")}}}
		p.Stages = append(p.Stages, stage)
		for k := range rapid.IntRange(0, 3).Draw(t, "steps") {
			s := &plan.Step{ID: fmt.Sprintf("s%d/%d", i, k), Stage: stage.Name, Verb: verb, Cause: rapid.String().Draw(t, "cause"), Action: plan.Wait}
			if verb == stages.Start || verb == stages.Run || verb == stages.Await && rapid.Bool().Draw(t, "detector") {
				// Few names, so that several steps share a container.
				s.Container, s.Spec = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "container"), &containers.Spec{}
				s.Action = rapid.SampledFrom([]plan.Action{plan.Create, plan.Recreate, plan.Restart, plan.Adopt, plan.Skip}).Draw(t, "action")
			}
			p.Steps = append(p.Steps, s)
			stage.Steps = append(stage.Steps, s.ID)
		}
	}
	return p
}

var (
	participantLine = regexp.MustCompile(`^(create )?(?:participant|actor) (\w+) as \S`)
	messageLine     = regexp.MustCompile(`^(\w+)(?:->>|-->>|--x|-x)(\w+): `)
)

func mermaidRules(diagram string) error {
	alive, depth := map[string]bool{}, 0
	ever := map[string]bool{}
	created, destroyed := "", ""
	for n, line := range strings.Split(strings.TrimSpace(diagram), "\n") {
		line = strings.TrimSpace(line)
		fail := func(format string, args ...any) error {
			return fmt.Errorf("line %d: "+format, append([]any{n + 1}, args...)...)
		}
		switch m := participantLine.FindStringSubmatch(line); {
		case m != nil && ever[m[2]]:
			return fail("%s twice", m[2])
		case m != nil:
			alive[m[2]], ever[m[2]] = true, true
			if m[1] != "" {
				created = m[2]
			}
		case strings.HasPrefix(line, "destroy "):
			destroyed = strings.TrimPrefix(line, "destroy ")
		case strings.HasPrefix(line, "rect "), strings.HasPrefix(line, "par "):
			depth++
		case line == "end":
			depth--
		case strings.HasPrefix(line, "Note over "), strings.HasPrefix(line, "and "), strings.HasPrefix(line, "title "), line == "sequenceDiagram":
			if strings.HasPrefix(line, "Note over ") && !alive[strings.TrimSuffix(strings.Fields(line)[2], ":")] {
				return fail("note over nobody")
			}
		default:
			m := messageLine.FindStringSubmatch(line)
			switch {
			case m == nil:
				return fail("not understood")
			case !alive[m[1]] || !alive[m[2]]:
				return fail("a message of somebody who is not there")
			case created != "" && m[2] != created:
				return fail("the first message after a creation must go to %s", created)
			case destroyed != "" && m[1] != destroyed && m[2] != destroyed:
				return fail("the first message after a destruction must be of %s", destroyed)
			}
			if destroyed != "" {
				alive[destroyed] = false
			}
			created, destroyed = "", ""
		}
	}
	if depth != 0 || created != "" || destroyed != "" {
		return fmt.Errorf("not closed: %d, %q, %q", depth, created, destroyed)
	}
	return nil
}

// mermaid's own renderer, in a real browser, takes the diagram. It needs
// chromium and, once: npm install --prefix .cache/mermaid mermaid
func TestMermaidRenders(t *testing.T) {
	script := os.Getenv("MERMAID_JS")
	if script == "" {
		script = filepath.Join("..", "..", ".cache", "mermaid", "node_modules", "mermaid", "dist", "mermaid.min.js")
	}
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script); err != nil {
		t.Skipf("no mermaid (npm install --prefix .cache/mermaid mermaid): %v", err)
	}
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no chromium in PATH")
	}
	type drawing struct {
		name, diagram string
		want          []string // nil: mermaid refuses it
	}
	drawings := []drawing{
		{"a whole plan", Draw(hafPlan()), []string{"a-builder", "alone on haf-data", "SELECT a &gt; 1; -- %%", "haf; # &lt;1&gt;"}},
		{"an empty plan", Draw(&plan.Plan{Stack: "x"}), []string{"stagehand"}},
		// Shows that the check can fail.
		{"a creation without a message", "sequenceDiagram\n actor a\n create participant b\n a->>a: x", nil},
	}
	for name, run := range recordedRuns() {
		drawings = append(drawings, drawing{"a run: " + name, DrawRun(run), []string{"demo, " + run[0].Verb + " r1"}})
	}
	// As a whole it would be more than mermaid draws: which it says in a picture, too.
	drawings = append(drawings, drawing{"a run: 100 apps", DrawRun(hundredApps()), []string{"app-000-setup", "app-099-api", "demo, up r1", "of 300 steps"}})
	drawings = append(drawings, drawing{"a run: names", DrawRun(strangeNames()), []string{`sémaphore; #1 "ü" &lt;b&gt;`, "日本"}})

	// One browser draws them all: its start takes longer than the drawings.
	var page strings.Builder
	page.WriteString(`<!doctype html><meta charset="utf-8">`)
	for i, d := range drawings {
		fmt.Fprintf(&page, `<pre class="in">%s</pre><div class="out">nothing</div><!--END %d-->`, html.EscapeString(d.diagram), i)
	}
	page.WriteString(`<script src="file://` + script + `"></script><script>
mermaid.initialize({startOnLoad: false});
(async () => {
  const ins = document.querySelectorAll(".in"), outs = document.querySelectorAll(".out");
  for (let i = 0; i < ins.length; i++) {
    try { outs[i].innerHTML = "RENDERED " + (await mermaid.render("d" + i, ins[i].textContent)).svg; }
    catch (e) { outs[i].textContent = "REFUSED " + e; }
  }
})();
</script>`)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	// The package's libraries need no sandbox to draw; root has none.
	output, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=20000", "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Fatalf("%s: %v", browser, err)
	}
	rest := string(output)
	for i, d := range drawings {
		_, after, _ := strings.Cut(rest, `class="out">`)
		out, left, found := strings.Cut(after, fmt.Sprintf("<!--END %d-->", i))
		if !found {
			t.Fatalf("%s: not in the page", d.name)
		}
		rest = left
		if rendered := strings.HasPrefix(out, "RENDERED"); rendered != (d.want != nil) {
			t.Errorf("%s: rendered: %v: %.600s\n%s", d.name, rendered, out, d.diagram)
		}
		for _, want := range d.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in the picture", d.name, want)
			}
		}
	}
}
