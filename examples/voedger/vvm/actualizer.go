package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"
)

const (
	// lookEvery is how often an actualizer looks for events.
	lookEvery = 100 * time.Millisecond
	// batch is how many events it takes in one transaction.
	batch = 100
)

// actualizer brings an app's view up to date, behind the back of those who write the events.
type actualizer struct {
	db  *sql.DB
	app string
}

// run goes on until ctx ends, which is no error.
func (a actualizer) run(ctx context.Context, stdout io.Writer) error {
	d, err := recordOf(ctx, a.db, a.app)
	if err != nil {
		return fmt.Errorf("app %s: %w", a.app, err)
	}
	fmt.Fprintf(stdout, "actualizing %s\n", a.app)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		for partition := range d.NumPartitions {
			for n := batch; n == batch; {
				n, err = a.take(ctx, partition)
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return fmt.Errorf("app %s, partition %d: %w", a.app, partition, err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// take adds the partition's next events to the view and notes how far it has come, in one
// transaction, so that each event counts once. It returns how many there were; where there were none,
// nothing is written.
func (a actualizer) take(ctx context.Context, partition int) (events int, err error) {
	storage := quoted(a.app)
	err = transact(ctx, a.db, func(tx *sql.Tx) error {
		var last sql.NullInt64
		err := tx.QueryRowContext(ctx, `
			SELECT count(*), max(Number) FROM (
				SELECT Number FROM `+storage+`.PLog
				WHERE Partition = $1 AND Number > coalesce((SELECT Number FROM `+storage+`.Actualized WHERE Partition = $1), 0)
				ORDER BY Number LIMIT $2) AS next`, partition, batch).Scan(&events, &last)
		if err != nil || events == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO `+storage+`.View AS v
			SELECT Workspace, count(*), (array_agg(Event ORDER BY Number DESC))[1] FROM `+storage+`.PLog
			WHERE Partition = $1 AND Number > $2::bigint - $3 AND Number <= $2 GROUP BY Workspace
			ON CONFLICT (Workspace) DO UPDATE SET Events = v.Events + excluded.Events, Latest = excluded.Latest`,
			partition, last.Int64, events); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO `+storage+`.Actualized VALUES ($1, $2)
			ON CONFLICT (Partition) DO UPDATE SET Number = excluded.Number`, partition, last.Int64)
		return err
	})
	return events, err
}
