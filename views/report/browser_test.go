package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/stagehand-dev/stagehand/events"
)

// browser is a tab of a headless Chromium. The package's own browser needs no sandbox for
// pages of our own; root has none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no chromium in PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// saved is the address of a file with the page.
func saved(t *testing.T, r Report) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(written(t, r)), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + file
}

// ask has the page's answer to an expression.
func ask[T any](t *testing.T, ctx context.Context, expression string) (answer T) {
	t.Helper()
	if err := chromedp.Run(ctx, chromedp.Evaluate(expression, &answer)); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return answer
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// From the run to a failure, to its step, to its log; by mouse and by keyboard, with scripts and without.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	var fetched []string
	chromedp.ListenTarget(ctx, func(e any) {
		if r, ok := e.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(r.Request.URL, "file://") {
			fetched = append(fetched, r.Request.URL)
		}
	})
	page := saved(t, Report{Run: failedRun(), Standing: map[string][]string{"demo-db-1": {"ready"}}})
	// A step is looked for by what it is called; open tells whether its log can be seen.
	const step = `[...document.querySelectorAll(".step")].find(s => s.querySelector(".name").textContent.startsWith("setup/one"))`
	const open = `(s => s.open && s.querySelector(".inner > pre").getBoundingClientRect().height > 0)(` + step + `)`
	const focused = `document.activeElement.textContent.replace(/\s+/g, " ").trim()`

	do(t, ctx, network.Enable(), emulation.SetDeviceMetricsOverride(1280, 900, 1, false), chromedp.Navigate(page))
	if ask[bool](t, ctx, open) {
		t.Error("the step is open at once")
	}
	if got := ask[string](t, ctx, `document.querySelector("main h2").textContent`); got != "What failed" {
		t.Errorf("the first heading is %q", got)
	}
	// follow clicks on the failure's link, and waits for what comes of that.
	follow := func() {
		t.Helper()
		do(t, ctx, chromedp.Click(".failure h3 a", chromedp.ByQuery))
		if err := chromedp.Run(ctx, chromedp.Poll(open, nil, chromedp.WithPollingTimeout(2*time.Minute))); err != nil {
			t.Errorf("the link from the failure does not open the step: %v", err)
		}
	}
	follow()
	do(t, ctx, chromedp.Poll(`document.activeElement.tagName === "SUMMARY"`, nil, chromedp.WithPollingTimeout(2*time.Minute)))
	if got := ask[string](t, ctx, focused); !strings.HasPrefix(got, "setup/one failed on the critical path") {
		t.Errorf("the focus went to %q", got)
	}
	if got := ask[string](t, ctx, `[...`+step+`.querySelectorAll(".inner > pre")].at(-1).textContent`); !strings.Contains(got, "row 1\n") || !strings.Contains(got, "</pre><script>") {
		t.Errorf("its log: %q", got)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Enter)) // the summary has the focus: it closes, and opens again
	if ask[bool](t, ctx, open) {
		t.Error("Enter does not close the step")
	}
	do(t, ctx, chromedp.KeyEvent(" "))
	if !ask[bool](t, ctx, open) {
		t.Error("the space bar does not open the step")
	}
	// From there the keyboard goes on into what the step has: the step that it came behind, then its logs.
	for _, want := range []string{"db", "first try", "row 1 row 2"} {
		do(t, ctx, chromedp.KeyEvent(kb.Tab))
		if got := ask[string](t, ctx, focused); !strings.HasPrefix(got, want) {
			t.Errorf("the next stop of the keyboard is %.60q, expected %q", got, want)
		}
	}

	do(t, ctx, chromedp.Click(`[data-show="bad"]`, chromedp.ByQuery))
	shown := `[...document.querySelectorAll(".step")].filter(s => s.getBoundingClientRect().height > 0).map(s => s.dataset.key).join()`
	if got := ask[string](t, ctx, shown); got != "setup/one failed" {
		t.Errorf("failed are %q", got)
	}
	do(t, ctx, chromedp.Click(`[data-show="all"]`, chromedp.ByQuery), chromedp.SendKeys("#filter", "not reached", chromedp.ByQuery))
	if got := ask[string](t, ctx, shown); got != "api not reached" {
		t.Errorf("the filter shows %q", got)
	}
	if got := ask[string](t, ctx, `document.getElementById("count").textContent`); got != "1 of 5 steps" {
		t.Errorf("it says %q", got)
	}
	// A link to what the filter hides shows it.
	follow()
	do(t, ctx, chromedp.Click("#close", chromedp.ByQuery))
	follow() // to where the address leads already

	// On a phone nothing is wider than the screen but what scrolls by itself.
	do(t, ctx, emulation.SetDeviceMetricsOverride(390, 844, 2, true), chromedp.Click("#open", chromedp.ByQuery))
	if wide := ask[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("the page is %d pixels wide on a screen of 390", wide)
	}

	// Without scripts: the link, and what it opens, are HTML's own.
	do(t, ctx, emulation.SetScriptExecutionDisabled(true), emulation.SetDeviceMetricsOverride(1280, 900, 1, false),
		chromedp.Navigate(page), emulation.SetScriptExecutionDisabled(false))
	if got := ask[bool](t, ctx, `document.querySelector(".tools").hidden`); !got {
		t.Error("without scripts the filter is shown, which needs them")
	}
	follow()
	if len(fetched) > 0 {
		t.Errorf("the page has fetched %v", fetched)
	}
}

