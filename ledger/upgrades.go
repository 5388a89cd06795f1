package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/ledger/internal/store"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// Upgrades returns what of the ledger keeps locks, marks and the versions of deployments. A stack's is named after it
// and its engine's ID.
func (l *Ledger) Upgrades() upgrades.Store { return keeper{l} }

type keeper struct{ *Ledger }

// upgrading is one write transaction about a deployment.
type upgrading struct {
	tx *sql.Tx
	d  upgrades.Deployment
	// number of its last version, and that version's state; 0 and "" where none is recorded.
	number         int64
	version, state string
}

// change runs f in a transaction, if the holder is there.
func (k keeper) change(ctx context.Context, holder string, f func(context.Context, *sql.Tx) error) error {
	release, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := k.present(ctx, tx, holder); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// present is ErrLost where the holder is not there. It stays until the transaction ends.
func (k keeper) present(ctx context.Context, tx *sql.Tx, holder string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM holders WHERE id = $1`+k.store.ForUpdate, holder).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return upgrades.ErrLost
	}
	return err
}

// changeOf runs f in a transaction about the deployment: one at a time.
func (k keeper) changeOf(ctx context.Context, holder string, d upgrades.Deployment, f func(context.Context, *upgrading) error) error {
	return k.change(ctx, holder, func(ctx context.Context, tx *sql.Tx) error {
		if k.store.Serial != "" {
			if _, err := tx.ExecContext(ctx, k.store.Serial, d.Name+" "+d.Engine); err != nil {
				return err
			}
		}
		u := &upgrading{tx: tx, d: d}
		err := tx.QueryRowContext(ctx, `SELECT number, version, state FROM versions WHERE stack = $1 AND engine = $2 ORDER BY number DESC LIMIT 1`, d.Name, d.Engine).
			Scan(&u.number, &u.version, &u.state)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return f(ctx, u)
	})
}

// of are the arguments that name the deployment's last version, and more.
func (u *upgrading) of(more ...any) []any {
	return append([]any{u.d.Name, u.d.Engine, u.number}, more...)
}

// ofVersion selects the rows of the deployment's last version.
const ofVersion = ` stack = $1 AND engine = $2 AND number = $3 `

func (u *upgrading) exec(ctx context.Context, statement string, more ...any) (changed bool, err error) {
	result, err := u.tx.ExecContext(ctx, statement, u.of(more...)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

func (u *upgrading) count(ctx context.Context, query string, more ...any) (n int, err error) {
	err = u.tx.QueryRowContext(ctx, query, u.of(more...)...).Scan(&n)
	return n, err
}

// step reads a step.
func (u *upgrading) step(ctx context.Context, step int) (s upgrades.Step, state upgrades.StepState, err error) {
	var to, from string
	err = u.tx.QueryRowContext(ctx, `SELECT to_version, from_version, state FROM upgrade_steps WHERE`+ofVersion+`AND step = $4`, u.of(step)...).Scan(&to, &from, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return s, "", fmt.Errorf("%w: it has no step %d", upgrades.ErrMoved, step)
	}
	if err != nil {
		return s, "", err
	}
	s, err = stepOf(to, from)
	return s, state, err
}

func stepOf(to, from string) (s upgrades.Step, err error) {
	if s.To, err = version(to); err == nil {
		s.From, err = version(from)
	}
	return s, err
}

func version(text string) (upgrades.Version, error) {
	v, err := upgrades.ParseVersion(text)
	if err != nil {
		return v, fmt.Errorf("%w: %w", store.ErrBody, err)
	}
	return v, nil
}

// reached tells whether all steps before this one are ready.
func (u *upgrading) reached(ctx context.Context, step int) (bool, error) {
	before, err := u.count(ctx, `SELECT COUNT(*) FROM upgrade_steps WHERE`+ofVersion+`AND step < $4 AND state <> 'ready'`, step)
	return before == 0, err
}

// Join implements upgrades.Store.
func (k keeper) Join(ctx context.Context, h upgrades.Holder) error {
	return k.alone(ctx, `INSERT INTO holders (id, name, process, beat) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`, h.ID, h.Text, h.Process, h.Beat)
}

// alone executes a statement in a transaction of its own.
func (k keeper) alone(ctx context.Context, statement string, arguments ...any) error {
	release, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	})
}

// Beat implements upgrades.Store.
func (k keeper) Beat(ctx context.Context, holder string) error {
	return k.change(ctx, holder, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE holders SET beat = beat + 1 WHERE id = $1`, holder)
		return err
	})
}

