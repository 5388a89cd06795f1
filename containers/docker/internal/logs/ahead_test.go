package logs

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/ends"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// engine is one with a container that has been made. Whoever attaches to it gets one line, and
// then the connection ends.
type engine struct {
	tell       chan map[string]any // events
	subscribed chan struct{}
	attached   chan struct{} // closed before the connection ends
	tty        bool
	host       string // HostConfig, as JSON
	// after is the container's state once the connection has ended. Empty, no look at it is
	// answered, as is the engine's way while it clears up behind a container.
	after string
}

// state is empty where a look is not answered.
func (e *engine) state() string {
	select {
	case <-e.attached:
		return e.after
	default:
		return "created"
	}
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/info"):
		answer(map[string]any{"ID": "x", "SystemTime": "2026-01-01T12:00:00Z"})
	case strings.HasSuffix(path, "/events"):
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		close(e.subscribed)
		for {
			select {
			case m := <-e.tell:
				answer(m)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	case strings.HasSuffix(path, "/json"):
		state := e.state()
		if state == "" {
			<-r.Context().Done()
			return
		}
		answer(map[string]any{
			"Id": id, "Name": "/job", "Created": "2026-01-01T12:00:01Z", "State": map[string]any{"Status": state, "Running": state == "running"},
			"HostConfig": json.RawMessage(e.host), "Config": map[string]any{"Image": "demo", "Tty": e.tty}, "NetworkSettings": map[string]any{"Networks": map[string]any{}},
		})
	case strings.HasSuffix(path, "/attach"):
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + frameOf(1, "a li") + frameOf(2, "b\n") + frameOf(1, "ne\n")))
		close(e.attached)
		_ = conn.Close()
	default:
		http.NotFound(w, r)
	}
}

func event(action string, second int) map[string]any {
	at := time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC)
	return map[string]any{
		"Type": "container", "Action": action, "Actor": map[string]any{"ID": id, "Attributes": map[string]string{"exitCode": "0"}}, "time": at.Unix(), "timeNano": at.UnixNano(),
	}
}

// open asks for the log ahead. network is that of the engine's address.
func (e *engine) open(t *testing.T, network string) (io.ReadCloser, error) {
	t.Helper()
	e.tell, e.subscribed, e.attached = make(chan map[string]any), make(chan struct{}), make(chan struct{})
	if e.host == "" {
		e.host = "{}"
	}
	address := map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0"}[network]
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(e)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	api, err := client.NewClientWithOpts(client.WithHost(network+"://"+listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	heard := ends.New(api)
	t.Cleanup(heard.Close)
	heard.Listen(t.Context())
	<-e.subscribed
	reader, err := Open(t.Context(), api, heard, "job", containers.LogOptions{Follow: true, Ahead: true})
	if err == nil {
		t.Cleanup(func() { reader.Close() })
	}
	return reader, err
}

func TestAheadEndsWithTheContainer(t *testing.T) {
	e := &engine{}
	reader, err := e.open(t, "unix")
	if err != nil {
		t.Fatal(err)
	}
	e.tell <- event("start", 2)
	e.tell <- event("die", 3)
	if text, err := io.ReadAll(reader); err != nil || string(text) != "b\na line\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

// An end of the connection that is not known to be the container's is no end of its log.
func TestAheadOfABrokenConnection(t *testing.T) {
	for _, state := range []string{"created", "running", "exited"} {
		t.Run(state, func(t *testing.T) {
			e := &engine{after: state}
			reader, err := e.open(t, "unix")
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(reader); !errors.Is(err, containers.ErrUnavailable) || string(text) != "b\na line\n" {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

func TestWhatIsNotReadAhead(t *testing.T) {
	for name, test := range map[string]struct {
		network, host string
		tty           bool
	}{
		"through a network":        {network: "tcp"},
		"a terminal's":             {network: "unix", tty: true},
		"begun anew by the engine": {network: "unix", host: `{"RestartPolicy": {"Name": "always"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{tty: test.tty, host: test.host}
			if _, err := e.open(t, test.network); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
		})
	}
}
