// Command monode is all the programs of the example but the database: see stagehand.yaml.
//
//	monode serve NAME VERSION      bootstrap, or wait until another node has, and serve on :6001
//	monode bootstrap NAME VERSION  the same, and end when the catalog is there
//	monode accounts COUNT          create the accounts acc001 to accCOUNT, unless there are any
//	monode upgrade                 do the part of an upgrade that STAGEHAND_PART names
//
// POSTGRES_URL is the database: the catalog is in it, and beside it what package upgrades keeps.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stagehand-dev/stagehand/upgrades"
)

const usage = "usage: monode serve NAME VERSION | bootstrap NAME VERSION | accounts COUNT | upgrade"

// errUsage is an error in the arguments.
var errUsage = errors.New(usage)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := Main(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Main runs one command until it is done or ctx ends, and returns the exit code.
func Main(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	err := command(ctx, args, getenv, stdout)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "monode: %v\n", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func command(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	wanted := map[string]int{"serve": 3, "bootstrap": 3, "accounts": 2, "upgrade": 1}
	if len(args) == 0 || wanted[args[0]] != len(args) {
		return errUsage
	}
	url := getenv("POSTGRES_URL")
	if url == "" {
		url = "postgres://postgres@postgres:5432/postgres"
	}
	switch args[0] {
	case "serve", "bootstrap":
		version, err := upgrades.ParseVersion(args[2])
		if err != nil {
			return err
		}
		n := node{args[1], version, url, stdout}
		if args[0] == "bootstrap" {
			return n.bootstrap(ctx)
		}
		return n.serve(ctx)
	}
	db, err := open(url, "monode "+args[0])
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends with it
	if args[0] == "upgrade" {
		return upgrade(ctx, db, getenv, stdout)
	}
	count, err := strconv.Atoi(args[1])
	if err != nil || count < 0 {
		return fmt.Errorf("%q is no count of accounts\n%w", args[1], errUsage)
	}
	return transact(ctx, db, func(tx *sql.Tx) error { return createAccounts(ctx, tx, count) })
}

// open connects when it is used; the server knows the connection by the name.
func open(url, name string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = name
	return stdlib.OpenDB(*config), nil
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
