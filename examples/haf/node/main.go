// Command hafnode is the HAF instance of the example: it owns a PostgreSQL
// server and replays a block log into it, first as fast as HAF_REPLAY_RATE
// allows, then one block every HAF_BLOCK_INTERVAL.
//
//	hafnode                              replay, then live sync, until stopped
//	hafnode --maintenance-script=PATH    run PATH against the database, shut down, end with its code
//
// Both modes may begin with an empty data directory, and both shut PostgreSQL
// down cleanly on SIGTERM and SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit codes besides the maintenance script's own.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
	// exitBusy is EX_TEMPFAIL: another container holds the data directory.
	exitBusy = 75
	// exitStopped is what a shell reports for SIGTERM. A maintenance script that
	// was stopped halfway has not done its work, so it must not look like 0.
	exitStopped = 128 + int(syscall.SIGTERM)
)

func main() {
	os.Exit(Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// Main runs the node and returns its exit code.
func Main(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	cfg, err := configure(args, getenv)
	if err != nil {
		fmt.Fprintf(stderr, "hafnode: %v\n", err)
		return exitUsage
	}
	ctx, stop := stopContext(cfg.StopDelay)
	defer stop()
	code, err := run(ctx, cfg, logger{stdout}, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "hafnode: %v\n", err)
	}
	return code
}

// Config is what the command line and the environment say.
type Config struct {
	// Script is the maintenance script's path; empty for a regular instance.
	Script string
	// Data is the data volume's path.
	Data string
	// Blocks in the block log, Rate of their replay in blocks per second (0: no limit).
	Blocks, Rate int
	// Interval between two live blocks.
	Interval time.Duration
	// StopDelay is how long a stop signal is ignored: it lets a test see
	// what a grace period that is too short does.
	StopDelay time.Duration
}

func configure(args []string, getenv func(string) string) (Config, error) {
	cfg := Config{Data: "/data"}
	for _, arg := range args {
		script, ok := strings.CutPrefix(arg, "--maintenance-script=")
		if !ok || script == "" {
			return cfg, fmt.Errorf("unexpected argument %q; the only one is --maintenance-script=PATH", arg)
		}
		cfg.Script = script
	}
	if dir := getenv("HAF_DATA"); dir != "" {
		cfg.Data = dir
	}
	return cfg, errors.Join(
		number(getenv, "HAF_BLOCKS", 2000, 0, &cfg.Blocks),
		number(getenv, "HAF_REPLAY_RATE", 1000, 0, &cfg.Rate),
		duration(getenv, "HAF_BLOCK_INTERVAL", time.Second, 10*time.Millisecond, &cfg.Interval),
		duration(getenv, "HAF_STOP_DELAY", 0, 0, &cfg.StopDelay),
	)
}

func number(getenv func(string) string, key string, unset, least int, into *int) error {
	*into = unset
	text := getenv(key)
	if text == "" {
		return nil
	}
	if _, err := fmt.Sscanf(text+"\n", "%d\n", into); err != nil || *into < least {
		return fmt.Errorf("%s=%q: want a whole number from %d", key, text, least)
	}
	return nil
}

func duration(getenv func(string) string, key string, unset, least time.Duration, into *time.Duration) error {
	*into = unset
	text := getenv(key)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least {
		return fmt.Errorf("%s=%q: want a duration such as 1s, at least %s", key, text, least)
	}
	*into = d
	return nil
}

// stopContext ends with the first SIGTERM or SIGINT, delay later. The ones
// after it change nothing: a clean shutdown is under way, and SIGKILL is there
// for those who cannot wait.
func stopContext(delay time.Duration) (context.Context, func()) {
	signalled, stopSignals := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	if delay == 0 {
		return signalled, stopSignals
	}
	ctx, cancel := context.WithCancel(context.Background())
	timer := context.AfterFunc(signalled, func() { time.AfterFunc(delay, cancel) })
	return ctx, func() { timer(); stopSignals(); cancel() }
}

// run owns the order of everything: lock, initialise, start, work, shut down.
func run(ctx context.Context, cfg Config, log logger, stdout, stderr io.Writer) (int, error) {
	if err := becomePostgres(cfg.Data); err != nil {
		return exitError, err
	}
	unlock, err := lockData(cfg.Data)
	if err != nil {
		return exitBusy, err
	}
	defer unlock()
	cluster := Cluster{Volume: cfg.Data, Local: cfg.Script != "", Log: log, Stderr: stderr}
	if err := cluster.Init(ctx); err != nil {
		return interrupted(ctx, cfg, err)
	}
	if err := cluster.Start(); err != nil {
		return exitError, err
	}
	code, workErr := work(ctx, cfg, &cluster, log, stdout, stderr)
	if err := cluster.Stop(context.WithoutCancel(ctx)); err != nil {
		return exitError, errors.Join(workErr, err)
	}
	log.Printf("PostgreSQL has shut down cleanly")
	return code, workErr
}

// work is what happens while PostgreSQL runs; it ends early when PostgreSQL does.
func work(ctx context.Context, cfg Config, cluster *Cluster, log logger, stdout, stderr io.Writer) (int, error) {
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(cluster.Running(), func() { cancel(errServerGone) })()
	err := prepare(alive, cluster)
	switch {
	case err != nil:
	case cfg.Script != "":
		var code int
		if code, err = maintain(alive, cfg.Script, stdout, stderr); err == nil {
			log.Printf("the maintenance script %s ended with %d", cfg.Script, code)
			return code, nil
		}
	default:
		err = replay(alive, cfg, log)
	}
	if cause := context.Cause(alive); errors.Is(cause, errServerGone) {
		return exitError, cause
	}
	return interrupted(ctx, cfg, err)
}

// interrupted says what an error means when a stop was asked for: a regular
// instance that stops is fine, a maintenance that is not finished is not.
func interrupted(ctx context.Context, cfg Config, err error) (int, error) {
	switch {
	case ctx.Err() == nil && err != nil:
		return exitError, err
	case ctx.Err() != nil && cfg.Script != "":
		return exitStopped, errors.New("stopped before the maintenance script was done")
	}
	return exitOK, nil
}

// logger writes one line per message with the time in UTC.
type logger struct{ w io.Writer }

// Printf writes one line.
func (l logger) Printf(format string, args ...any) {
	fmt.Fprintf(l.w, "%s hafnode: %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}