// Leave implements upgrades.Store.
func (k keeper) Leave(ctx context.Context, holder string) error {
	return k.alone(ctx, `DELETE FROM holders WHERE id = $1`, holder)
}

// Bury implements upgrades.Store.
func (k keeper) Bury(ctx context.Context, h upgrades.Holder) error {
	return k.alone(ctx, `DELETE FROM holders WHERE id = $1 AND beat = $2`, h.ID, h.Beat)
}

// Holders implements upgrades.Store.
func (k keeper) Holders(ctx context.Context) (found []upgrades.Holder, err error) {
	err = k.query(ctx, func(rows *sql.Rows) error {
		var h upgrades.Holder
		err := rows.Scan(&h.ID, &h.Text, &h.Process, &h.Beat)
		found = append(found, h)
		return err
	}, `SELECT id, name, process, beat FROM holders ORDER BY id`)
	return found, err
}

// Lock implements upgrades.Store.
func (k keeper) Lock(ctx context.Context, holder, key string) (got bool, err error) {
	err = k.change(ctx, holder, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `
			INSERT INTO locks (name, holder) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder
			WHERE locks.holder = excluded.holder OR NOT EXISTS (SELECT 1 FROM holders h WHERE h.id = locks.holder)`, key, holder)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		got = n > 0
		return err
	})
	return got, err
}

// Unlock implements upgrades.Store.
func (k keeper) Unlock(ctx context.Context, holder, key string) error {
	return k.change(ctx, holder, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM locks WHERE name = $1 AND holder = $2`, key, holder)
		return err
	})
}

// Once implements upgrades.Store. Where the answer to a commit got lost, the next try waits for the holder's row
// until that transaction is over, and finds the mark or not: the work is never repeated on a guess.
func (k keeper) Once(ctx context.Context, holder, key string, work upgrades.Work) error {
	release, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	own := errors.New("the work's own error")
	var failed error
	// The work may take longer than what a ledger's own transactions are given.
	err = k.writeFor(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		if err := k.present(ctx, tx, holder); err != nil {
			return err
		}
		var marked int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM marks WHERE name = $1`, key).Scan(&marked); err != nil || marked > 0 {
			return err
		}
		if failed = work(ctx, tx); failed != nil && !k.store.Passes(failed) {
			return own
		}
		if failed != nil {
			return failed
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO marks (name, time) VALUES ($1, $2)`, key, nanoseconds(time.Now()))
		return err
	})
	if errors.Is(err, own) {
		return failed
	}
	return err
}

// Marked implements upgrades.Store.
func (k keeper) Marked(ctx context.Context, key string) (bool, error) {
	var marked int
	err := k.store.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM marks WHERE name = $1`, key).Scan(&marked)
	return marked > 0, k.store.Explain(err)
}

