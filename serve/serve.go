// Package serve offers a stack's registry of apps, its runs and its lease over
// HTTP, under the same rules as the command line.
package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// Options of a server. All must be set.
type Options struct {
	Stack  *stages.Stack
	Engine containers.Engine
	// EngineID is that of Engine: apps are registered for it.
	EngineID string
	Ledger   *ledger.Ledger
	// Token is what each request must carry, as Authorization: Bearer TOKEN.
	Token string
	// Run makes the ID of a run.
	Run func() string
	// Version is the program's.
	Version string
}

// bodyLimit of a request is a thousand times what an app's fields need.
const bodyLimit = 64 << 10

// Handler answers requests: /v1/apps, /v1/runs and /v1/locks as /openapi.json
// describes them. Every failure is an application/problem+json (RFC 9457). Whom it answers is for the
// caller to see to: it is meant for the loopback interface.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("stagehand", o.Version)
	config.DocsPath, config.SchemasPath = "", "" // no page that loads scripts from elsewhere
	config.CreateHooks = nil                     // no $schema in answers
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	api := humago.New(mux, config)
	s := &server{Options: o}
	s.apps(api)
	s.runs(api)
	s.locks(api)
	document(api.OpenAPI())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "there is no such thing: /openapi.json says what there is")
	})
	return authorized(o.Token, mux)
}

// document leaves out of the document what cannot happen: that a name in a path is no text.
func document(o *huma.OpenAPI) {
	for _, path := range o.Paths {
		for _, operation := range []*huma.Operation{path.Get, path.Put} {
			if operation != nil && !slices.ContainsFunc(operation.Parameters, func(p *huma.Param) bool { return p.In == "query" }) {
				delete(operation.Responses, strconv.Itoa(http.StatusUnprocessableEntity))
			}
		}
	}
}

type server struct {
	Options
	// registering is held while an app is registered, so that of many who register
	// one at a time the first one does, and the others find it done.
	registering sync.Mutex
}

// authorized refuses whoever does not have the token, before anything is read of the request.
func authorized(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given)) // of one length, whatever was given
		if !bearer || token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "the request needs the header Authorization: Bearer TOKEN, with the token of this server")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// problem answers with a problem, as the operations do.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}) // whoever asked is gone
}

// refused is the answer to a request that failed with err, without secrets.
func (s *server) refused(err error) error {
	told := s.Stack.Secrets.Text(err.Error())
	var deployed *runner.DeployedError
	var file *ledger.FileError
	switch {
	case errors.As(err, &deployed), errors.Is(err, containers.ErrConflict):
		return huma.Error409Conflict(told)
	case errors.As(err, &file), errors.Is(err, runner.ErrLedger), errors.Is(err, containers.ErrUnavailable):
		return huma.Error503ServiceUnavailable(told)
	}
	return huma.Error500InternalServerError(told)
}
