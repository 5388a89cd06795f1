package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// answerTime bounds one request, its connection to the database included.
	answerTime = 5 * time.Second
	// drainTime bounds the wait for requests under way when the server stops.
	drainTime = 5 * time.Second
)

// statusQuery tells where the app stands.
const statusQuery = `
	SELECT json_build_object('app', $1::text, 'block', current_block_num, 'head', hive.head_block_num(),
		'haf', hive.get_sync_state(), 'in_sync', hive.is_app_in_sync($1))
	FROM hive.contexts WHERE name = $1`

// serve answers the app's API until ctx ends, which is no error.
func serve(ctx context.Context, app App, url, listen string, log logger) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(app, url, log), ReadHeaderTimeout: answerTime}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Printf("%s: serving on %s", app.Name, listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = server.Shutdown(drain)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// handler is the API: an index, /health, /status and the app's own endpoints.
func handler(app App, url string, log logger) http.Handler {
	mux := http.NewServeMux()
	index := map[string]string{"/health": "whether the database answers", "/status": "how far the app is"}
	mux.HandleFunc("GET /health", query(url, log, `SELECT '{"ok": true}'::json`, nil))
	mux.HandleFunc("GET /status", query(url, log, statusQuery, func(*http.Request) []any { return []any{app.Name} }))
	for _, e := range app.Endpoints {
		index[e.Path] = e.About
		mux.HandleFunc("GET "+e.Path, query(url, log, e.Query, func(r *http.Request) []any {
			var args []any
			for _, name := range e.Params() {
				args = append(args, r.PathValue(name))
			}
			return args
		}))
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(map[string]any{"app": app.Name, "endpoints": index})
		if err != nil {
			answer(w, http.StatusInternalServerError, []byte(`{"error": "the index cannot be written"}`))
			return
		}
		answer(w, http.StatusOK, body)
	})
	return mux
}

// query answers with the one JSON value that sql returns: 404 if it returns
// none, 503 if the database cannot be asked. Each request connects anew, which
// costs a few milliseconds and outlives every restart of the database.
func query(url string, log logger, sql string, args func(*http.Request) []any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		var params []any
		if args != nil {
			params = args(r)
		}
		body, err := ask(ctx, url, sql, params)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && body == nil:
			answer(w, http.StatusNotFound, []byte(`{"error": "not found"}`))
		case err != nil:
			log.Printf("%s: %v", r.URL.Path, err)
			answer(w, http.StatusServiceUnavailable, []byte(`{"error": "the database does not answer"}`))
		default:
			answer(w, http.StatusOK, body)
		}
	}
}

func ask(ctx context.Context, url, sql string, params []any) ([]byte, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var body []byte
	err = conn.QueryRow(ctx, sql, params...).Scan(&body)
	return body, err
}

// answer writes JSON; an error means that the client has gone, which is its own business.
func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