// Status implements upgrades.Store. Each of its parts may be later than those before it, never of another version.
func (k keeper) Status(ctx context.Context, d upgrades.Deployment) (s upgrades.Status, err error) {
	number, err := k.versions(ctx, d, &s)
	if err != nil || number == 0 {
		return s, err
	}
	of := []any{d.Name, d.Engine, number}
	err = k.query(ctx, func(rows *sql.Rows) (err error) {
		step := upgrades.StepStatus{Tenants: map[upgrades.TenantState]int{}}
		var to, from string
		if err := rows.Scan(&to, &from, &step.State); err != nil {
			return err
		}
		step.Step, err = stepOf(to, from)
		s.Steps = append(s.Steps, step)
		return err
	}, `SELECT to_version, from_version, state FROM upgrade_steps WHERE`+ofVersion+`ORDER BY step`, of...)
	if err != nil {
		return s, err
	}
	err = k.query(ctx, func(rows *sql.Rows) error {
		var i, n int
		var state upgrades.TenantState
		err := rows.Scan(&i, &state, &n)
		s.Steps[i].Tenants[state] = n
		return err
	}, `SELECT step, state, COUNT(*) FROM upgrade_tenants WHERE`+ofVersion+`GROUP BY step, state`, of...)
	if err != nil {
		return s, err
	}
	err = k.query(ctx, func(rows *sql.Rows) error {
		var i int
		var b upgrades.StepStatus
		err := rows.Scan(&i, &b.Batches, &b.BatchesReady, &b.BatchesHeld)
		s.Steps[i].Batches, s.Steps[i].BatchesReady, s.Steps[i].BatchesHeld = b.Batches, b.BatchesReady, b.BatchesHeld
		return err
	}, `
		SELECT step, COUNT(*), SUM(CASE WHEN state = 'ready' THEN 1 ELSE 0 END), COUNT(h.id)
		FROM upgrade_batches b LEFT JOIN holders h ON h.id = b.holder WHERE`+ofVersion+`GROUP BY step`, of...)
	return s, err
}

// versions reads which versions the deployment has and is on its way to, and the last one's number, 0 for none.
func (k keeper) versions(ctx context.Context, d upgrades.Deployment, s *upgrades.Status) (number int64, err error) {
	err = k.query(ctx, func(rows *sql.Rows) error {
		var n int64
		var text, state string
		if err := rows.Scan(&n, &text, &state); err != nil {
			return err
		}
		v, err := version(text)
		switch {
		case number == 0 && state == created:
			s.Target = v
		case s.Recorded == upgrades.Version{}:
			s.Recorded = v
		}
		number = max(number, n)
		return err
	}, `SELECT number, version, state FROM versions WHERE stack = $1 AND engine = $2 ORDER BY number DESC LIMIT 2`, d.Name, d.Engine)
	return number, err
}

// The states of a version.
const (
	created = "created"
	ready   = "ready"
)

// Tenants implements upgrades.Store.
func (k keeper) Tenants(ctx context.Context, d upgrades.Deployment) (found []upgrades.TenantStatus, err error) {
	err = k.query(ctx, func(rows *sql.Rows) error {
		var t upgrades.TenantStatus
		err := rows.Scan(&t.Tenant, &t.Step, &t.Batch, &t.State, &t.Attempts, &t.Error)
		found = append(found, t)
		return err
	}, `
		SELECT tenant, step, batch, state, attempts, error FROM upgrade_tenants
		WHERE stack = $1 AND engine = $2 AND number = (SELECT MAX(number) FROM versions WHERE stack = $1 AND engine = $2)
		ORDER BY step, batch, position`, d.Name, d.Engine)
	return found, err
}

// Begin implements upgrades.Store.
func (k keeper) Begin(ctx context.Context, holder string, d upgrades.Deployment, recorded, target upgrades.Version, steps []upgrades.Step) error {
	return k.changeOf(ctx, holder, d, func(ctx context.Context, u *upgrading) error {
		switch {
		case u.number > 0 && u.version == target.String():
			return nil
		case u.state == created, u.version != recorded.String():
			return upgrades.ErrMoved
		}
		u.number++
		state := created
		if len(steps) == 0 {
			state = ready
		}
		_, err := u.exec(ctx, `INSERT INTO versions (stack, engine, number, version, state, time) VALUES ($1, $2, $3, $4, $5, $6)`, target.String(), state, nanoseconds(time.Now()))
		for i, s := range steps {
			if err != nil {
				return err
			}
			_, err = u.exec(ctx, `INSERT INTO upgrade_steps (stack, engine, number, step, to_version, from_version, state, holder, slot) VALUES ($1, $2, $3, $4, $5, $6, 'created', '', 0)`,
				i, s.To.String(), s.From.String())
		}
		return err
	})
}

