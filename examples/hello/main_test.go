package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"storage"}, {"a", "b", "c"}} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), args, &out, &errs); code != 2 || !strings.Contains(errs.String(), "usage") {
			t.Errorf("%q: %d, %q", args, code, errs.String())
		}
	}
}

func TestClusterDeploysEachAppOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := makeStorages(dir, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		ask := func(api http.Handler, method, path string) (int, string) {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			return w.Code, w.Body.String()
		}
		api := newCluster(dir).handler()
		for _, step := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/health", 200},
			{"PUT", "/apps/greeter", 409}, // before the bootstrap
			{"GET", "/apps/greeter/live", 404},
			{"PUT", "/apps/cluster", 201},
			{"PUT", "/apps/Greeter", 400},
			{"PUT", "/apps/greeter", 201},
			{"PUT", "/apps/greeter", 200},
			{"GET", "/apps/greeter/live", 503},
		} {
			if code, body := ask(api, step.method, step.path); code != step.want {
				t.Errorf("%s %s: %d %s, want %d", step.method, step.path, code, body, step.want)
			}
		}
		time.Sleep(warmUp)
		if code, _ := ask(api, "GET", "/apps/greeter/live"); code != 200 {
			t.Errorf("after the warm-up: %d", code)
		}
		_, record := ask(api, "GET", "/apps/greeter")
		again := newCluster(dir).handler()
		if code, same := ask(again, "GET", "/apps/greeter"); code != 200 || same != record {
			t.Errorf("after a restart: %d %q, before it %q", code, same, record)
		}
	})
}
