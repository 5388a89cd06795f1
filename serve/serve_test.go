package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/stages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "s3cret"

const stackFile = `name: demo
immutable: [partitions, workspaces]
reserved: cluster
apps: {one: {partitions: 2, workspaces: 10}}
services: {api: {image: demo/api}}
stages: [{name: api, start: api, each: apps}]
`

// site is a server over a ledger and an engine of its own.
type site struct {
	t      *testing.T
	server *httptest.Server
	ledger *ledger.Ledger
	engine *memory.Engine
}

func newSite(t *testing.T) *site {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "stagehand.yaml")
	if err := os.WriteFile(file, []byte(stackFile), 0o600); err != nil {
		t.Fatal(err)
	}
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(folder, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	engine := memory.New(memory.Options{})
	info, err := engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var runs atomic.Int64
	server := httptest.NewServer(Handler(Options{
		Stack: stack, Engine: engine, EngineID: info.ID, Ledger: l, Token: token, Version: "1",
		Run: func() string { return fmt.Sprint("served-", runs.Add(1)) },
	}))
	t.Cleanup(func() {
		server.Close()
		engine.Halt()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{t, server, l, engine}
}

// ask sends a request, and returns the answer's status, type and body.
func (s *site) ask(method, path, body string) (status int, kind, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(text)
}

// detail is that of an answer which must be a problem with this status.
func (s *site) detail(want int, method, path, body string) string {
	s.t.Helper()
	status, kind, answer := s.ask(method, path, body)
	var p struct {
		Status        int
		Title, Detail string
	}
	if err := json.Unmarshal([]byte(answer), &p); err != nil || status != want || kind != "application/problem+json" || p.Status != want || p.Title == "" || p.Detail == "" {
		s.t.Errorf("%s %s %.60s: %d %s %s, want the problem %d", method, path, body, status, kind, answer, want)
	}
	return p.Detail
}

// written is how many runs and changes of apps the ledger has.
func (s *site) written() (runs, changes int) {
	s.t.Helper()
	all, err := s.ledger.Runs(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	history, err := s.ledger.AppHistory(s.t.Context(), "demo")
	if err != nil {
		s.t.Fatal(err)
	}
	return len(all), len(history)
}

func TestWithoutTheTokenNothingIsAnswered(t *testing.T) {
	s := newSite(t)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + token, token, "bearer " + token, "Bearer " + token + "x"} {
		for _, path := range []string{"/v1/apps", "/v1/apps/one", "/v1/runs", "/v1/locks", "/openapi.json", "/nothing"} {
			for _, method := range []string{http.MethodGet, http.MethodPut} {
				r, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, strings.NewReader(`{"partitions":2,"workspaces":10}`))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", header)
				response, err := s.server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "Bearer" || response.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s %s with %q: %d", method, path, header, response.StatusCode)
				}
			}
		}
	}
	if runs, changes := s.written(); runs+changes > 0 {
		t.Errorf("%d runs, %d changes", runs, changes)
	}
	if open := httptest.NewRecorder(); true {
		Handler(Options{Stack: &stages.Stack{}}).ServeHTTP(open, httptest.NewRequest(http.MethodGet, "/v1/locks", nil))
		if open.Code != http.StatusUnauthorized {
			t.Errorf("a server without a token answers %d", open.Code)
		}
	}
}