// ClaimStep implements upgrades.Store.
func (k keeper) ClaimStep(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) (got bool, err error) {
	err = k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		got = false
		if _, _, err := u.step(ctx, step); err != nil {
			return err
		}
		reached, err := u.reached(ctx, step)
		if err != nil || !reached {
			return err
		}
		got, err = u.exec(ctx, `
			UPDATE upgrade_steps SET holder = $5, slot = $6 WHERE`+ofVersion+`AND step = $4 AND state IN ('created', 'prepared')
			AND (holder = $5 AND slot = $6 OR NOT EXISTS (SELECT 1 FROM holders h WHERE h.id = upgrade_steps.holder))`, step, by.Holder, by.Slot)
		return err
	})
	return got, err
}

// ReleaseStep implements upgrades.Store.
func (k keeper) ReleaseStep(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) error {
	return k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		_, err := u.exec(ctx, `UPDATE upgrade_steps SET holder = '' WHERE`+ofVersion+`AND step = $4 AND holder = $5 AND slot = $6`, step, by.Holder, by.Slot)
		return err
	})
}

// Prepared implements upgrades.Store.
func (k keeper) Prepared(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int) error {
	return k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		_, err := u.exec(ctx, `UPDATE upgrade_steps SET state = 'prepared' WHERE`+ofVersion+`AND step = $4 AND holder = $5 AND slot = $6 AND state = 'created'`, step, by.Holder, by.Slot)
		return err
	})
}

// List implements upgrades.Store.
func (k keeper) List(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int, tenants []string, size int) error {
	return k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		mine, err := u.exec(ctx, `UPDATE upgrade_steps SET state = 'upgrading_tenants', holder = '' WHERE`+ofVersion+`AND step = $4 AND holder = $5 AND slot = $6 AND state = 'prepared'`, step, by.Holder, by.Slot)
		if err != nil || !mine {
			return err
		}
		var before upgrades.Step
		var aside []string
		if step > 0 {
			if before, _, err = u.step(ctx, step-1); err != nil {
				return err
			}
			if aside, err = u.texts(ctx, `SELECT tenant FROM upgrade_tenants WHERE`+ofVersion+`AND step = $4 AND state = 'set_aside'`, step-1); err != nil {
				return err
			}
		}
		if err := u.insertTenants(ctx, upgrades.Listed(step, tenants, size, before, aside)); err != nil {
			return err
		}
		return u.complete(ctx)
	})
}

