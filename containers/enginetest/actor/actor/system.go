//go:build unix

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/stagehand-dev/stagehand/containers/program"
)

var numbers = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT,
	"SIGTERM": syscall.SIGTERM, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2,
}

// system is program.System over the real one.
type system struct {
	mu      sync.Mutex
	trapped map[os.Signal]chan string
	held    [][]byte
}

// newSystem handles every signal by itself: the kernel does not let an
// untrapped one end process 1, which is what a container's program is, and
// Go's runtime then exits with 2 where the contract says 128 + N.
func newSystem(exit func(code int)) *system {
	s := &system{trapped: map[os.Signal]chan string{}}
	all := make(chan os.Signal, 16)
	for _, sig := range numbers {
		signal.Notify(all, sig)
	}
	go s.deliver(all, exit) // owned by the process: ends with it
	return s
}

func (s *system) deliver(all <-chan os.Signal, exit func(code int)) {
	for sig := range all {
		s.mu.Lock()
		target := s.trapped[sig]
		s.mu.Unlock()
		number := sig.(syscall.Signal)
		if target == nil {
			exit(128 + int(number))
		}
		for name, n := range numbers {
			if n == number {
				select {
				case target <- name:
				default: // like signal.Notify: a full channel loses signals
				}
			}
		}
	}
}

func (s *system) Notify(signals ...string) <-chan string {
	target := make(chan string, 8)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range signals {
		if sig, ok := numbers[name]; ok {
			s.trapped[sig] = target
		}
	}
	return target
}

func (s *system) Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

func (s *system) Dial(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", address)
}

func (s *system) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (s *system) WriteFile(path string, content []byte) error {
	return os.WriteFile(path, content, 0o644)
}

func (s *system) AppendFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func (s *system) Stat(path string) (program.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return program.FileInfo{}, err
	}
	result := program.FileInfo{Mode: uint32(info.Mode().Perm()), Folder: info.IsDir()}
	if !info.IsDir() {
		result.Size = info.Size()
	}
	if raw, ok := info.Sys().(*syscall.Stat_t); ok {
		result.UID, result.GID = int(raw.Uid), int(raw.Gid)
	}
	return result, nil
}

func (s *system) ReadDir(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (s *system) Remove(path string) error { return os.Remove(path) }

func (s *system) Hold(bytes int64) {
	block := make([]byte, bytes)
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1 // a page that was never written takes no memory
	}
	s.mu.Lock()
	s.held = append(s.held, block)
	s.mu.Unlock()
}
