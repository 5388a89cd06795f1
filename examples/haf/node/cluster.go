package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// binaries is where Debian keeps PostgreSQL's programs.
	binaries = "/usr/lib/postgresql/15/bin"
	sockets  = "/var/run/postgresql"
	// superuser owns the cluster and is the role that everybody uses.
	superuser = "haf_admin"
	database  = "haf_block_log"
)

// errServerGone is what work ends with when PostgreSQL ended without being asked to.
var errServerGone = errors.New("PostgreSQL has ended by itself; its log above says why")

// Cluster is the PostgreSQL server on the data volume. The caller holds the
// volume's lock.
type Cluster struct {
	Volume string
	// Local keeps the server off the network: only its own container reaches it.
	Local  bool
	Log    logger
	Stderr io.Writer

	cmd     *exec.Cmd
	running context.Context // ends when the server has ended
	waitErr error           // the server's end; read it only after running has ended
}

func (c *Cluster) dir() string { return filepath.Join(c.Volume, "pgdata") }

// Init makes the cluster's files if they are not there. It may be killed at
// any moment: a cluster gets its name only when it is whole.
func (c *Cluster) Init(ctx context.Context) error {
	if _, err := os.Stat(c.dir()); err == nil {
		// Left by a container that was killed. Nobody else can be running on
		// these files, since the lock is ours; the id in it may by now be
		// another process's, which PostgreSQL would mistake for a server.
		err := os.Remove(filepath.Join(c.dir(), "postmaster.pid"))
		if err == nil {
			c.Log.Printf("the instance before this one was not shut down cleanly")
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	half := c.dir() + ".new"
	if err := os.RemoveAll(half); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	c.Log.Printf("making a new PostgreSQL cluster in %s", c.dir())
	// Trust for every host: the port is published nowhere, so only the stack's network reaches it.
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "initdb"), "--pgdata="+half,
		"--username="+superuser, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	hba, err := os.OpenFile(filepath.Join(half, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = hba.WriteString("host all all all trust\n")
	if err := errors.Join(err, hba.Sync(), hba.Close()); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	return os.Rename(half, c.dir())
}

// Start starts the server. Its log goes to Stderr and, appended, to
// postgresql.log on the volume. Stop must follow.
func (c *Cluster) Start() error {
	file, err := os.OpenFile(filepath.Join(c.Volume, "postgresql.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	listen := "*"
	if c.Local {
		listen = ""
	}
	c.cmd = exec.Command(filepath.Join(binaries, "postgres"), "-D", c.dir(),
		"-c", "listen_addresses="+listen, "-c", "unix_socket_directories="+sockets,
		"-c", "log_line_prefix=%m [%p] ", "-c", "timezone=UTC", "-c", "log_timezone=UTC")
	c.cmd.Stderr = io.MultiWriter(c.Stderr, file)
	// A group of its own, so that a Ctrl-C at a terminal reaches only us: PostgreSQL stops last.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = time.Second
	if err := c.cmd.Start(); err != nil {
		file.Close()
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	running, ended := context.WithCancel(context.Background())
	c.running = running
	go func() { // Stop waits for it
		defer ended()
		c.waitErr = errors.Join(c.cmd.Wait(), file.Close())
	}()
	return nil
}

// Running ends when the server has ended.
func (c *Cluster) Running() context.Context { return c.running }

// Stop shuts the server down and proves that it was a clean shutdown, as
// "pg_ctl stop -m fast" does: SIGINT is that mode's signal. There is no time
// limit, since the container's grace period is one; once ctx has ended Stop returns.
func (c *Cluster) Stop(ctx context.Context) error {
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-c.running.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.waitErr != nil {
		return fmt.Errorf("PostgreSQL ended: %w", c.waitErr)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "pg_controldata"), "-D", c.dir())
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("pg_controldata: %w", err)
	}
	return cleanState(string(out))
}

// cleanState reads pg_controldata's output.
func cleanState(out string) error {
	for line := range strings.Lines(out) {
		if state, ok := strings.CutPrefix(line, "Database cluster state:"); ok {
			if state = strings.TrimSpace(state); state != "shut down" {
				return fmt.Errorf("PostgreSQL left the cluster in the state %q instead of \"shut down\"", state)
			}
			return nil
		}
	}
	return errors.New("pg_controldata names no cluster state")
}
