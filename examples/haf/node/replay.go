package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// batch is how many blocks one transaction of the massive sync holds at most.
const batch = 500

// node replays the chain into the database.
type node struct {
	db  *pgx.Conn
	log logger

	genesis  time.Time
	logged   int // blocks in the block log
	interval time.Duration
	reached  int // the last block in the database
}

// replay runs the instance until ctx ends: the block log, then what the chain
// has produced since, then block after block. It goes on where the database is.
func replay(ctx context.Context, cfg Config, log logger) error {
	db, err := connect(ctx, database)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	n := &node{db: db, log: log}
	if err := n.open(ctx, cfg); err != nil {
		return err
	}
	if n.reached < n.logged {
		if err := n.reindex(ctx, cfg.Rate); err != nil {
			return err
		}
	}
	if err := n.enter(ctx, "P2P"); err != nil {
		return err
	}
	for n.reached < n.head() {
		if err := n.append(ctx, min(n.head(), n.reached+batch)); err != nil {
			return err
		}
	}
	if err := n.enter(ctx, "LIVE"); err != nil {
		return err
	}
	return n.live(ctx)
}

// open passes START and WAIT: it finds the chain, or fixes it at the first start.
func (n *node) open(ctx context.Context, cfg Config) error {
	err := n.db.QueryRow(ctx, "SELECT hive.head_block_num()").Scan(&n.reached)
	if err != nil {
		return err
	}
	if err := n.enter(ctx, "START"); err != nil {
		return err
	}
	if err := n.enter(ctx, "WAIT"); err != nil {
		return err
	}
	_, err = n.db.Exec(ctx, `INSERT INTO hive.chain (genesis, log_blocks, interval_s)
		VALUES (clock_timestamp(), $1, $2) ON CONFLICT DO NOTHING`, cfg.Blocks, cfg.Interval.Seconds())
	if err != nil {
		return err
	}
	var seconds float64
	err = n.db.QueryRow(ctx, "SELECT genesis, log_blocks, interval_s FROM hive.chain").Scan(&n.genesis, &n.logged, &seconds)
	if err != nil {
		return err
	}
	n.interval = time.Duration(seconds * float64(time.Second))
	if n.logged != cfg.Blocks || n.interval != cfg.Interval {
		n.log.Printf("this data directory's chain has %d blocks in its log and one every %s; HAF_BLOCKS and HAF_BLOCK_INTERVAL count for a new one only",
			n.logged, n.interval)
	}
	return nil
}

// reindex is the massive sync: the block log, at most rate blocks a second.
func (n *node) reindex(ctx context.Context, rate int) error {
	for _, state := range []string{"REINDEX_WAIT", "REINDEX"} {
		if err := n.enter(ctx, state); err != nil {
			return err
		}
	}
	size := batch
	if rate > 0 {
		size = min(batch, max(1, rate/10))
	}
	began, first := time.Now(), n.reached
	reported := began
	for n.reached < n.logged {
		if err := n.append(ctx, min(n.logged, n.reached+size)); err != nil {
			return err
		}
		if time.Since(reported) >= time.Second {
			reported = time.Now()
			n.log.Printf("replayed %d of %d blocks", n.reached, n.logged)
		}
		if rate > 0 {
			due := began.Add(time.Duration(n.reached-first) * time.Second / time.Duration(rate))
			if err := sleep(ctx, time.Until(due)); err != nil {
				return err
			}
		}
	}
	n.log.Printf("replayed %d blocks in %s", n.reached-first, time.Since(began).Round(time.Millisecond))
	return nil
}

// live writes each block when it is due. After a pause (a suspended machine) it
// catches up without leaving LIVE, as a real node does.
func (n *node) live(ctx context.Context) error {
	for {
		due := n.genesis.Add(time.Duration(n.reached+1-n.logged) * n.interval)
		if err := sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := n.append(ctx, n.reached+1); err != nil {
			return err
		}
	}
}

// head is the block that the chain is at, by the clock.
func (n *node) head() int {
	return n.logged + max(0, int(time.Since(n.genesis)/n.interval))
}

// enter records a new state.
func (n *node) enter(ctx context.Context, state string) error {
	_, err := n.db.Exec(ctx, "INSERT INTO hive.sync_states (state, block_num) VALUES ($1::text::hive.sync_state, $2)", state, n.reached)
	if err != nil {
		return fmt.Errorf("enter %s: %w", state, err)
	}
	n.log.Printf("state %s at block %d", state, n.reached)
	return nil
}

// append writes the blocks after the last one up to and including last, in one transaction.
func (n *node) append(ctx context.Context, last int) error {
	var blocks, ops, names [][]any
	for num := n.reached + 1; num <= last; num++ {
		b := blockAt(num)
		created := n.genesis.Add(time.Duration(num-n.logged) * n.interval)
		blocks = append(blocks, []any{int32(b.Num), b.Hash, b.Prev, b.Producer, created})
		for i, op := range b.Ops {
			ops = append(ops, []any{int32(b.Num), int16(i), op.Type, op.Body})
		}
		if b.Account != "" {
			names = append(names, []any{b.Account, int32(b.Num)})
		}
	}
	err := pgx.BeginFunc(ctx, n.db, func(tx pgx.Tx) error {
		for _, t := range []struct {
			name    string
			columns []string
			rows    [][]any
		}{
			{"blocks", []string{"num", "hash", "prev", "producer", "created_at"}, blocks},
			{"accounts", []string{"name", "block_num"}, names},
			{"operations", []string{"block_num", "pos", "op_type", "body"}, ops},
		} {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"hive", t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("blocks %d to %d, hive.%s: %w", n.reached+1, last, t.name, err)
			}
		}
		return nil
	})
	if err == nil {
		n.reached = last
	}
	return err
}

// sleep waits d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
