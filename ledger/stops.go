package ledger

import (
	"context"
	"database/sql"

	"github.com/stagehand-dev/stagehand/events"
)

// Stops returns, by step ID, the latest step.stopping or service.stopped of the
// stack on this engine: that a run was about to stop the step's container, or
// has, and why.
func (l *Ledger) Stops(ctx context.Context, stack, engineID string) (map[string]events.Event, error) {
	found := map[string]events.Event{}
	err := l.query(ctx, func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		found[e.Step] = e
		return err
	}, `
		SELECT body FROM (
			SELECT e.body AS body, ROW_NUMBER() OVER (PARTITION BY e.step ORDER BY r.number DESC, e.seq DESC) AS age
			FROM runs r JOIN events e ON e.run = r.id
			WHERE r.stack = $1 AND r.engine = $2 AND e.kind IN ('step.stopping', 'service.stopped')
		) AS latest WHERE age = 1`, stack, engineID)
	return found, err
}
