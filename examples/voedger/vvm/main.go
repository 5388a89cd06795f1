// Command vvm is all the programs of the example, as a Voedger virtual machine is all of
// Voedger's: see stagehand.yaml.
//
//	vvm cluster               serve the cluster app's admin endpoint on :55555
//	vvm workspace             initialise the cluster app's storage and workspace, if they are not there
//	vvm storage NAME          create a storage, if it is not there
//	vvm partitions APP COUNT  have the cluster app deploy the partitions 0 to COUNT-1 of APP
//	vvm public                serve the public endpoint on :8080
//	vvm actualizer APP        bring APP's view up to date with its partitions' logs, for ever
//
// POSTGRES_URL is the database, ADMIN_URL the admin endpoint, SYSTEM_TOKEN what the system user
// shows there.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	adminListen, publicListen = ":55555", ":8080"
	// stopTime bounds the wait for requests under way when a server stops.
	stopTime = 5 * time.Second
	usage    = "usage: vvm cluster | workspace | storage NAME | partitions APP COUNT | public | actualizer APP"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := Main(ctx, os.Args[1:], machine{os.Getenv, os.Stdout, os.Stderr, net.Listen, (&net.Dialer{}).DialContext})
	stop()
	os.Exit(code)
}

// machine is what a program has of the machine that it runs on: a container, or a test's.
type machine struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	listen         func(network, address string) (net.Listener, error)
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// errUsage is an error in the arguments.
var errUsage = errors.New(usage)

// Main runs one command until it is done or ctx ends, and returns the exit code.
func Main(ctx context.Context, args []string, m machine) int {
	err := command(ctx, args, m)
	if err == nil {
		return 0
	}
	fmt.Fprintf(m.stderr, "vvm: %v\n", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func command(ctx context.Context, args []string, m machine) error {
	name, wanted := "", map[string]int{"cluster": 1, "workspace": 1, "storage": 2, "partitions": 3, "public": 1, "actualizer": 2}
	if len(args) > 0 {
		name = args[0]
	}
	if len(args) != wanted[name] || len(args) == 0 {
		return errUsage
	}
	token := or(m.getenv("SYSTEM_TOKEN"), "system")
	if name == "partitions" {
		count, err := strconv.Atoi(args[2])
		if err != nil || count < 1 {
			return fmt.Errorf("%q is no count of partitions\n%w", args[2], errUsage)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: m.dial}}
		defer client.CloseIdleConnections()
		return systemUser{client, or(m.getenv("ADMIN_URL"), "http://cluster:55555"), token}.deployPartitions(ctx, args[1], count, m.stdout)
	}
	db, err := m.database()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends with it
	switch name {
	case "cluster":
		return m.serve(ctx, adminListen, cluster{db}.admin(token))
	case "workspace":
		return initCluster(ctx, db)
	case "storage":
		return transact(ctx, db, func(tx *sql.Tx) error { return createStorage(ctx, tx, args[1]) })
	case "public":
		return m.serve(ctx, publicListen, endpoint{db}.public())
	default:
		return actualizer{db, args[1]}.run(ctx, m.stdout)
	}
}

// database connects when it is used.
func (m machine) database() (*sql.DB, error) {
	config, err := pgx.ParseConfig(or(m.getenv("POSTGRES_URL"), "postgres://postgres@postgres:5432/postgres"))
	if err != nil {
		return nil, err
	}
	config.DialFunc = m.dial
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // dial knows names
	return stdlib.OpenDB(*config), nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// transact does all of work in the database, or nothing of it.
func transact(ctx context.Context, db *sql.DB, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// serve answers until ctx ends, which is no error.
func (m machine) serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := m.listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(m.stdout, "serving on %s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
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
