package lease

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
)

// engine is one whose answer to a start can be held back, refused or lost. Its only
// container echoes what it is told, from its start on.
type engine struct {
	starts  chan func(http.ResponseWriter) bool // how the next start is answered; false: it did not start
	running chan struct{}

	mu    sync.Mutex
	calls []string
	lines []string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	e.mu.Lock()
	e.calls = append(e.calls, r.Method+" "+path)
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch path {
	case "create":
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"Id":"c0"}`))
	case "json":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"Id": "c0", "Created": "2026-01-01T12:00:00Z", "State": map[string]any{"Status": "created"},
			"Config": map[string]any{"Labels": map[string]string{containers.LabelLease: "s"}},
		})
	case "attach":
		e.echo(w)
	case "start":
		select {
		case answer := <-e.starts:
			if answer(w) {
				close(e.running)
			}
		case <-r.Context().Done():
		}
	case "c0": // DELETE
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func (e *engine) echo(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"))
	<-e.running
	out := stdcopy.NewStdWriter(conn, stdcopy.Stdout)
	for reader := bufio.NewReader(conn); ; {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		e.mu.Lock()
		e.lines = append(e.lines, strings.TrimSpace(line))
		e.mu.Unlock()
		_, _ = out.Write([]byte(line))
	}
}

func (e *engine) did(call string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.calls, call)
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool {
		w.WriteHeader(code)
		if code >= http.StatusBadRequest {
			_, _ = w.Write([]byte(`{"message":"no such runtime"}`))
		}
		return code < http.StatusBadRequest
	}
}

// cut loses the answer on its way.
func cut(w http.ResponseWriter) bool {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
	return true
}

// take takes the lease of an engine that answers the starts so.
func take(t *testing.T, answers ...func(http.ResponseWriter) bool) (*engine, *Lease) {
	t.Helper()
	e := &engine{starts: make(chan func(http.ResponseWriter) bool, 2), running: make(chan struct{})}
	for _, a := range answers {
		e.starts <- a
	}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	ctx, done := context.WithCancel(t.Context())
	defer done() // the lease outlives the call that took it
	l, err := Take(ctx, Options{API: api, Image: "i", Program: "/p", TTL: time.Minute}, "s", containers.Holder{Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	return e, l
}

// What is allowed before the container runs is allowed for a while only, and not
// refused afterwards, but held back.
func TestTheLeaseCountsBeforeItsContainerRuns(t *testing.T) {
	e, l := take(t)
	if err := l.Allow(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Tell([]byte("early"))
	time.Sleep(time.Until(l.asked.Add(headStart + 10*time.Millisecond)))
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Allow(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("allowed although nobody keeps it: %v", err)
	}
	e.starts <- status(http.StatusNoContent)
	if err := l.Allow(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Tell([]byte("late"))
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if want := []string{"nearly", "b1", "nlate", "e"}; !slices.Equal(e.lines, want) {
		t.Errorf("told %q, want %q", e.lines, want)
	}
}

func TestALeaseWhoseContainerCannotBeStartedIsLostAndSaysWhy(t *testing.T) {
	e, l := take(t, status(http.StatusInternalServerError))
	<-l.Lost()
	err := l.Allow(t.Context())
	if !errors.Is(err, containers.ErrLeaseLost) || !strings.Contains(err.Error(), "no such runtime") {
		t.Errorf("got %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if !e.did("DELETE c0") {
		t.Error("its container was left")
	}
}

func TestALostAnswerToTheStartIsAskedForAgain(t *testing.T) {
	_, l := take(t, cut, func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusNotModified)
		return false // it runs already
	})
	time.Sleep(time.Until(l.asked.Add(headStart + 10*time.Millisecond)))
	if err := l.Allow(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who has told nothing does not wait for a start that nobody needs.
func TestReleasedBeforeItRuns(t *testing.T) {
	e, l := take(t)
	began := time.Now()
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > farewellLimit {
		t.Errorf("took %s", took)
	}
	if !e.did("DELETE c0") {
		t.Error("its container was left")
	}
	select {
	case <-l.Lost():
		t.Error("told as lost")
	default:
	}
	if err := l.Allow(t.Context()); !errors.Is(err, containers.ErrLeaseLost) {
		t.Errorf("allows after its release: %v", err)
	}
}

// The stream begins somewhere within what the log has, or behind it.
func TestNotesOfLogAndStream(t *testing.T) {
	of := func(text string) (notes [][]byte) {
		for word := range strings.FieldsSeq(text) {
			notes = append(notes, []byte(word))
		}
		return notes
	}
	for _, c := range [][3]string{
		{"", "", ""}, {"", "a b", "a b"}, {"a b", "", "a b"}, {"a b", "b c", "a b c"}, {"a b c", "c", "a b c"}, {"a b", "a b c d", "a b c d"},
		{"a", "b c", "a b c"}, {"a b c", "b", "a b c b"},
	} {
		var got []string
		for _, note := range joined(of(c[0]), of(c[1])) {
			got = append(got, string(note))
		}
		if strings.Join(got, " ") != c[2] {
			t.Errorf("log %q, stream %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
