package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPartitions(t *testing.T) {
	w, c := newCluster(t)
	server := httptest.NewServer(c.admin("system"))
	defer server.Close()
	helper := func(app, count string) (int, string) {
		var out bytes.Buffer
		code := Main(t.Context(), []string{"partitions", app, count}, here(map[string]string{"ADMIN_URL": server.URL}, &out))
		return code, out.String()
	}
	unchanged := w.unchanged()
	if code, text := helper("demo/shop", "2"); code != 1 || !strings.Contains(text, "409 Conflict: app demo/shop is not deployed") {
		t.Error(code, text)
	}
	unchanged()
	if code, text := deploy(t, c, "demo/shop", 2, 5); code != 201 {
		t.Fatal(code, text)
	}
	if code, text := helper("demo/shop", "2"); code != 0 || text != "::progress 1/2 partitions::demo/shop\n::progress 2/2 partitions::demo/shop\n" {
		t.Error(code, text)
	}
	if got := w.value(`SELECT string_agg(AppQName || ' ' || Number, ', ' ORDER BY AppQName, Number) FROM "sys/cluster".Partition`); got != "demo/shop 0, demo/shop 1, sys/cluster 0" {
		t.Error(got)
	}
	unchanged = w.unchanged()
	if code, text := helper("demo/shop", "2"); code != 0 {
		t.Error("again:", code, text)
	}
	if code, text := helper("demo/shop", "3"); code != 1 || !strings.Contains(text, "400 Bad Request: app demo/shop has no partition 2: it has 2") {
		t.Error(code, text)
	}
	for _, path := range []string{"/apps/demo/shop/partitions/-1", "/apps/demo/shop/partitions/one", "/apps/sys/cluster/partitions/1"} {
		if code, text := ask(t, c, "PUT", path, ""); code != 400 {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	unchanged()
}

// TestEventsReachTheView: each exactly once, through the partition of its workspace, and only then.
func TestEventsReachTheView(t *testing.T) {
	w, c := newCluster(t)
	public := func(method, path, body string) (int, string) {
		answer := httptest.NewRecorder()
		endpoint{w.db}.public().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		return answer.Code, strings.TrimSpace(answer.Body.String())
	}
	expect := func(method, path, body string, code int, text string) {
		t.Helper()
		if c, got := public(method, path, body); c != code || !strings.Contains(got, text) {
			t.Errorf("%s %s: %d %s; want %d %s", method, path, c, got, code, text)
		}
	}
	if code, text := deploy(t, c, "demo/shop", 2, 5); code != 201 {
		t.Fatal(code, text)
	}
	expect("GET", "/apps/demo/none/workspaces/0", "", 404, "there is no app demo/none")
	expect("GET", "/apps/demo/shop/workspaces/5", "", 404, "no workspace 5")
	expect("GET", "/apps/demo/shop/workspaces/-1", "", 404, "no workspace -1")
	expect("POST", "/apps/demo/shop/workspaces/3", "{", 400, "an event is JSON")
	expect("POST", "/apps/demo/shop/workspaces/3", "{}", 503, "app demo/shop: partition 1 is not deployed")
	expect("GET", "/health", "", 200, "ok")
	for partition := range 2 {
		if _, err := c.deployPartition(t.Context(), "demo/shop", partition); err != nil {
			t.Fatal(err)
		}
	}
	const many = batch + 7 // more than one look takes
	for i := range many {
		expect("POST", "/apps/demo/shop/workspaces/3", fmt.Sprintf(`{"n": %d}`, i), 201, fmt.Sprintf(`{"partition":1,"number":%d}`, i+1))
	}
	expect("POST", "/apps/demo/shop/workspaces/1", `"one"`, 201, fmt.Sprintf(`{"partition":1,"number":%d}`, many+1))
	expect("POST", "/apps/demo/shop/workspaces/0", `0`, 201, `{"partition":0,"number":1}`)
	expect("GET", "/apps/demo/shop/workspaces/3", "", 200, `{"events":0,"latest":null}`)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	var out bytes.Buffer
	go func() { ended <- actualizer{w.db, "demo/shop"}.run(ctx, &out) }()
	for range 100000 { // the view comes after the log
		if w.value(`SELECT sum(Events) FROM "demo/shop".View`) == fmt.Sprint(many+2) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	expect("GET", "/apps/demo/shop/workspaces/3", "", 200, fmt.Sprintf(`{"events":%d,"latest":{"n":%d}}`, many, many-1))
	expect("GET", "/apps/demo/shop/workspaces/1", "", 200, `{"events":1,"latest":"one"}`)
	expect("GET", "/apps/demo/shop/workspaces/0", "", 200, `{"events":1,"latest":0}`)

	unchanged := w.unchanged()
	time.Sleep(3 * lookEvery) // it looks, and finds nothing
	unchanged()
	expect("POST", "/apps/demo/shop/workspaces/0", `[4]`, 201, `{"partition":0,"number":2}`)
	for range 100000 {
		if _, text := public("GET", "/apps/demo/shop/workspaces/0", ""); strings.Contains(text, `"events":2`) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	expect("GET", "/apps/demo/shop/workspaces/0", "", 200, `{"events":2,"latest":[4]}`)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if out.String() != "actualizing demo/shop\n" {
		t.Error(out.String())
	}
	if err := (actualizer{w.db, "demo/none"}).run(t.Context(), &out); err == nil {
		t.Error("an app that is not there was actualized")
	}
}
