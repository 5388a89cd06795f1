package main

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
)

const (
	// clusterApp is the app that all others are deployed through.
	clusterApp = "sys/cluster"
	// firstWorkspace is the ID of an app's first workspace; the others follow. The cluster app
	// deploys workspaces, so its own has an ID that nobody needs to ask it for.
	firstWorkspace = 1 << 17
	// storageLock is PostgreSQL's advisory lock for making storages: its CREATE … IF NOT EXISTS
	// fails where two make the same thing at a time.
	storageLock = 55555
)

// quoted is a storage's name as the name of its schema in SQL.
func quoted(storage string) string { return pgx.Identifier{storage}.Sanitize() }

// createStorage makes a storage, which is a schema, if it is not there; sysmeta, in which all others
// are listed, comes with the first. What is there is not written to.
func createStorage(ctx context.Context, tx *sql.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", storageLock); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRowContext(ctx, "SELECT to_regnamespace($1) IS NOT NULL", quoted(name)).Scan(&there); err != nil || there {
		return err
	}
	const sysmeta = `
		CREATE SCHEMA IF NOT EXISTS sysmeta;
		CREATE TABLE IF NOT EXISTS sysmeta.Storage (Name text PRIMARY KEY);`
	if _, err := tx.ExecContext(ctx, sysmeta); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO sysmeta.Storage VALUES ($1)", name); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted(name)) // sysmeta itself is there by now
	return err
}

// createWorkspaces makes what holds an app's workspaces, and the first count of them, where they are not there.
func createWorkspaces(ctx context.Context, tx *sql.Tx, app string, count int) error {
	table := quoted(app) + ".Workspace"
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (ID bigint PRIMARY KEY)"); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" SELECT $1::bigint + n FROM generate_series(0, $2::int - 1) AS n ON CONFLICT DO NOTHING", firstWorkspace, count)
	return err
}

// initCluster makes the cluster app's storage, tables and workspace. It may be repeated.
func initCluster(ctx context.Context, db *sql.DB) error {
	return transact(ctx, db, func(tx *sql.Tx) error {
		if err := createStorage(ctx, tx, clusterApp); err != nil {
			return err
		}
		// A partition that is deployed has a row: here it outlives the process, other than in Voedger.
		const tables = `
			CREATE TABLE IF NOT EXISTS "sys/cluster".App (
				AppQName text NOT NULL UNIQUE, NumPartitions int NOT NULL, NumAppWorkspaces int NOT NULL);
			CREATE TABLE IF NOT EXISTS "sys/cluster".Partition (AppQName text, Number int, PRIMARY KEY (AppQName, Number));`
		if _, err := tx.ExecContext(ctx, tables); err != nil {
			return err
		}
		return createWorkspaces(ctx, tx, clusterApp, 1)
	})
}
