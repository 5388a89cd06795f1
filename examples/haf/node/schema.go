package main

import (
	"context"
	_ "embed" // the schema
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

// connect opens the database through the server's socket.
func connect(ctx context.Context, db string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s user=%s dbname=%s", sockets, superuser, db))
}

// prepare waits until the server answers and brings the database and the hive
// schema up to date. It may be repeated: a kill between any two statements is
// made good by the next start.
func prepare(ctx context.Context, cluster *Cluster) error {
	conn, err := firstConnection(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+database); err != nil {
			return err
		}
	}
	db, err := connect(ctx, database)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	// Without arguments pgx sends the statements together: one transaction.
	if _, err := db.Exec(ctx, schema); err != nil {
		return fmt.Errorf("hive schema: %w", err)
	}
	return nil
}

// firstConnection tries until the server answers or ctx ends, which it does
// when the server dies.
func firstConnection(ctx context.Context) (*pgx.Conn, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := connect(ctx, "postgres")
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// maintain runs the maintenance script against the database and returns its
// exit code. When ctx ends the script gets SIGTERM, then maintain returns ctx's error.
func maintain(ctx context.Context, script string, stdout, stderr interface{ Write([]byte) (int, error) }) (int, error) {
	url := fmt.Sprintf("postgres:///%s?host=%s&user=%s", database, sockets, superuser)
	cmd := exec.CommandContext(ctx, script, "--postgres-url="+url)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "PGAPPNAME=maintenance")
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case cmd.ProcessState == nil:
		return 0, fmt.Errorf("maintenance script: %w", err)
	case cmd.ProcessState.Exited():
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, fmt.Errorf("maintenance script %s: %w", script, err)
}
