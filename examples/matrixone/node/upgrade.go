package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/stagehand-dev/stagehand/upgrades"
)

// form is what a version has changed of the data's form, in SQL that may be repeated.
type form struct {
	version upgrades.Version
	// prepare comes before everything else; cluster is for the catalog, tenant for an account, whose schema %[1]s is.
	prepare, cluster, tenant string
}

var forms = []form{
	{
		version: upgrades.MustVersion("1.4.0"),
		prepare: "CREATE SCHEMA IF NOT EXISTS mo_task",
		cluster: `
			CREATE SCHEMA IF NOT EXISTS mo_task;
			CREATE TABLE IF NOT EXISTS mo_task.sys_async_task (id bigint PRIMARY KEY);
			ALTER TABLE mo_catalog.mo_account ADD COLUMN IF NOT EXISTS comment text`,
		tenant: "ALTER TABLE %[1]s.orders ALTER COLUMN amount TYPE numeric USING amount::numeric",
	},
	{
		version: upgrades.MustVersion("1.5.0"),
		cluster: "CREATE TABLE IF NOT EXISTS mo_catalog.mo_stages (stage_name text PRIMARY KEY)",
		tenant:  "ALTER TABLE %[1]s.orders ADD COLUMN IF NOT EXISTS currency text NOT NULL DEFAULT 'EUR'",
	},
}

func (f form) upgradeCluster(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, f.cluster); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE mo_catalog.mo_version SET version = $1", f.version.String())
	return err
}

func (f form) upgradeTenant(ctx context.Context, tx *sql.Tx, schema string) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(f.tenant, schema))
	return err
}

// upgrade does the part of an upgrade that stagehand asks for by variables.
func upgrade(ctx context.Context, db *sql.DB, getenv func(string) string, stdout io.Writer) error {
	part := getenv("STAGEHAND_PART")
	if part == "list" {
		return list(ctx, db, stdout)
	}
	to, err := upgrades.ParseVersion(getenv("STAGEHAND_TO"))
	if err != nil {
		return fmt.Errorf("STAGEHAND_TO: %w", err)
	}
	for _, f := range forms {
		if f.version.Compare(to) != 0 {
			continue
		}
		switch part {
		case "prepare":
			_, err := db.ExecContext(ctx, f.prepare)
			return err
		case "cluster":
			return transact(ctx, db, func(tx *sql.Tx) error { return f.upgradeCluster(ctx, tx) })
		case "tenant":
			return transact(ctx, db, func(tx *sql.Tx) error { return f.upgradeAccount(ctx, tx, getenv("STAGEHAND_TENANT")) })
		}
		return fmt.Errorf("STAGEHAND_PART %q is no part of an upgrade", part)
	}
	return fmt.Errorf("there is no upgrade to %s", to)
}

// upgradeAccount takes one account to the form's version, in one transaction with the note of it.
func (f form) upgradeAccount(ctx context.Context, tx *sql.Tx, name string) error {
	var text string
	err := tx.QueryRowContext(ctx, "SELECT version FROM mo_catalog.mo_account WHERE account_name = $1 FOR UPDATE", name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("there is no account %s", name)
	} else if err != nil {
		return err
	}
	if at, err := upgrades.ParseVersion(text); err != nil || at.Compare(f.version) >= 0 {
		return err // it was done before
	}
	if err := f.upgradeTenant(ctx, tx, pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("account %s: %w", name, err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO mo_catalog.mo_upgrade VALUES ($1, $2)", name, f.version.String()); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE mo_catalog.mo_account SET version = $1 WHERE account_name = $2", f.version.String(), name)
	return err
}

// list prints the accounts, one a line.
func list(ctx context.Context, db *sql.DB, stdout io.Writer) error {
	rows, err := db.QueryContext(ctx, "SELECT account_name FROM mo_catalog.mo_account ORDER BY account_name")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // read to its end, or in error already
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, name); err != nil {
			return err
		}
	}
	return rows.Err()
}
