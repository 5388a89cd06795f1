//go:build unix

// Package ledgertest brings what tests of ledgers need of a machine: a PostgreSQL
// server, from the binaries that it has, and disks that fill up.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password of the server's user: no text of ours may have it.
const Password = "s3cr%t/#?@word"

const name = "keeper"

// ErrNone: this machine has no PostgreSQL server.
var ErrNone = errors.New("no PostgreSQL server here (initdb is neither on the PATH nor in /usr/lib/postgresql/*/bin): scripts/test-tools.sh installs it")

// Server is a PostgreSQL server on a port of this host, with a folder of its own.
type Server struct {
	folder, binaries string
	port             int
	process          *exec.Cmd
}

// Start makes and starts a server, or returns ErrNone. End it with Remove.
func Start(ctx context.Context) (*Server, error) {
	binaries, err := find()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "stagehand-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, binaries: binaries}
	if err := s.make(ctx); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNone
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) make(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(Password), 0o600); err != nil {
		return err
	}
	attributes, err := s.unprivileged(s.folder, password)
	if err != nil {
		return err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.binaries, "initdb"), "-D", s.data(), "-U", name, "-A", "scram-sha-256",
		"--pwfile", password, "--no-sync", "-E", "UTF8", "--locale", "C")
	initdb.Dir, initdb.SysProcAttr = s.folder, attributes
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output)
	}
	return s.Begin(ctx)
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// unprivileged hands files over to a user that may run a server: root may not.
func (s *Server) unprivileged(files ...string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := os.Chown(f, uid, gid); err != nil {
			return nil, err
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// Begin starts the server, anew after End, and returns once it answers.
func (s *Server) Begin(ctx context.Context) error {
	attributes, err := s.unprivileged()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	s.process = exec.Command(filepath.Join(s.binaries, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.folder,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200")
	s.process.Dir, s.process.SysProcAttr, s.process.Stdout, s.process.Stderr = s.folder, attributes, log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	// It ends what hangs: how long a recovery takes on a busy machine is no claim of ours.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		connection, err := pgx.Connect(ctx, s.URL(""))
		if err == nil {
			return connection.Close(ctx)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server does not answer: %w: %s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// End stops the server as a crash would: every connection breaks at once.
func (s *Server) End() error {
	if s.process == nil {
		return nil
	}
	err := s.process.Process.Signal(syscall.SIGQUIT)
	_ = s.process.Wait() // its exit code is that of a crash
	s.process = nil
	return err
}

// Signal sends the server's first process a signal.
func (s *Server) Signal(signal os.Signal) error { return s.process.Process.Signal(signal) }

// Remove stops the server and removes its files.
func (s *Server) Remove() error { return errors.Join(s.End(), os.RemoveAll(s.folder)) }

// URL is the address of a ledger in the schema; "" leaves it out.
func (s *Server) URL(schema string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, Password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/postgres",
		RawQuery: "sslmode=disable",
	}
	if schema != "" {
		u.RawQuery += "&search_path=" + url.QueryEscape(schema)
	}
	return u.String()
}
