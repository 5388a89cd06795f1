package processes

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"path"
	"runtime"

	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// system is what the program sees of the process.
type system struct{ *Process }

var _ program.System = system{}

func problem(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// alive returns the error of every system call of a program that was killed.
func (s system) alive(op, name string) error {
	if s.ctx.Err() != nil {
		return problem(op, name, fs.ErrClosed)
	}
	return nil
}

// Notify implements program.System.
func (s system) Notify(names ...string) <-chan string {
	target := make(chan string, 8)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.trapped[name] = target
	}
	return target
}

// Listen implements program.System.
func (s system) Listen(target string) (net.Listener, error) {
	if err := s.alive("listen", target); err != nil {
		return nil, err
	}
	l, err := s.Namespace.Listen(target, &s.open)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Dial implements program.System.
func (s system) Dial(ctx context.Context, target string) (net.Conn, error) {
	if err := s.alive("dial", target); err != nil {
		return nil, err
	}
	l, err := s.Host.Listener(target)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	conn, err := l.Dial(ctx, s.Container+":0", &s.open)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return conn, nil
}

// ReadFile implements program.System.
func (s system) ReadFile(name string) ([]byte, error) {
	t, inside, err := s.find("read", name, false)
	if err != nil {
		return nil, err
	}
	return t.Read(inside)
}

// WriteFile implements program.System.
func (s system) WriteFile(name string, content []byte) error {
	return s.writeFile(name, content, false)
}

// AppendFile implements program.System.
func (s system) AppendFile(name string, content []byte) error {
	return s.writeFile(name, content, true)
}

func (s system) writeFile(name string, content []byte, extend bool) error {
	t, inside, err := s.find("write", name, true)
	if err != nil {
		return err
	}
	return t.Write(inside, content, extend, s.UID, s.GID)
}

// Stat implements program.System.
func (s system) Stat(name string) (program.FileInfo, error) {
	t, inside, err := s.find("stat", name, false)
	if err != nil {
		return program.FileInfo{}, err
	}
	return t.Stat(inside)
}

// ReadDir implements program.System.
func (s system) ReadDir(name string) ([]string, error) {
	t, inside, err := s.find("open", name, false)
	if err != nil {
		return nil, err
	}
	return t.List(inside)
}

// Remove implements program.System.
func (s system) Remove(name string) error {
	t, inside, err := s.find("remove", name, true)
	if err != nil {
		return err
	}
	return t.Remove(inside)
}

func (s system) find(op, name string, change bool) (*files.Tree, string, error) {
	if err := s.alive(op, name); err != nil {
		return nil, "", err
	}
	if !path.IsAbs(name) {
		name = path.Join("/", s.Dir, name)
	}
	t, inside, readOnly := s.Host.Find(name)
	if change && readOnly {
		return nil, "", problem(op, name, fs.ErrPermission)
	}
	return t, inside, nil
}

// Hold implements program.System: all processes of a container count together.
func (s system) Hold(bytes int64) {
	if s.Host.Hold(bytes) {
		<-s.ctx.Done()
		runtime.Goexit()
	}
}
