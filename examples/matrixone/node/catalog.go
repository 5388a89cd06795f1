package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stagehand-dev/stagehand/upgrades"
)

// first is the version that the oldest form of the catalog has.
var first = upgrades.MustVersion("1.2.0")

// createCatalog makes the catalog in the form of a version; node is who does it.
func createCatalog(ctx context.Context, tx *sql.Tx, node string, version upgrades.Version) error {
	// Whoever watches the creation of the catalog can hold it up by this lock.
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(6001)"); err != nil {
		return err
	}
	const oldest = `
		CREATE SCHEMA mo_catalog;
		CREATE TABLE mo_catalog.mo_version (version text NOT NULL, created_by text NOT NULL);
		CREATE TABLE mo_catalog.mo_account (account_name text PRIMARY KEY, version text NOT NULL);
		CREATE TABLE mo_catalog.mo_upgrade (account_name text NOT NULL, version text NOT NULL);`
	if _, err := tx.ExecContext(ctx, oldest); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO mo_catalog.mo_version VALUES ($1, $2)", first.String(), node); err != nil {
		return err
	}
	for _, f := range forms {
		if f.version.Compare(version) <= 0 {
			if err := f.upgradeCluster(ctx, tx); err != nil {
				return err
			}
		}
	}
	// A version that no form leads to is a program that does not know itself.
	at, err := catalogVersion(ctx, tx)
	if err == nil && at.Compare(version) != 0 {
		err = fmt.Errorf("version %s has no form of the catalog: the nearest is %s", version, at)
	}
	return err
}

// querier is a transaction, or the database itself.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// catalogVersion is the version that the catalog has the form of.
func catalogVersion(ctx context.Context, q querier) (upgrades.Version, error) {
	var text string
	if err := q.QueryRowContext(ctx, "SELECT version FROM mo_catalog.mo_version").Scan(&text); err != nil {
		return upgrades.Version{}, err
	}
	return upgrades.ParseVersion(text)
}

// createAccounts makes accounts in the form of the catalog's version, where there are none. Each has
// a schema with its orders.
func createAccounts(ctx context.Context, tx *sql.Tx, count int) error {
	version, err := catalogVersion(ctx, tx)
	if err != nil {
		return err
	}
	var there int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM mo_catalog.mo_account").Scan(&there); err != nil || there > 0 {
		return err
	}
	for i := 1; i <= count; i++ {
		name := fmt.Sprintf("acc%03d", i)
		schema := pgx.Identifier{name}.Sanitize()
		oldest := fmt.Sprintf("CREATE SCHEMA %s; CREATE TABLE %s.orders (id int PRIMARY KEY, amount text NOT NULL); INSERT INTO %s.orders VALUES (1, '%d.50')", schema, schema, schema, i)
		if _, err := tx.ExecContext(ctx, oldest); err != nil {
			return err
		}
		for _, f := range forms {
			if f.version.Compare(version) <= 0 {
				if err := f.upgradeTenant(ctx, tx, schema); err != nil {
					return err
				}
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO mo_catalog.mo_account (account_name, version) VALUES ($1, $2)", name, version.String()); err != nil {
			return err
		}
	}
	return nil
}
