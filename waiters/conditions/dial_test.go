package conditions_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/decode"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

// over is a world in which every host is this address of the machine.
func over(address string) waiters.World {
	return waiters.World{Network: waitertest.Network, Engine: waitertest.Stub{OnDial: func(ctx context.Context, on, target string) (net.Conn, error) {
		if on != waitertest.Network {
			return nil, fmt.Errorf("dialled on %q", on)
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%s: %w: %w", target, containers.ErrUnreachable, err)
		}
		return conn, err
	}}}
}

func read(t *testing.T, text string) waiters.Condition {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	list := &problems.List{}
	c := decode.Condition(&decode.Scope{File: "s.yaml", Problems: list}, &node)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHTTPS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is refused on purpose
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w := over(server.Listener.Addr().String())
	for tls, want := range map[string]string{
		"{insecure: true}": "",
		"{ca: '" + ca + "', server_name: example.com}": "",
		"{ca: '" + ca + "'}":                           "certificate is valid for example.com",
		"{server_name: example.com}":                   "unknown authority",
	} {
		o, err := read(t, "http: {url: https://api/, match: ^hello$, tls: "+tls+"}").Look(t.Context(), w)
		if err != nil || o.Holds != (want == "") || !strings.Contains(o.Detail, want) {
			t.Errorf("%s: %+v, %v", tls, o, err)
		}
	}
}

// A body that never ends does not keep a look from ending that did not ask for it.
func TestHTTPEndlessBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	o, err := conditions.HTTP{URL: "http://api/stream"}.Look(t.Context(), over(server.Listener.Addr().String()))
	if err != nil || !o.Holds {
		t.Errorf("%+v, %v", o, err)
	}
}

// What is seen of a broken connection reads the same at every look.
func TestBrokenConnections(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 12345}, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for err, want := range map[error]string{
		fmt.Errorf("%w: %w", containers.ErrUnreachable, syscall.ECONNREFUSED): "refused",
		fmt.Errorf("%w: %w", containers.ErrUnreachable, reset):                "read: connection reset by peer",
		containers.ErrNotFound: "not created yet",
	} {
		w := waiters.World{Engine: waitertest.Stub{OnDial: func(context.Context, string, string) (net.Conn, error) { return nil, err }}}
		for _, c := range []waiters.Condition{
			conditions.TCP{Address: "a:1"}, conditions.HTTP{URL: "http://a"}, conditions.SQL{URL: "postgres://u:secret@a/d?sslmode=disable", Query: "x"},
		} {
			if o, err := c.Look(t.Context(), w); err != nil || o.Holds || o.Detail != want {
				t.Errorf("%s: %+v, %v; want %q", c, o, err, want)
			}
		}
	}
	for _, broken := range []error{containers.ErrUnavailable, errors.New("out of order")} {
		w := waiters.World{Engine: waitertest.Stub{OnDial: func(context.Context, string, string) (net.Conn, error) { return nil, broken }}}
		for _, c := range []waiters.Condition{
			conditions.TCP{Address: "a:1"}, conditions.HTTP{URL: "http://a"}, conditions.SQL{URL: "postgres://u:secret@a/d", Query: "x"},
		} {
			if o, err := c.Look(t.Context(), w); !errors.Is(err, broken) {
				t.Errorf("%s: %+v, %v; want %v", c, o, err, broken)
			}
		}
		call := &conditions.Call{HTTP: conditions.HTTP{URL: "http://a"}}
		if r, err := call.Do(t.Context(), w); !errors.Is(err, broken) {
			t.Errorf("call: %+v, %v", r, err)
		}
	}
}

func TestCall(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/hangs":
			<-r.Context().Done()
		case r.URL.Path == "/long":
			fmt.Fprint(w, strings.Repeat("x", 100_000))
		case r.Method != http.MethodPut || string(body) != `{"n":1}`:
			http.Error(w, "num partitions changed", http.StatusConflict)
		default:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, "made")
		}
	}))
	defer server.Close()
	w := over(server.Listener.Addr().String())
	put := conditions.HTTP{URL: "http://cluster/apps/a", Method: "PUT", Body: `{"n":1}`}
	for _, c := range []struct {
		name string
		call conditions.Call
		want conditions.CallResult
	}{
		{"accepted", conditions.Call{HTTP: put}, conditions.CallResult{OK: true, Detail: "status 201", Body: "made"}},
		{"refused", conditions.Call{HTTP: conditions.HTTP{URL: put.URL, Method: "POST"}}, conditions.CallResult{Detail: "status 409: num partitions changed", Body: "num partitions changed\n"}},
		{"long", conditions.Call{HTTP: conditions.HTTP{URL: "http://cluster/long"}}, conditions.CallResult{OK: true, Detail: "status 200", Body: strings.Repeat("x", 64<<10)}},
		{"hangs", conditions.Call{HTTP: conditions.HTTP{URL: "http://cluster/hangs"}, Timeout: 50 * time.Millisecond},
			conditions.CallResult{Detail: "no answer within 50ms: whether it was carried out is unknown"}},
	} {
		if got, err := c.call.Do(t.Context(), w); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("gone", waitertest.After(0, 3))
		time.Sleep(time.Second)
		call := &conditions.Call{HTTP: conditions.HTTP{URL: "http://gone/"}}
		got, err := call.Do(t.Context(), s.World())
		if err != nil || got.OK || !strings.HasSuffix(got.Detail, ": gone has died: exit 3") {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
