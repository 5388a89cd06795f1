package main

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxBody is the most that a request may have, in bytes.
const maxBody = 64 << 10

// admin is the endpoint through which the system user deploys:
//
//	GET  /health
//	POST /api/sys/cluster/c.cluster.DeployApp    a descriptor
//	PUT  /apps/{owner}/{app}/partitions/{number}
//
// 201 where something is new, 200 where it was there and nothing was written.
func (c cluster) admin(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health(c.db))
	mux.HandleFunc("POST /api/sys/cluster/c.cluster.DeployApp", func(w http.ResponseWriter, r *http.Request) {
		created, err := c.command(r.Context(), http.MaxBytesReader(w, r.Body, maxBody))
		answer(w, created, err)
	})
	mux.HandleFunc("PUT /apps/{owner}/{app}/partitions/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.PathValue("number"))
		if err != nil {
			answer(w, false, refused(http.StatusBadRequest, "%q is no number of a partition", r.PathValue("number")))
			return
		}
		created, err := c.deployPartition(r.Context(), r.PathValue("owner")+"/"+r.PathValue("app"), number)
		answer(w, created, err)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, want := r.Header.Get("Authorization"), "Bearer "+token
		if r.URL.Path != "/health" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
			http.Error(w, "only the system user may ask that", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// command reads a descriptor and deploys it.
func (c cluster) command(ctx context.Context, body io.Reader) (created bool, err error) {
	var d descriptor
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return false, refused(http.StatusBadRequest, "the body is no descriptor: %v", err)
	}
	if ready, err := c.bootstrapped(ctx); err != nil {
		return false, err
	} else if !ready {
		return false, refused(http.StatusServiceUnavailable, "app %s has no partition yet", clusterApp)
	}
	return c.deployApp(ctx, d)
}

// answer says how a request ended.
func answer(w http.ResponseWriter, created bool, err error) {
	var no refusal
	switch {
	case errors.As(err, &no):
		http.Error(w, no.text, no.status)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case created:
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintln(w, "deployed")
	default:
		fmt.Fprintln(w, "was deployed before")
	}
}

// health answers 200 while the database does.
func health(db *sql.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := db.PingContext(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// systemUser asks the admin endpoint.
type systemUser struct {
	client     *http.Client
	url, token string
}

// deployPartitions has the partitions 0 to count-1 deployed, one after another. It may be repeated.
func (s systemUser) deployPartitions(ctx context.Context, app string, count int, stdout io.Writer) error {
	for number := range count {
		if err := s.put(ctx, fmt.Sprintf("/apps/%s/partitions/%d", app, number)); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "::progress %d/%d partitions::%s\n", number+1, count, app)
	}
	return nil
}

func (s systemUser) put(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("PUT %s: %s: %s", path, response.Status, text)
	}
	return nil
}