func TestPutApp(t *testing.T) {
	s := newSite(t)
	status, kind, answer := s.ask(http.MethodPut, "/v1/apps/shop", `{"partitions": 2, "workspaces": "010"}`)
	var app events.App
	if err := json.Unmarshal([]byte(answer), &app); err != nil || status != http.StatusCreated || kind != "application/json" {
		t.Fatalf("%d %s %s", status, kind, answer)
	}
	if diff := cmp.Diff(map[string]string{"partitions": "2", "workspaces": "10"}, app.Descriptor); diff != "" || app.State != events.Deployed || app.Name != "shop" || app.Run != "served-1" {
		t.Errorf("%+v", app)
	}
	runs, changes := s.written()
	if runs != 1 || changes != 1 {
		t.Errorf("%d runs, %d changes", runs, changes)
	}
	for range 2 { // the same again
		if status, _, answer := s.ask(http.MethodPut, "/v1/apps/shop", `{"workspaces": 10, "partitions": 2}`); status != http.StatusOK || !strings.Contains(answer, `"served-1"`) {
			t.Errorf("%d %s", status, answer)
		}
	}
	for body, want := range map[string]string{
		`{"partitions": 3, "workspaces": 10}`: "num partitions changed: app shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2",
		`{"partitions": 2, "workspaces": 11}`: "num application workspaces changed: app shop declaring NumAppWorkspaces=11 but was previously deployed with NumAppWorkspaces=10",
		`{"partitions": 3, "workspaces": 11}`: "num partitions changed: app shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2; " +
			"num application workspaces changed: app shop declaring NumAppWorkspaces=11 but was previously deployed with NumAppWorkspaces=10",
	} {
		if got := s.detail(http.StatusConflict, http.MethodPut, "/v1/apps/shop", body); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
	good := `{"partitions": 2, "workspaces": 10}`
	for _, c := range []struct{ path, body, want string }{
		{"/v1/apps/Shop", good, `an app cannot be named "Shop"`},
		{"/v1/apps/sys%2Fcluster", good, `an app cannot be named "sys/cluster"`},
		{"/v1/apps/cluster", good, "the name cluster is reserved"},
		{"/v1/apps/a", `{"partitions": 0, "workspaces": 10}`, `partitions of app a cannot be "0" (a whole number from 1 to 65535)`},
		{"/v1/apps/a", `{"partitions": 65536, "workspaces": 10}`, `cannot be "65536"`},
		{"/v1/apps/a", `{"partitions": 2.5, "workspaces": 10}`, `cannot be "2.5"`},
		{"/v1/apps/a", `{"partitions": 2, "workspaces": 32769}`, `workspaces of app a cannot be "32769" (a whole number from 1 to 32768)`},
		{"/v1/apps/a", `{"partitions": true, "workspaces": 1}`, `cannot be "true"`},
		{"/v1/apps/a", `{"partitions": 2}`, "has no field workspaces"},
		{"/v1/apps/a", `{"partitions": 2, "workspaces": 10, "workspace": 1}`, `no immutable field is named "workspace" (did you mean "workspaces"?`},
		{"/v1/apps/a", `{"partitions": null, "workspaces": 10}`, "neither a text nor a number nor a boolean"},
		{"/v1/apps/a", `{"partitions": [2], "workspaces": 10}`, "neither a text nor a number nor a boolean"},
		{"/v1/apps/a", ``, "body"},
		{"/v1/apps/a", `null`, "null"},
		{"/v1/apps/a", `[]`, "no JSON object"},
		{"/v1/apps/a", `{"partitions": 2,`, "no JSON object"},
		{"/v1/apps/a", good + good, "goes on after"},
		{"/v1/apps/a", "\x00\xff", "no JSON object"},
	} {
		if got := s.detail(http.StatusBadRequest, http.MethodPut, c.path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s", c.path, c.body, got)
		}
	}
	s.detail(http.StatusRequestEntityTooLarge, http.MethodPut, "/v1/apps/a", `{"partitions": 2, "workspaces": "`+strings.Repeat("1", 1<<20)+`"}`)
	s.detail(http.StatusNotFound, http.MethodGet, "/v1/apps/a", "")
	s.detail(http.StatusNotFound, http.MethodPost, "/v1/apps", "")
	s.detail(http.StatusNotFound, http.MethodGet, "/docs", "")
	if again, and := s.written(); again != runs || and != changes {
		t.Errorf("what was refused has written: %d runs, %d changes", again, and)
	}
	for path, want := range map[string]string{"/v1/apps": `[{"name":"shop"`, "/v1/apps/shop": `{"name":"shop"`, "/v1/apps/shop/history": `[{"name":"shop"`, "/v1/apps/none/history": "[]"} {
		if status, _, answer := s.ask(http.MethodGet, path, ""); status != http.StatusOK || !strings.HasPrefix(answer, want) {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

// 500 at a time, of two kinds: one is first, those like it find it done, all others are refused.
func TestManyPutOneApp(t *testing.T) {
	s := newSite(t)
	const many = 500
	var counts [600]atomic.Int64
	var group errgroup.Group
	for i := range many {
		group.Go(func() error {
			status, _, _ := s.ask(http.MethodPut, "/v1/apps/shop", fmt.Sprintf(`{"partitions": %d, "workspaces": 10}`, 2+i%2))
			counts[status].Add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if made, same, other := counts[201].Load(), counts[200].Load(), counts[409].Load(); made != 1 || same != many/2-1 || other != many/2 {
		t.Errorf("%d made, %d the same, %d refused", made, same, other)
	}
	if runs, changes := s.written(); runs != 1 || changes != 1 {
		t.Errorf("%d runs, %d changes", runs, changes)
	}
}

func TestRunsAndTheirEvents(t *testing.T) {
	s := newSite(t)
	emit := func(stack, run string, seq int64, kind events.Kind) {
		t.Helper()
		if err := s.ledger.Emit(t.Context(), events.Event{V: 1, Run: run, Seq: seq, Kind: kind, Stack: stack, Time: time.Now().UTC(), Verdict: "", Engine: "e"}); err != nil {
			t.Fatal(err)
		}
	}
	emit("demo", "r1", 1, events.RunStarted)
	emit("other", "r2", 1, events.RunStarted)
	if status, _, answer := s.ask(http.MethodGet, "/v1/runs", ""); status != http.StatusOK || !strings.HasPrefix(answer, `[{"id":"r1"`) || strings.Contains(answer, "r2") {
		t.Errorf("%d %s", status, answer)
	}
	if status, _, answer := s.ask(http.MethodGet, "/v1/runs/r1", ""); status != http.StatusOK || !strings.HasPrefix(answer, `{"id":"r1"`) {
		t.Errorf("%d %s", status, answer)
	}
	for _, path := range []string{"/v1/runs/r2", "/v1/runs/r3", "/v1/runs/r2/events", "/v1/runs/r3/events?follow=true"} {
		s.detail(http.StatusNotFound, http.MethodGet, path, "")
	}
	emit("demo", "r1", 2, events.StepStarted)
	if status, kind, answer := s.ask(http.MethodGet, "/v1/runs/r1/events?after=1", ""); status != http.StatusOK || kind != ndjson || strings.Count(answer, "\n") != 1 || !strings.Contains(answer, `"seq":2`) {
		t.Errorf("%d %s %s", status, kind, answer)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+"/v1/runs/r1/events?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	var got []int64
	for seq := int64(1); lines.Scan(); seq++ {
		var e events.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Seq)
		switch e.Seq { // each is there before the next one happens
		case 2:
			emit("demo", "r1", 3, events.StepEnded)
		case 3:
			emit("demo", "r1", 4, events.RunEnded)
		}
	}
	if !slices.Equal(got, []int64{1, 2, 3, 4}) || lines.Err() != nil {
		t.Errorf("%v, %v", got, lines.Err())
	}
	// One that has ended is not waited for.
	if status, _, answer := s.ask(http.MethodGet, "/v1/runs/r1/events?follow=true&after=4", ""); status != http.StatusOK || answer != "" {
		t.Errorf("%d %s", status, answer)
	}
}

func TestLocks(t *testing.T) {
	s := newSite(t)
	if status, _, answer := s.ask(http.MethodGet, "/v1/locks", ""); status != http.StatusOK || strings.TrimSpace(answer) != "[]" {
		t.Errorf("%d %s", status, answer)
	}
	leaser, _ := containers.AsLeaser(s.engine)
	lease, err := leaser.Lease(t.Context(), "demo", containers.Holder{Host: "here", Run: "r1", PID: 7})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, answer := s.ask(http.MethodGet, "/v1/locks", ""); status != http.StatusOK || !strings.HasPrefix(answer, `[{"stack":"demo","holder":{"run":"r1","host":"here","pid":7`) {
		t.Errorf("%d %s", status, answer)
	}
	// Nobody at work keeps an app from being registered.
	if status, _, answer := s.ask(http.MethodPut, "/v1/apps/shop", `{"partitions": 2, "workspaces": 10}`); status != http.StatusCreated {
		t.Errorf("%d %s", status, answer)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The document has every path and every answer that the tests above have seen.
func TestOpenAPI(t *testing.T) {
	s := newSite(t)
	status, _, answer := s.ask(http.MethodGet, "/openapi.json", "")
	var document struct {
		OpenAPI  string `json:"openapi"`
		Security []map[string][]string
		Paths    map[string]map[string]struct {
			RequestBody struct {
				Required bool
				Content  map[string]struct{ Schema struct{ Type string } }
			}
			Responses map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(answer), &document); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	got := map[string]string{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			var statuses []string
			for status, r := range operation.Responses {
				if _, is := r.Content["application/problem+json"]; status >= "4" && !is {
					t.Errorf("%s %s: %s is no problem: %v", method, path, status, r.Content)
				}
				statuses = append(statuses, status)
			}
			slices.Sort(statuses)
			got[method+" "+path] = strings.Join(statuses, " ")
		}
	}
	want := map[string]string{
		"get /v1/apps": "200 401 500 503", "get /v1/apps/{name}": "200 401 404 500 503", "put /v1/apps/{name}": "200 201 400 401 409 413 500 503",
		"get /v1/apps/{name}/history": "200 401 500 503", "get /v1/runs": "200 401 500 503", "get /v1/runs/{id}": "200 401 404 500 503",
		"get /v1/runs/{id}/events": "200 401 404 422 500 503", "get /v1/locks": "200 401 500 503",
	}
	if diff := cmp.Diff(want, got); diff != "" || document.OpenAPI != "3.1.0" || len(document.Security) != 1 {
		t.Errorf("%s %v (-want +got):\n%s", document.OpenAPI, document.Security, diff)
	}
	if body := document.Paths["/v1/apps/{name}"]["put"].RequestBody; !body.Required || body.Content["application/json"].Schema.Type != "object" {
		t.Errorf("the body: %+v", body)
	}
}
