package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

const (
	maxPartitions, maxWorkspaces = 65535, 32768
	// maxName is how long a schema's name may be in PostgreSQL, in bytes.
	maxName = 63
)

var validAppQName = regexp.MustCompile(`^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$`)

// descriptor is what DeployApp is told, and a row of the table App.
type descriptor struct {
	AppQName         string // OWNER/NAME
	NumPartitions    int
	NumAppWorkspaces int
}

// refusal is a request that is not granted, and changed nothing.
type refusal struct {
	status int // of HTTP
	text   string
}

func (r refusal) Error() string { return r.text }

func refused(status int, format string, args ...any) error {
	return refusal{status, fmt.Sprintf(format, args...)}
}

// check refuses what no cluster could deploy.
func (d descriptor) check() error {
	switch {
	case !validAppQName.MatchString(d.AppQName) || len(d.AppQName) > maxName:
		return refused(http.StatusBadRequest, "failed to parse AppQName %q: want OWNER/NAME of lower-case letters, digits and '-', at most %d characters", d.AppQName, maxName)
	case d.AppQName == clusterApp:
		return refused(http.StatusBadRequest, "%s app can not be deployed by c.cluster.DeployApp", clusterApp)
	case d.NumAppWorkspaces < 1 || d.NumAppWorkspaces > maxWorkspaces:
		return refused(http.StatusBadRequest, "app %s: NumAppWorkspaces=%d is not in 1..%d", d.AppQName, d.NumAppWorkspaces, maxWorkspaces)
	case d.NumPartitions < 1 || d.NumPartitions > maxPartitions:
		return refused(http.StatusBadRequest, "app %s: NumPartitions=%d is not in 1..%d", d.AppQName, d.NumPartitions, maxPartitions)
	}
	return nil
}

// compare refuses counts other than those that the app was deployed with.
func (d descriptor) compare(deployed descriptor) error {
	const changed = "%s changed: app %s declaring %s=%d but was previously deployed with %[3]s=%[5]d"
	switch {
	case d.NumPartitions != deployed.NumPartitions:
		return refused(http.StatusConflict, changed, "num partitions", d.AppQName, "NumPartitions", d.NumPartitions, deployed.NumPartitions)
	case d.NumAppWorkspaces != deployed.NumAppWorkspaces:
		return refused(http.StatusConflict, changed, "num application workspaces", d.AppQName, "NumAppWorkspaces", d.NumAppWorkspaces, deployed.NumAppWorkspaces)
	}
	return nil
}

// cluster is the cluster app. All that it knows is in its storage, so that any number of
// processes may serve it.
type cluster struct{ db *sql.DB }

// deployApp is the command c.cluster.DeployApp. It tells whether the app is new; one that is
// deployed already, with the same counts, is not written to. A refusal is an error of that type.
//
// The record and what it stands for are written in one transaction: after a crash both are there, or
// neither. Where the commit's own answer was lost, the same command again tells.
func (c cluster) deployApp(ctx context.Context, d descriptor) (created bool, err error) {
	if err := d.check(); err != nil {
		return false, err
	}
	err = transact(ctx, c.db, func(tx *sql.Tx) error {
		// Of two who deploy at a time the second waits here, and then reads what the first has written.
		if _, err := tx.ExecContext(ctx, `LOCK TABLE "sys/cluster".App IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		switch deployed, err := recordOf(ctx, tx, d.AppQName); {
		case err == nil:
			return d.compare(deployed)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		created = true
		if _, err := tx.ExecContext(ctx, `INSERT INTO "sys/cluster".App VALUES ($1, $2, $3)`, d.AppQName, d.NumPartitions, d.NumAppWorkspaces); err != nil {
			return err
		}
		if err := createStorage(ctx, tx, d.AppQName); err != nil {
			return err
		}
		if err := createStructures(ctx, tx, d.AppQName); err != nil {
			return err
		}
		return createWorkspaces(ctx, tx, d.AppQName, d.NumAppWorkspaces)
	})
	return created && err == nil, err
}

// createStructures makes an app's own tables where they are not there: what happened, by partition, and what
// its actualizer has made of that.
func createStructures(ctx context.Context, tx *sql.Tx, app string) error {
	storage := quoted(app)
	_, err := tx.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS `+storage+`.PLog (
			Partition int, Number bigint, Workspace bigint NOT NULL, Event jsonb NOT NULL, PRIMARY KEY (Partition, Number));
		CREATE TABLE IF NOT EXISTS `+storage+`.View (Workspace bigint PRIMARY KEY, Events bigint NOT NULL, Latest jsonb NOT NULL);
		CREATE TABLE IF NOT EXISTS `+storage+`.Actualized (Partition int PRIMARY KEY, Number bigint NOT NULL);`)
	return err
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// recordOf reads an app's record; sql.ErrNoRows where there is none.
func recordOf(ctx context.Context, db querier, app string) (descriptor, error) {
	d := descriptor{AppQName: app}
	err := db.QueryRowContext(ctx, `SELECT NumPartitions, NumAppWorkspaces FROM "sys/cluster".App WHERE AppQName = $1`, app).Scan(&d.NumPartitions, &d.NumAppWorkspaces)
	return d, err
}

// deployPartition tells whether the partition is new. That of the cluster app itself is its bootstrap.
func (c cluster) deployPartition(ctx context.Context, app string, number int) (created bool, err error) {
	d := descriptor{clusterApp, 1, 1}
	if app != clusterApp {
		if d, err = recordOf(ctx, c.db, app); errors.Is(err, sql.ErrNoRows) {
			return false, refused(http.StatusConflict, "app %s is not deployed", app)
		} else if err != nil {
			return false, err
		}
	}
	if number < 0 || number >= d.NumPartitions {
		return false, refused(http.StatusBadRequest, "app %s has no partition %d: it has %d", app, number, d.NumPartitions)
	}
	result, err := c.db.ExecContext(ctx, `INSERT INTO "sys/cluster".Partition VALUES ($1, $2) ON CONFLICT DO NOTHING`, app, number)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}

// bootstrapped tells whether the cluster app can be asked to deploy.
func (c cluster) bootstrapped(ctx context.Context) (is bool, err error) {
	if err := c.db.QueryRowContext(ctx, `SELECT to_regclass('"sys/cluster".Partition') IS NOT NULL`).Scan(&is); err != nil || !is {
		return false, err
	}
	err = c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM "sys/cluster".Partition WHERE AppQName = $1)`, clusterApp).Scan(&is)
	return is, err
}
