package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// endpoint is what the world sees of the apps.
type endpoint struct{ db *sql.DB }

// public is the endpoint that opens when the bootstrap is done:
//
//	GET  /health
//	POST /apps/{owner}/{app}/workspaces/{number}    any JSON: an event, for the log of the workspace's partition
//	GET  /apps/{owner}/{app}/workspaces/{number}    what the actualizer has made of them: the count, and the latest
//
// A workspace's number counts from 0.
func (e endpoint) public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health(e.db))
	mux.HandleFunc("POST /apps/{owner}/{app}/workspaces/{number}", func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil || !json.Valid(event) {
			http.Error(w, "an event is JSON of at most 64 KiB", http.StatusBadRequest)
			return
		}
		reply(w, r, http.StatusCreated, func(d descriptor, number int) (any, error) { return e.append(r.Context(), d, number, event) }, e.db)
	})
	mux.HandleFunc("GET /apps/{owner}/{app}/workspaces/{number}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, http.StatusOK, func(d descriptor, number int) (any, error) { return e.view(r.Context(), d, number) }, e.db)
	})
	return mux
}

// reply answers a request for a workspace with act's JSON.
func reply(w http.ResponseWriter, r *http.Request, status int, act func(descriptor, int) (any, error), db *sql.DB) {
	app := r.PathValue("owner") + "/" + r.PathValue("app")
	d, err := recordOf(r.Context(), db, app)
	number, bad := strconv.Atoi(r.PathValue("number"))
	var result any
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = refused(http.StatusNotFound, "there is no app %s", app)
	case err == nil && (bad != nil || number < 0 || number >= d.NumAppWorkspaces):
		err = refused(http.StatusNotFound, "app %s has no workspace %s", app, r.PathValue("number"))
	case err == nil:
		result, err = act(d, number)
	}
	if err != nil {
		answer(w, false, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result) // an error means that the client has gone
}

// place is where an event stands.
type place struct {
	Partition int   `json:"partition"`
	Number    int64 `json:"number"` // from 1, in the partition's log
}

// append writes an event to the log of the workspace's partition: that with the number of the workspace
// modulo their count, which therefore must not change.
func (e endpoint) append(ctx context.Context, d descriptor, workspace int, event []byte) (place, error) {
	at := place{Partition: workspace % d.NumPartitions}
	err := transact(ctx, e.db, func(tx *sql.Tx) error {
		// The lock on its row makes a partition's log one sequence.
		err := tx.QueryRowContext(ctx, `SELECT Number FROM "sys/cluster".Partition WHERE AppQName = $1 AND Number = $2 FOR UPDATE`, d.AppQName, at.Partition).Scan(new(int))
		if errors.Is(err, sql.ErrNoRows) {
			return refused(http.StatusServiceUnavailable, "app %s: partition %d is not deployed", d.AppQName, at.Partition)
		} else if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `
			INSERT INTO `+quoted(d.AppQName)+`.PLog
			SELECT $1::int, coalesce(max(Number), 0) + 1, $2::bigint, $3::jsonb FROM `+quoted(d.AppQName)+`.PLog WHERE Partition = $1
			RETURNING Number`, at.Partition, firstWorkspace+workspace, string(event)).Scan(&at.Number)
	})
	return at, err
}

// summary is what the view has of a workspace.
type summary struct {
	Events int64           `json:"events"`
	Latest json.RawMessage `json:"latest"` // null where there is none
}

func (e endpoint) view(ctx context.Context, d descriptor, workspace int) (summary, error) {
	var s summary
	err := e.db.QueryRowContext(ctx, fmt.Sprintf("SELECT Events, Latest FROM %s.View WHERE Workspace = $1", quoted(d.AppQName)), firstWorkspace+workspace).Scan(&s.Events, (*[]byte)(&s.Latest))
	if errors.Is(err, sql.ErrNoRows) {
		return summary{}, nil
	}
	return s, err
}
