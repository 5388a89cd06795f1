package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/upgrades"
)

const (
	listenAddress = ":6001"
	// stopTime bounds the wait for requests under way when the node stops.
	stopTime = 5 * time.Second
)

// node is one of many that serve one catalog.
type node struct {
	name    string
	version upgrades.Version
	url     string // of the database
	stdout  io.Writer
}

// bootstrap returns when the catalog is there: one node creates it, in the transaction that marks it as
// created, and the others wait for the mark. When the one dies another takes over.
func (n node) bootstrap(ctx context.Context) (err error) {
	store, err := ledger.Open(ctx, n.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	service, err := upgrades.New(upgrades.Options{
		Store: store.Upgrades(), Deployment: upgrades.Deployment{Name: "mo_catalog"}, Version: n.version, Holder: n.name,
		BootstrapWork: func(ctx context.Context, tx *sql.Tx) error {
			fmt.Fprintf(n.stdout, "%s creates the catalog\n", n.name)
			return createCatalog(ctx, tx, n.name, n.version)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	if err := service.Bootstrap(ctx); err != nil {
		return err
	}
	fmt.Fprintf(n.stdout, "%s: the catalog is there\n", n.name)
	return nil
}

// serve bootstraps, and answers until ctx ends. A catalog of another version is an error.
func (n node) serve(ctx context.Context) error {
	if err := n.bootstrap(ctx); err != nil {
		return err
	}
	db, err := open(n.url, "monode "+n.name)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends with it
	at, err := catalogVersion(ctx, db)
	if err != nil {
		return err
	}
	if at.Compare(n.version) != 0 {
		return fmt.Errorf("the catalog is of version %s, and this node of %s", at, n.version)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listenAddress)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: n.handler(db), ReadTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(n.stdout, "%s %s serves on %s\n", n.name, n.version, listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err = server.Shutdown(stopping)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func (n node) handler(db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // a client that has gone
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		at, err := catalogVersion(r.Context(), db)
		answer(w, map[string]string{"node": n.name, "version": n.version.String(), "catalog": at.String()}, err)
	})
	// How many accounts there are, by version.
	mux.HandleFunc("GET /accounts", func(w http.ResponseWriter, r *http.Request) {
		var text string
		err := db.QueryRowContext(r.Context(), `SELECT coalesce(json_object_agg(version, n), '{}')
			FROM (SELECT version, count(*) AS n FROM mo_catalog.mo_account GROUP BY version) AS counts`).Scan(&text)
		answer(w, json.RawMessage(text), err)
	})
	return mux
}
