package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/views/report"
)

// site is a dashboard that is served, of a ledger that a run is being recorded in.
type site struct {
	address string // with the token and a slash
	ledger  *ledger.Ledger
	seq     int64

	mu       sync.Mutex
	standing map[string][]string
	stacks   []report.Standing
	unseen   error
}

const token = "let-me-in"

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &site{ledger: l, standing: map[string][]string{}}
	server := httptest.NewUnstartedServer(nil)
	server.Config.ReadTimeout = time.Second // as short as nobody's, to see that a stream outlives it
	server.Config.Handler = Handler(Options{
		Ledger: l, Host: server.Listener.Addr().String(), Token: token, Every: 20 * time.Millisecond,
		Standing: func(context.Context) ([]report.Standing, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.stacks, s.unseen
		},
		Report: func(ctx context.Context, run ledger.Run) (report.Report, error) {
			all, err := l.Events(ctx, run.ID, 0)
			s.mu.Lock()
			defer s.mu.Unlock()
			standing := map[string][]string{}
			for name, lines := range s.standing {
				standing[name] = lines
			}
			return report.Report{Run: all, Standing: standing}, err
		},
	})
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.address = server.URL + "/" + token + "/"
	return s
}

func (s *site) prints(container string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing[container] = lines
}

func (s *site) emit(t *testing.T, kind events.Kind, step string, e events.Event) {
	t.Helper()
	s.seq++
	e.V, e.Seq, e.Time, e.Run, e.Stack, e.Kind, e.Step, e.Stage = events.Version, s.seq, time.Now().UTC(), "r1", "demo", kind, step, step
	if step != "" {
		e.Verb, e.Service, e.Container = "run", step, "demo-"+step+"-1"
	}
	if err := s.ledger.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// begin records a run that goes on: one step is at work.
func (s *site) begin(t *testing.T) {
	t.Helper()
	s.emit(t, events.RunStarted, "", events.Event{Verb: "up"})
	s.emit(t, events.StepStarted, "load", events.Event{Attempt: 1, Cause: "never ran"})
	s.prints("demo-load-1", "row 1")
}

func (s *site) end(t *testing.T) {
	t.Helper()
	s.emit(t, events.StepEnded, "load", events.Event{Outcome: events.Failed, Error: "it broke"})
	s.emit(t, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictFailed})
}

func TestOnlyWhoHasTheAddressIsAnswered(t *testing.T) {
	s := newSite(t)
	s.begin(t)
	host := strings.SplitN(s.address, "/", 4)[2]
	for name, c := range map[string]struct {
		method, path, header, value string
		want                        int
	}{
		"the list":                  {"GET", token + "/", "", "", 200},
		"a run":                     {"GET", token + "/run/r1", "", "", 200},
		"from our own page":         {"GET", token + "/run/r1", "Origin", "http://" + host, 200},
		"by our own link":           {"GET", token + "/run/r1", "Sec-Fetch-Site", "same-origin", 200},
		"typed":                     {"GET", token + "/run/r1", "Sec-Fetch-Site", "none", 200},
		"no such run":               {"GET", token + "/run/r2", "", "", 404},
		"no such page":              {"GET", token + "/else", "", "", 404},
		"no token":                  {"GET", "", "", "", 403},
		"no token, a run":           {"GET", "run/r1", "", "", 403},
		"another token":             {"GET", "let-me-ix/run/r1", "", "", 403},
		"a part of the token":       {"GET", "let-me/", "", "", 403},
		"the token elsewhere":       {"GET", "run/" + token, "", "", 403},
		"no token, the stream":      {"GET", "x/run/r1/stream", "", "", 403},
		"from another page":         {"GET", token + "/", "Origin", "http://example.invalid", 403},
		"from a page of a file":     {"GET", token + "/run/r1/stream", "Origin", "null", 403},
		"from another port":         {"GET", token + "/", "Origin", "http://127.0.0.1:1", 403},
		"by another page's link":    {"GET", token + "/", "Sec-Fetch-Site", "cross-site", 403},
		"by another port's link":    {"GET", token + "/", "Sec-Fetch-Site", "same-site", 403},
		"by a name that leads here": {"GET", token + "/", "Host", "example.invalid", 403},
		"something to do":           {"POST", token + "/run/r1", "", "", 405},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+host+"/"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header == "Host" {
			r.Host = c.value
		} else if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %.200s", name, response.StatusCode, c.want, body)
		}
		if c.want == 403 && strings.Contains(string(body), "r1") {
			t.Errorf("%s: it tells of a run", name)
		}
		if response.Header.Get("Access-Control-Allow-Origin") != "" || response.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", name, response.Header)
		}
	}
}

// The stream of a run has what its containers print, and its end, and is over then.
func TestStream(t *testing.T) {
	s := newSite(t)
	s.begin(t)
	response, err := http.Get(s.address + "run/r1/stream") //nolint:noctx // the test's own server ends it
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	next := func(want string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%q did not come: %v", want, err)
			}
			if strings.Contains(line, want) {
				return
			}
		}
	}
	next("row 1")
	s.prints("demo-load-1", "row 1", "row 2")
	next(`row 1\nrow 2`)
	time.Sleep(1500 * time.Millisecond) // longer than a request may take to arrive
	s.end(t)
	next("it broke")
	next("event: over")
	if rest, err := io.ReadAll(lines); err != nil || strings.TrimSpace(string(rest)) != "data:" {
		t.Errorf("%q, %v", rest, err)
	}
}

