package wait

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers/docker/internal/ends"
)

// engine is one with a single container, "job", that has been started. What it tells of its end
// comes in the order of Docker: the event, and after it has cleared up the answers to wait and look.
type engine struct {
	created    time.Time
	host       string // HostConfig, as JSON
	tell       chan map[string]any
	hangUp     chan struct{} // closed: the stream of events ends
	subscribed chan struct{}
	cleared    chan struct{}
	code       int
	oom        bool
}

const (
	opened = "2026-01-01T12:00:00Z"
	id     = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/info"):
		answer(map[string]any{"ID": "x", "SystemTime": opened})
	case strings.HasSuffix(path, "/events"):
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		close(e.subscribed)
		for {
			select {
			case m := <-e.tell:
				answer(m)
				_ = http.NewResponseController(w).Flush()
			case <-e.hangUp:
				return
			case <-r.Context().Done():
				return
			}
		}
	case strings.HasSuffix(path, "/wait"):
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-e.cleared:
			answer(map[string]any{"StatusCode": e.code})
		case <-r.Context().Done():
		}
	case strings.HasSuffix(path, "/json"):
		state := map[string]any{"Status": "running", "Running": true, "StartedAt": "2026-01-01T12:00:02Z", "FinishedAt": "0001-01-01T00:00:00Z"}
		select {
		case <-e.cleared:
			state = map[string]any{
				"Status": "exited", "ExitCode": e.code, "OOMKilled": e.oom, "Error": "looked at",
				"StartedAt": "2026-01-01T12:00:02Z", "FinishedAt": "2026-01-01T12:00:05Z",
			}
		default:
		}
		answer(map[string]any{
			"Id": id, "Name": "/job", "Created": e.created, "State": state, "HostConfig": json.RawMessage(e.host),
			"Config": map[string]any{"Image": "demo"}, "NetworkSettings": map[string]any{"Networks": map[string]any{}},
		})
	default:
		http.NotFound(w, r)
	}
}

func event(action string, second int, attributes map[string]string) map[string]any {
	at := time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC)
	return map[string]any{
		"Type": "container", "Action": action, "Actor": map[string]any{"ID": id, "Attributes": attributes}, "time": at.Unix(), "timeNano": at.UnixNano(),
	}
}

// end is how the container ends, and whether that is enough to know it.
type end struct {
	created   time.Time
	host      string
	code      int
	oom, deaf bool
	heard     bool
}

func (e end) story() []map[string]any {
	all := []map[string]any{event("start", 2, nil)}
	if e.oom {
		all = append(all, event("oom", 3, nil))
	}
	return append(all, event("die", 4, map[string]string{"exitCode": fmt.Sprint(e.code)}))
}

// TestAnEndIsHeardOf: a plain success is known before the engine has cleared up; everything else is looked at.
func TestAnEndIsHeardOf(t *testing.T) {
	after, before := time.Date(2026, 1, 1, 12, 0, 1, 0, time.UTC), time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC)
	for name, test := range map[string]end{
		"a success":                   {created: after, heard: true},
		"a failure":                   {created: after, code: 3},
		"out of memory":               {created: after, oom: true},
		"killed for want of memory":   {created: after, code: 137, oom: true},
		"older than the stream":       {created: before},
		"restarted by the engine":     {created: after, host: `{"RestartPolicy": {"Name": "always"}}`},
		"with a port that others use": {created: after, host: `{"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}`},
		"a stream that broke":         {created: after, deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			if test.host == "" {
				test.host = "{}"
			}
			e := &engine{
				created: test.created, host: test.host, code: test.code, oom: test.oom, tell: make(chan map[string]any), hangUp: make(chan struct{}),
				subscribed: make(chan struct{}), cleared: make(chan struct{}),
			}
			server := httptest.NewServer(e)
			defer server.Close()
			api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			defer api.Close()
			listener := ends.New(api)
			defer listener.Close()
			listener.Listen(t.Context())
			<-e.subscribed
			over := make(chan struct{})
			var telling sync.WaitGroup
			defer telling.Wait()
			defer close(over)
			telling.Go(func() {
				if test.deaf {
					close(e.hangUp)
				}
				// Told again and again, as nobody knows when the wait listens. What is to be
				// looked at is let after a while, in which a wrong one would be through.
				for n := 0; test.heard || n < 10; n++ {
					for _, m := range test.story() {
						select {
						case e.tell <- m:
						case <-e.hangUp:
						case <-over:
							return
						}
					}
					time.Sleep(10 * time.Millisecond)
				}
				close(e.cleared)
			})
			status, err := End(t.Context(), api, listener, "job")
			if err != nil {
				t.Fatal(err)
			}
			if !status.Ended() || status.ExitCode != test.code || status.OOMKilled != test.oom || status.ID != id || status.Name != "job" {
				t.Errorf("status %+v", status)
			}
			if looked := status.Error == "looked at"; looked == test.heard {
				t.Errorf("looked at: %t", looked)
			}
			if test.heard && (status.Started.Second() != 2 || status.Finished.Second() != 4) {
				t.Errorf("from %s to %s", status.Started, status.Finished)
			}
		})
	}
}
