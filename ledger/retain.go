package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Retained is how many runs of a stack a ledger keeps unless told otherwise.
const Retained = 100

// unended is how long a run without a recorded end counts as one that may
// still go on. Afterwards it is taken for killed.
const unended = 30 * 24 * time.Hour

// counting selects the events of a stack ($1) that count whatever the age of their run: on each engine the
// latest success of each step that is not forgotten, the latest end of each volume's holder, and
// the latest stop of each step's container where nobody has seen its end.
const counting = `
	SELECT run, seq FROM (
		SELECT e.run AS run, e.seq AS seq, ROW_NUMBER() OVER (PARTITION BY r.engine, e.step ORDER BY r.number DESC, e.seq DESC) AS age
		FROM runs r JOIN events e ON e.run = r.id
		WHERE r.stack = $1 AND e.kind = 'step.ended' AND e.outcome = 'done'
		AND NOT EXISTS (SELECT 1 FROM forgotten f WHERE f.run = e.run AND f.seq = e.seq)
	) AS done WHERE age = 1
	UNION ALL
	SELECT run, seq FROM (
		SELECT e.run AS run, e.seq AS seq, ROW_NUMBER() OVER (PARTITION BY r.engine, e.held ORDER BY r.number DESC, e.seq DESC) AS age
		FROM runs r JOIN events e ON e.run = r.id
		WHERE r.stack = $1 AND e.held <> ''
	) AS held WHERE age = 1
	UNION ALL
	SELECT run, seq FROM (
		SELECT e.run AS run, e.seq AS seq, e.kind AS kind, ROW_NUMBER() OVER (PARTITION BY r.engine, e.step ORDER BY r.number DESC, e.seq DESC) AS age
		FROM runs r JOIN events e ON e.run = r.id
		WHERE r.stack = $1 AND e.kind IN ('step.stopping', 'service.stopped')
	) AS stopped WHERE age = 1 AND kind = 'step.stopping'`

// past selects the runs of a stack ($1) before the newest $2, but for those that have no end and began
// after $3. Runs that were pruned before are among them: what was left of them may count no more.
const past = ` (
	SELECT id FROM runs WHERE stack = $1 AND (ended_at <> 0 OR started_at < $3) AND number < (
		SELECT MIN(number) FROM (SELECT number FROM runs WHERE stack = $1 AND pruned = 0 ORDER BY number DESC LIMIT $2) AS kept
	)
) `

// Prune forgets all but the newest keep runs of the stack (at least 1). What Recorded and Holders
// return, the stops whose end nobody has seen, the fences and the numbers of the runs are afterwards what they were before. A run
// that may still go on is kept.
func (l *Ledger) Prune(ctx context.Context, stack string, keep int) error {
	if keep < 1 {
		return fmt.Errorf("ledger: to keep %d runs is to keep none", keep)
	}
	old, err := l.tooMany(ctx, stack, keep)
	if err != nil || !old {
		return err
	}
	release, err := l.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	dead := time.Now().Add(-unended).UnixNano()
	return l.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			// What was forgotten does not begin to count again because that is forgotten, too.
			`UPDATE events SET outcome = 'forgotten' WHERE (run, seq) IN (SELECT run, seq FROM forgotten) AND run IN ` + past,
			`DELETE FROM forgotten WHERE run IN ` + past,
			`DELETE FROM events WHERE run IN ` + past + ` AND (run, seq) NOT IN (` + counting + `)`,
			`UPDATE runs SET pruned = 1 WHERE id IN ` + past,
			`DELETE FROM runs WHERE id IN ` + past + ` AND NOT EXISTS (SELECT 1 FROM events e WHERE e.run = runs.id)`,
		} {
			if _, err := tx.ExecContext(ctx, statement, stack, keep, dead); err != nil {
				return err
			}
		}
		return nil
	})
}

// tooMany tells whether the stack has more than keep runs.
func (l *Ledger) tooMany(ctx context.Context, stack string, keep int) (bool, error) {
	var count int
	err := l.store.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM runs WHERE stack = $1 AND pruned = 0`, stack).Scan(&count)
	return count > keep, l.store.Explain(err)
}
