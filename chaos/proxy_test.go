package chaos

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// proxy stands in front of an engine's socket and sees every request of one
// stagehand: it can tell when to kill it, and lose what the engine answers.
type proxy struct {
	path   string
	server *http.Server
	far    *http.Transport
	serves sync.WaitGroup

	mu     sync.Mutex
	points int
	// at is called at every point with its number, from 1, before the request
	// is handed on and after the engine has answered: before the caller knows.
	at func(point int)
	// meet says what happens to the nth request.
	meet     func(n int) trouble
	requests int
}

// trouble is what happens to one request.
type trouble struct {
	delay time.Duration
	// drop: the engine acts, and its answer is lost.
	drop bool
	// cut: of the answer's body only so many bytes come through; 0 is all of it.
	cut int64
}

// newProxy serves a socket of its own; socket is the engine's.
func newProxy(t *testing.T, socket string) *proxy {
	t.Helper()
	folder, err := os.MkdirTemp("", "ch") // not t.TempDir: a socket's path has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{path: filepath.Join(folder, "s")}
	p.far = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}, DisableCompression: true}
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	back := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "docker"})
			r.Out.Host = r.In.Host
		},
		Transport: p.far, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		ModifyResponse: p.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.point()
		what := p.trouble()
		if what.delay > 0 {
			select {
			case <-time.After(what.delay):
			case <-r.Context().Done():
			}
		}
		back.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), troubleKey{}, what)))
	})}
	// An attachment outlives its client, since the engine does not notice the death of one that only
	// listens to a container that has not been started.
	serving, end := context.WithCancel(context.Background())
	p.server.BaseContext = func(net.Listener) context.Context { return serving }
	p.serves.Go(func() { _ = p.server.Serve(listener) })
	t.Cleanup(func() {
		_ = p.server.Close()
		end()
		p.serves.Wait()
		p.far.CloseIdleConnections()
		_ = os.RemoveAll(folder)
	})
	return p
}

type troubleKey struct{}

var errLost = errors.New("the answer was lost")

// answered has the engine's answer, of which nobody knows yet.
func (p *proxy) answered(r *http.Response) error {
	p.point()
	what, _ := r.Request.Context().Value(troubleKey{}).(trouble)
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols:
	case what.drop:
		return errLost
	case what.cut > 0:
		r.Body = cutBody{io.LimitReader(r.Body, what.cut), r.Body}
	}
	return nil
}

// cutBody ends as a broken connection does.
type cutBody struct {
	io.Reader
	io.Closer
}

func (c cutBody) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (p *proxy) point() {
	p.mu.Lock()
	p.points++
	at, point := p.at, p.points
	p.mu.Unlock()
	if at != nil {
		at(point)
	}
}

func (p *proxy) trouble() trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.meet == nil {
		return trouble{}
	}
	return p.meet(p.requests)
}

// set begins to count anew.
func (p *proxy) set(at func(point int), meet func(n int) trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.points, p.requests, p.at, p.meet = 0, 0, at, meet
}

func (p *proxy) passed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.points
}