// texts reads a column.
func (u *upgrading) texts(ctx context.Context, query string, more ...any) (found []string, err error) {
	rows, err := u.tx.QueryContext(ctx, query, u.of(more...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// rowsAtOnce is how many tenants one statement inserts: more cost no less, and SQLite takes 32766 arguments at most.
const rowsAtOnce = 100

func (u *upgrading) insertTenants(ctx context.Context, all []upgrades.TenantStatus) error {
	now := nanoseconds(time.Now())
	for from := 0; from < len(all); from += rowsAtOnce {
		part := all[from:min(from+rowsAtOnce, len(all))]
		var rows []string
		var arguments []any
		for i, t := range part {
			n := 4 + len(arguments)
			rows = append(rows, fmt.Sprintf("($1, $2, $3, $%d, $%d, $%d, $%d, $%d, 0, $%d, $%d)", n, n+1, n+2, n+3, n+4, n+5, n+6))
			arguments = append(arguments, t.Step, t.Tenant, t.Batch, from+i, string(t.State), t.Error, now)
			if last := from+i == len(all)-1; last || all[from+i+1].Batch != t.Batch {
				if _, err := u.exec(ctx, `INSERT INTO upgrade_batches (stack, engine, number, step, batch, state, holder, slot) VALUES ($1, $2, $3, $4, $5, 'pending', '', 0)`, t.Step, t.Batch); err != nil {
					return err
				}
			}
		}
		statement := `INSERT INTO upgrade_tenants (stack, engine, number, step, tenant, batch, position, state, attempts, error, time) VALUES ` + strings.Join(rows, ", ")
		if _, err := u.exec(ctx, statement, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// complete makes steps, and the version, ready where nothing is left to do.
func (u *upgrading) complete(ctx context.Context) error {
	if _, err := u.exec(ctx, `
		UPDATE upgrade_steps SET state = 'ready' WHERE`+ofVersion+`AND state = 'upgrading_tenants' AND NOT EXISTS (
			SELECT 1 FROM upgrade_batches b WHERE b.stack = $1 AND b.engine = $2 AND b.number = $3 AND b.step = upgrade_steps.step AND b.state = 'pending')`); err != nil {
		return err
	}
	left, err := u.count(ctx, `SELECT COUNT(*) FROM upgrade_steps WHERE`+ofVersion+`AND state <> 'ready'`)
	if err != nil || left > 0 {
		return err
	}
	_, err = u.exec(ctx, `
		UPDATE versions SET state = 'ready', time = $4 WHERE`+ofVersion+`AND state = 'created'
		AND NOT EXISTS (SELECT 1 FROM upgrade_tenants t WHERE t.stack = $1 AND t.engine = $2 AND t.number = $3 AND t.state = 'set_aside')`, nanoseconds(time.Now()))
	return err
}

// ClaimBatch implements upgrades.Store.
func (k keeper) ClaimBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, limit int) (claimed upgrades.Batch, got bool, err error) {
	err = k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		claimed, got = upgrades.Batch{}, false
		if _, state, err := u.step(ctx, step); err != nil || state != upgrades.UpgradingTenants {
			return err
		}
		reached, err := u.reached(ctx, step)
		if err != nil || !reached {
			return err
		}
		own, err := u.count(ctx, `SELECT COUNT(*) FROM upgrade_batches WHERE`+ofVersion+`AND step = $4 AND holder = $5 AND slot = $6 AND state = 'pending'`, step, by.Holder, by.Slot)
		if err != nil {
			return err
		}
		if limit > 0 && own == 0 {
			held, err := u.count(ctx, `SELECT COUNT(*) FROM upgrade_batches b JOIN holders h ON h.id = b.holder WHERE`+ofVersion+`AND step = $4`, step)
			if err != nil || held >= limit {
				return err
			}
		}
		err = u.tx.QueryRowContext(ctx, `
			UPDATE upgrade_batches SET holder = $5, slot = $6 WHERE`+ofVersion+`AND step = $4 AND batch = (
				SELECT MIN(b.batch) FROM upgrade_batches b WHERE b.stack = $1 AND b.engine = $2 AND b.number = $3 AND b.step = $4 AND b.state = 'pending'
				AND (b.holder = $5 AND b.slot = $6 OR $7 = 0 AND NOT EXISTS (SELECT 1 FROM holders h WHERE h.id = b.holder)))
			RETURNING batch`, u.of(step, by.Holder, by.Slot, own)...).Scan(&claimed.Number)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		got = true
		return u.pending(ctx, step, &claimed)
	})
	return claimed, got, err
}

// pending reads the batch's tenants that are.
func (u *upgrading) pending(ctx context.Context, step int, b *upgrades.Batch) (err error) {
	rows, err := u.tx.QueryContext(ctx, `
		SELECT tenant, attempts, error FROM upgrade_tenants WHERE`+ofVersion+`AND step = $4 AND batch = $5 AND state = 'pending' ORDER BY position`, u.of(step, b.Number)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		t := upgrades.TenantStatus{Step: step, Batch: b.Number, State: upgrades.TenantPending}
		if err := rows.Scan(&t.Tenant, &t.Attempts, &t.Error); err != nil {
			return err
		}
		b.Tenants = append(b.Tenants, t)
	}
	return rows.Err()
}

// ClaimTenant implements upgrades.Store.
func (k keeper) ClaimTenant(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step int, tenant string) (t upgrades.TenantStatus, got bool, err error) {
	err = k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		t, got = upgrades.TenantStatus{Tenant: tenant, Step: step}, false
		err := u.tx.QueryRowContext(ctx, `SELECT batch, state, attempts, error FROM upgrade_tenants WHERE`+ofVersion+`AND step = $4 AND tenant = $5`, u.of(step, tenant)...).
			Scan(&t.Batch, &t.State, &t.Attempts, &t.Error)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %s", upgrades.ErrNoTenant, tenant)
		}
		if err != nil {
			return err
		}
		got, err = u.exec(ctx, `
			UPDATE upgrade_batches SET holder = $6, slot = $7 WHERE`+ofVersion+`AND step = $4 AND batch = $5
			AND (holder = $6 AND slot = $7 OR NOT EXISTS (SELECT 1 FROM holders h WHERE h.id = upgrade_batches.holder))`, step, t.Batch, by.Holder, by.Slot)
		return err
	})
	return t, got, err
}

