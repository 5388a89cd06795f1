package api

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// serve answers as an engine would whose every container ends at once with code.
func serve(t *testing.T, code int) (*Client, *[]string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	started := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.Path
		mu.Lock()
		calls = append(calls, call)
		mu.Unlock()
		switch call {
		case "POST /v1.41/containers/create":
			var body struct{ Image string }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Image != "image" || r.URL.Query().Get("name") != "name" {
				t.Errorf("created with %v, %v", r.URL, body)
			}
			_, _ = io.WriteString(w, `{"Id": "abc"}`)
		case "POST /v1.41/containers/abc/wait":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-started
			_ = json.NewEncoder(w).Encode(map[string]int{"StatusCode": code})
		case "POST /v1.41/containers/abc/start":
			started <- struct{}{}
			w.WriteHeader(http.StatusNoContent)
		case "POST /v1.41/containers/abc/exec":
			_, _ = io.WriteString(w, `{"Id": "def"}`)
		case "POST /v1.41/exec/def/start":
			_, _ = io.WriteString(w, "what it prints")
		case "GET /v1.41/exec/def/json":
			_ = json.NewEncoder(w).Encode(map[string]int{"ExitCode": code})
		case "GET /v1.41/containers/abc/logs":
			_, _ = io.WriteString(w, "printed")
		case "GET /v1.41/containers/abc/json":
			_ = json.NewEncoder(w).Encode(map[string]any{"State": map[string]int{"ExitCode": code}})
		case "DELETE /v1.41/containers/abc":
			w.WriteHeader(http.StatusNoContent)
		case "GET /v1.41/events":
			_, _ = io.WriteString(w, `{"Action": "die", "timeNano": 1000000001, "Actor": {"Attributes": {"name": "p-a-1", "exitCode": "3"}}}`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message": "no such thing"}`)
		}
	})
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	client, err := New("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, &calls
}

func TestRunMakesTheCallsOfAHelpersLife(t *testing.T) {
	client, calls := serve(t, 3)
	code, printed, err := client.Run(t.Context(), Helper{Name: "name", Image: "image", Project: "p", Network: "n", Command: []string{"x"}})
	if err != nil || code != 3 || string(printed) != "printed" {
		t.Errorf("exit %d, printed %q, %v", code, printed, err)
	}
	const container = " /v1.41/containers/abc"
	want := []string{
		"POST /v1.41/containers/create", "POST" + container + "/wait", "POST" + container + "/start",
		"GET" + container + "/logs", "GET" + container + "/json", "DELETE" + container,
	}
	if !slices.Equal(*calls, want) {
		t.Errorf("calls %q, want %q", *calls, want)
	}
}

func TestLaunchAndExecMakeTheCallsOfAService(t *testing.T) {
	client, calls := serve(t, 4)
	id, err := client.Launch(t.Context(), Helper{Name: "name", Image: "image", Project: "p", Network: "n"})
	if err != nil || id != "abc" {
		t.Fatalf("%q, %v", id, err)
	}
	if code, err := client.Exec(t.Context(), id, []string{"true"}); err != nil || code != 4 {
		t.Errorf("exit %d, %v", code, err)
	}
	want := []string{
		"POST /v1.41/containers/create", "POST /v1.41/containers/abc/start",
		"POST /v1.41/containers/abc/exec", "POST /v1.41/exec/def/start", "GET /v1.41/exec/def/json",
	}
	if !slices.Equal(*calls, want) {
		t.Errorf("calls %q, want %q", *calls, want)
	}
}

func TestWhatIsGoneIsNoError(t *testing.T) {
	client, _ := serve(t, 0)
	if err := client.Remove(t.Context(), "gone"); err != nil {
		t.Error(err)
	}
	if err := client.RemoveImage(t.Context(), "gone"); err != nil {
		t.Error(err)
	}
	if _, err := client.Containers(t.Context(), "p"); !IsNotFound(err) || err.Error() != "engine: 404: no such thing" {
		t.Errorf("%v", err)
	}
}

func TestNewWantsASocket(t *testing.T) {
	if _, err := New("tcp://192.0.2.1:2375"); err == nil {
		t.Error("an engine elsewhere passed")
	}
	if _, err := New(""); err != nil {
		t.Error(err)
	}
}

func TestFollowTellsWhatEnded(t *testing.T) {
	client, _ := serve(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	listened := false
	var told []Event
	err := client.Follow(ctx, "p", func() { listened = true }, func(e Event) {
		told = append(told, e)
		stop()
	})
	if want := []Event{{"die", "p-a-1", "3", time.Unix(1, 1)}}; err != nil || !listened || !slices.Equal(told, want) {
		t.Errorf("told %v, %v", told, err)
	}
}
