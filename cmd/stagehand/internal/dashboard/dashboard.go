// Package dashboard serves the runs of a ledger to the browser of whoever has its
// address: a page for each, which follows what goes on. It changes nothing.
package dashboard

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/sleep"
	"github.com/stagehand-dev/stagehand/views/report"
)

// Options say what is served.
type Options struct {
	Ledger *ledger.Ledger
	// Report reads what there is to know of a run.
	Report func(ctx context.Context, run ledger.Run) (report.Report, error)
	// Standing looks at what stands on the engine; nil where nobody looks.
	Standing func(ctx context.Context) ([]report.Standing, error)
	// Host is the address that is served, HOST:PORT: requests to another name are refused, as a
	// page elsewhere may have one that leads here.
	Host string
	// Token is the first part of each path.
	Token string
	// Every is how often a page that is being looked at is made anew; 0 is once a second.
	Every time.Duration
}

// Handler serves /TOKEN/, the runs, and /TOKEN/run/ID. Only pages of its own, and
// people who follow a link that no page has, get an answer.
func Handler(o Options) http.Handler {
	if o.Every == 0 {
		o.Every = time.Second
	}
	s := &server{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{token}/{$}", s.list)
	mux.HandleFunc("GET /{token}/stream", s.listStream)
	mux.HandleFunc("GET /{token}/run/{id}", s.run)
	mux.HandleFunc("GET /{token}/run/{id}/stream", s.runStream)
	return s.guard(mux)
}

type server struct{ Options }

// guard refuses what is not asked by somebody who was given the address.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Referrer-Policy", "no-referrer") // the address is the key
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		switch {
		case r.Host != s.Host:
			http.Error(w, "this is "+s.Host+" and nothing else", http.StatusForbidden)
		case origin != "" && origin != "http://"+s.Host || site != "" && site != "none" && site != "same-origin":
			http.Error(w, "other pages are not answered", http.StatusForbidden)
		case subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) != 1:
			http.Error(w, "open the address that stagehand ui has printed", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// runs are those of the ledger, and what stands beside them. An engine that does not answer is no error.
func (s *server) runs(ctx context.Context) (report.Listing, error) {
	var l report.Listing
	runs, err := s.Ledger.Runs(ctx, "")
	if err != nil {
		return l, err
	}
	for _, r := range runs {
		l.Runs = append(l.Runs, report.Summary{Stack: r.Stack, ID: r.ID, Verb: r.Verb, Started: r.Started, Ended: r.Ended, Verdict: r.Verdict})
	}
	if s.Standing != nil {
		if l.Standing, err = s.Standing(ctx); err != nil {
			l.Unseen = err.Error()
		}
	}
	return l, nil
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	runs, err := s.runs(r.Context())
	respond(w, err, func(w io.Writer) error { return report.WriteList(w, runs, "stream") })
}

func (s *server) listStream(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, func(ctx context.Context, w io.Writer) (bool, error) {
		runs, err := s.runs(ctx)
		if err != nil {
			return false, err
		}
		return false, report.ListBody(w, runs)
	})
}

// of reads the run that a request is about; over tells that nothing more happens in it.
func (s *server) of(ctx context.Context, r *http.Request) (page report.Report, over bool, err error) {
	run, ok, err := s.Ledger.Find(ctx, r.PathValue("id"))
	if err != nil || !ok {
		return page, false, errOr(err, errNoRun)
	}
	page, err = s.Report(ctx, run)
	page.Home = "../"
	return page, !run.Ended.IsZero(), err
}

func (s *server) run(w http.ResponseWriter, r *http.Request) {
	page, over, err := s.of(r.Context(), r)
	if !over {
		page.Stream = r.PathValue("id") + "/stream"
	}
	respond(w, err, func(w io.Writer) error { return report.Write(w, page) })
}

func (s *server) runStream(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, func(ctx context.Context, w io.Writer) (bool, error) {
		page, over, err := s.of(ctx, r)
		if err != nil {
			return false, err
		}
		return over, report.Body(w, page)
	})
}

// stream sends what body writes, each time that it differs, until that is over or the
// reader has gone.
func (s *server) stream(w http.ResponseWriter, r *http.Request, body func(context.Context, io.Writer) (over bool, err error)) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's limit is for requests to arrive; one that cannot be lifted only breaks the stream, which browsers begin anew
	w.Header().Set("Content-Type", "text/event-stream")
	var last []byte
	for {
		var now bytes.Buffer
		over, err := body(r.Context(), &now)
		if err != nil {
			return // the browser asks again
		}
		if !bytes.Equal(now.Bytes(), last) {
			last = now.Bytes()
			text, err := json.Marshal(string(last))
			if err != nil {
				return
			}
			fmt.Fprintf(w, "data: %s\n\n", text)
		}
		if over {
			fmt.Fprint(w, "event: over\ndata:\n\n")
		}
		if err := control.Flush(); err != nil || over || sleep.For(r.Context(), s.Every) != nil {
			return
		}
	}
}