// EndBatch implements upgrades.Store.
func (k keeper) EndBatch(ctx context.Context, by upgrades.Worker, d upgrades.Deployment, step, batch int) error {
	return k.changeOf(ctx, by.Holder, d, func(ctx context.Context, u *upgrading) error {
		mine, err := u.exec(ctx, `
			UPDATE upgrade_batches SET holder = '', state = CASE WHEN EXISTS (
				SELECT 1 FROM upgrade_tenants t WHERE t.stack = $1 AND t.engine = $2 AND t.number = $3 AND t.step = $4 AND t.batch = $5 AND t.state = 'pending')
			THEN state ELSE 'ready' END WHERE`+ofVersion+`AND step = $4 AND batch = $5 AND holder = $6 AND slot = $7`, step, batch, by.Holder, by.Slot)
		if err != nil || !mine {
			return err
		}
		return u.complete(ctx)
	})
}

// Settle implements upgrades.Store.
func (k keeper) Settle(ctx context.Context, holder string, d upgrades.Deployment, t upgrades.TenantStatus) error {
	return k.changeOf(ctx, holder, d, func(ctx context.Context, u *upgrading) error {
		now := nanoseconds(time.Now())
		if _, err := u.exec(ctx, `UPDATE upgrade_tenants SET state = $6, attempts = $7, error = $8, time = $9 WHERE`+ofVersion+`AND step = $4 AND tenant = $5`,
			t.Step, t.Tenant, string(t.State), t.Attempts, t.Error, now); err != nil {
			return err
		}
		switch t.State {
		case upgrades.TenantPending:
			return nil
		case upgrades.TenantReady:
			return u.complete(ctx)
		}
		why := t.Error
		if t.State == upgrades.TenantSetAside {
			s, _, err := u.step(ctx, t.Step)
			if err != nil {
				return err
			}
			why = upgrades.Carried(s)
		}
		if _, err := u.exec(ctx, `
			UPDATE upgrade_tenants SET state = $6, attempts = 0, error = $7, time = $8 WHERE`+ofVersion+`AND step > $4 AND tenant = $5 AND state IN ('pending', 'set_aside')`,
			t.Step, t.Tenant, string(t.State), why, now); err != nil {
			return err
		}
		return u.complete(ctx)
	})
}

// Reopen implements upgrades.Store.
func (k keeper) Reopen(ctx context.Context, holder string, d upgrades.Deployment) error {
	return k.changeOf(ctx, holder, d, func(ctx context.Context, u *upgrading) error {
		for _, statement := range []string{
			`UPDATE upgrade_batches SET state = 'pending' WHERE` + ofVersion + `AND EXISTS (
				SELECT 1 FROM upgrade_tenants t WHERE t.stack = $1 AND t.engine = $2 AND t.number = $3 AND t.step = upgrade_batches.step AND t.batch = upgrade_batches.batch AND t.state = 'set_aside')`,
			`UPDATE upgrade_steps SET state = 'upgrading_tenants' WHERE` + ofVersion + `AND state = 'ready' AND EXISTS (
				SELECT 1 FROM upgrade_tenants t WHERE t.stack = $1 AND t.engine = $2 AND t.number = $3 AND t.step = upgrade_steps.step AND t.state = 'set_aside')`,
			`UPDATE upgrade_tenants SET state = 'pending', attempts = 0, error = '' WHERE` + ofVersion + `AND state = 'set_aside'`,
		} {
			if _, err := u.exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// Forget implements upgrades.Store.
func (k keeper) Forget(ctx context.Context, d upgrades.Deployment) error {
	release, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{"upgrade_tenants", "upgrade_batches", "upgrade_steps", "versions"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE stack = $1 AND engine = $2`, d.Name, d.Engine); err != nil {
				return err
			}
		}
		return nil
	})
}