// axe finds nothing wrong: labels, roles, headings, contrasts and the rest, light and dark,
// wide and narrow, with everything open.
func TestAxe(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", ".cache", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Skipf("no axe (scripts/test-tools.sh brings it): %v", err)
	}
	ctx := browser(t)
	type rule struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	type found struct{ Violations, Passes []rule }
	// SHOTS=FOLDER keeps pictures of the pages, as they are first seen, to be looked at.
	audit := func(name, address, scheme string, width int64) found {
		t.Helper()
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		// The page's policy would keep axe out as it keeps out everything else.
		var f found
		do(t, ctx, emulation.SetEmulatedMedia().WithFeatures(features), emulation.SetDeviceMetricsOverride(width, 900, 1, false),
			chromedp.Navigate(address))
		if out := os.Getenv("SHOTS"); out != "" {
			var picture []byte
			do(t, ctx, chromedp.FullScreenshot(&picture, 100))
			if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		do(t, ctx, chromedp.Evaluate(`document.getElementById("open")?.click()`, nil), chromedp.Evaluate(string(script), nil),
			chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations", "passes"]}).then(r => ({violations: r.violations, passes: r.passes}))`, &f,
				func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		return f
	}
	pages := map[string]string{
		"failed": saved(t, Report{Run: failedRun(), Standing: map[string][]string{"demo-db-1": {"ready"}}}),
		"large":  saved(t, Report{Run: largeRun(40)}),
	}
	var list bytes.Buffer
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := WriteList(&list, Listing{Standing: []Standing{{Stack: "demo", Running: 3, Stopped: 1, Addresses: []string{"http://localhost:8080", "5432/udp"}}}, Runs: []Summary{
		{Stack: "demo", ID: "20260102-030405-abcdef", Verb: "up", Started: began},
		{Stack: "demo", ID: "20260102-020405-abcdef", Verb: "up", Started: began.Add(-time.Hour), Ended: began, Verdict: events.VerdictFailed},
		{Stack: "other", ID: "20260102-010405-abcdef", Verb: "down", Started: began.Add(-time.Hour), Ended: began, Verdict: events.VerdictDone},
	}}, ""); err != nil {
		t.Fatal(err)
	}
	pages["list"] = "file://" + filepath.Join(t.TempDir(), "list.html")
	if err := os.WriteFile(strings.TrimPrefix(pages["list"], "file://"), list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// On the narrowest of phones nothing stands beyond the right edge, but for drawings, which scroll for themselves.
	for name, address := range pages {
		const beyond = `[...document.querySelectorAll("body *")].filter(e => !e.closest(".vh, svg, [tabindex] > ol") &&
			e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 120))`
		var out []string
		do(t, ctx, emulation.SetDeviceMetricsOverride(360, 800, 1, true), chromedp.Navigate(address), chromedp.Evaluate(beyond, &out))
		if len(out) > 0 {
			t.Errorf("%s, 360 wide: beyond the edge are %d: %s", name, len(out), out[0])
		}
	}
	for name, address := range pages {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 390} {
				f := audit(name, address, scheme, width)
				for _, v := range f.Violations {
					for _, n := range v.Nodes {
						t.Errorf("%s, %s, %d wide: %s (%s): %.200s: %s", name, scheme, width, v.ID, v.Help, n.HTML, n.FailureSummary)
						break
					}
				}
				passed := map[string]bool{}
				for _, p := range f.Passes {
					passed[p.ID] = true
				}
				for _, id := range []string{"color-contrast", "document-title", "html-has-lang", "page-has-heading-one", "region", "label"} {
					if !passed[id] && (id != "label" || name != "list") {
						t.Errorf("%s, %s: the rule %s had nothing to look at", name, scheme, id)
					}
				}
			}
		}
	}
	// That the check can fail: text that can hardly be read.
	pale := filepath.Join(t.TempDir(), "pale.html")
	if err := os.WriteFile(pale, []byte(strings.Replace(written(t, Report{Run: failedRun()}), "--dim: #57606a", "--dim: #c0c0c0", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := audit("pale", "file://"+pale, "light", 1280); len(f.Violations) == 0 {
		t.Error("axe does not see that grey on white cannot be read")
	}
}