// stands sets what stands on the engine.
func (s *site) stands(unseen error, stacks ...report.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stacks, s.unseen = stacks, unseen
}

// tab is one of a headless Chromium.
func tab(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
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

// axe finds nothing wrong with the pages that are live: the list, with what stands and without, and a run that goes on.
func TestAxe(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "..", ".cache", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Skipf("no axe (scripts/test-tools.sh brings it): %v", err)
	}
	ctx, s := tab(t), newSite(t)
	s.begin(t)
	for name, page := range map[string]struct {
		path, shows string
		unseen      error
	}{
		"list":   {"", "http://localhost:8080", nil},
		"unseen": {"", "is not known: it does not answer", errors.New("it does not answer")},
		"run":    {"run/r1", "row 1", nil},
	} {
		s.stands(page.unseen, report.Standing{Stack: "demo", Running: 2, Stopped: 1, Addresses: []string{"http://localhost:8080"}})
		for _, scheme := range []string{"light", "dark"} {
			var found struct {
				Violations []struct {
					ID    string
					Nodes []struct{ HTML, FailureSummary string }
				}
				Passes []struct{ ID string }
			}
			var text string
			err := chromedp.Run(ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Navigate(s.address+page.path), chromedp.Evaluate(`document.getElementById("open")?.click(); document.body.textContent`, &text),
				chromedp.Evaluate(string(script), nil),
				chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations", "passes"]}).then(r => ({violations: r.violations, passes: r.passes}))`, &found,
					func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !strings.Contains(text, page.shows) {
				t.Errorf("%s: no %q on the page: %s", name, page.shows, text)
			}
			for _, v := range found.Violations {
				t.Errorf("%s, %s: %s: %+v", name, scheme, v.ID, v.Nodes)
			}
			if len(found.Passes) < 10 {
				t.Errorf("%s, %s: axe has looked at %v only", name, scheme, found.Passes)
			}
		}
	}
}

// In a browser: from the list to the run, which goes on while it is looked at; what was opened stays open.
func TestBrowser(t *testing.T) {
	ctx := tab(t)
	do := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	// becomes waits over what a page that goes and one that comes answer meanwhile.
	becomes := func(expression string) chromedp.Action {
		return chromedp.ActionFunc(func(ctx context.Context) error {
			for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				holds := false
				err := chromedp.Evaluate("Boolean("+expression+")", &holds).Do(ctx)
				if err == nil && holds {
					return nil
				}
				if time.Now().After(deadline) {
					return fmt.Errorf("%s: %v, %w", expression, holds, err)
				}
			}
		})
	}
	// steady repeats what found a node that the live page has replaced before anything was done to it.
	steady := func(action chromedp.Action) chromedp.Action {
		return chromedp.ActionFunc(func(ctx context.Context) error {
			for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				err := action.Do(ctx)
				if err == nil || !strings.Contains(err.Error(), "-32000") || time.Now().After(deadline) {
					return err
				}
			}
		})
	}
	says := func(selector, text string) chromedp.Action {
		return becomes(fmt.Sprintf(`document.querySelector(%q)?.textContent.includes(%q)`, selector, text))
	}
	s := newSite(t)
	do(chromedp.Navigate(s.address), says("main", "The ledger has no run"), says("main", "No stack stands there"))
	s.stands(nil, report.Standing{Stack: "demo", Running: 2})
	do(says("#standing ~ div", "demo"), becomes(`document.querySelector("#standing ~ div td").textContent === "2"`)) // by itself
	s.begin(t)
	do(says("main", "no end"), steady(chromedp.Click(`a[href="run/r1"]`, chromedp.ByQuery)), says("h1", "no end"))
	do(steady(chromedp.Click(".step > summary", chromedp.ByQuery)), says(".step[open] pre", "row 1"), steady(chromedp.SendKeys("#filter", "loa", chromedp.ByQuery)))
	s.prints("demo-load-1", "row 1", "row 2")
	do(says(".step[open] pre", "row 2"), becomes(`document.activeElement.id === "filter" && document.activeElement.value === "loa"`), steady(chromedp.SendKeys("#filter", "d", chromedp.ByQuery)))
	s.end(t)
	do(says("h1", "failed"), says(".failure", "it broke"), becomes(`document.querySelector(".step").open && document.getElementById("filter").value === "load"`),
		chromedp.Click(`header a[href="../"]`, chromedp.ByQuery), says("main", "failed"))
	// A run that is over: from what failed to its step, and to what that has printed.
	do(steady(chromedp.Click(`a[href="run/r1"]`, chromedp.ByQuery)), says("h1", "failed"), becomes(`!document.querySelector(".step").open`),
		chromedp.Click(".failure h3 a", chromedp.ByQuery), says(".step[open] pre", "row 2"), becomes(`document.querySelector(".step[open] summary").textContent.includes("load")`))
}
