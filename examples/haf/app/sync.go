package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// idle is the time between two looks for a new block.
	idle = 200 * time.Millisecond
	// again is the time after which a lost database is tried again.
	again = 500 * time.Millisecond
)

// syncer takes blocks from HAF into the app's own tables.
type syncer struct {
	app  App
	url  string
	size int // the most blocks in one transaction
	log  logger
}

// run syncs until ctx ends, which is no error. A database that has gone away is
// tried again; a statement that the database refuses is an error.
func (s syncer) run(ctx context.Context) error {
	for {
		err := s.session(ctx)
		if ctx.Err() != nil {
			s.log.Printf("%s: stopped between two ranges", s.app.Name)
			return nil //nolint:nilerr // being told to stop is how it ends
		}
		if !passing(err) {
			return err
		}
		s.log.Printf("%s: trying again: %v", s.app.Name, err)
		if sleep(ctx, again) != nil {
			return nil //nolint:nilerr // being told to stop is how it ends
		}
	}
}

// session syncs over one connection until something fails or ctx ends. Each
// range is one transaction, which a stop lets finish: work done is not thrown away.
func (s syncer) session(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	whole := context.WithoutCancel(ctx)
	defer conn.Close(whole)
	live := false
	for ctx.Err() == nil {
		first, last, err := s.step(whole, conn)
		switch {
		case err != nil:
			return err
		case last == 0: // nothing new
			if err := sleep(ctx, idle); err != nil {
				return err
			}
		case first < last:
			live = false
			s.log.Printf("%s: blocks %d to %d", s.app.Name, first, last)
		case !live:
			live = true
			s.log.Printf("%s: live at block %d, one by one from here", s.app.Name, last)
		}
	}
	return ctx.Err()
}

// step takes the next range and processes it, in one transaction. Without new
// blocks it returns 0, 0.
func (s syncer) step(ctx context.Context, conn *pgx.Conn) (first, last int, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		row := tx.QueryRow(ctx, "SELECT first_block, last_block FROM hive.app_next_blocks($1, $2)", s.app.Name, s.size)
		if err := row.Scan(&first, &last); errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		query := fmt.Sprintf("SELECT %s.process_blocks($1, $2)", pgx.Identifier{s.app.Schema}.Sanitize())
		_, err := tx.Exec(ctx, query, first, last)
		return err
	})
	return first, last, err
}

// passing says whether an error may go away by itself: everything about the
// connection, and of the server's own answers a conflict between transactions
// (class 40), a lack of resources (53), a shutdown or start (57) and a broken system (58).
func passing(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return true
	}
	for _, class := range []string{"40", "53", "57", "58"} {
		if strings.HasPrefix(refused.Code, class) {
			return true
		}
	}
	return false
}

// sleep waits d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
