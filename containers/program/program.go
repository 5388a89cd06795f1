// Package program says what a program inside a container sees of its world,
// so that one Go function can be the program of a real container and of one
// that the reference engine (containers/memory) runs in this process.
package program

import (
	"context"
	"io"
	"net"
	"strings"
)

// Func is a program. It returns its exit code, 0 to 255. ctx is done when the
// program is killed; a program must return soon after that, and what it
// returns then does not count.
type Func func(ctx context.Context, p *Process) int

// Process is one run of a program.
type Process struct {
	// Name is the first word of the command line, Args are the others.
	Name string
	Args []string
	// Env holds KEY=VALUE; of a key that occurs twice the last one counts.
	Env      []string
	Dir      string
	Hostname string
	Stdout   io.Writer
	Stderr   io.Writer

	System
}

// Getenv returns the value of the environment variable, empty when not set.
func (p *Process) Getenv(name string) string {
	value := ""
	for _, entry := range p.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// System is what a program asks of the system under it. Paths are absolute.
// Errors about files satisfy errors.Is with fs.ErrNotExist and its sisters.
type System interface {
	// Notify sends the named signals (SIGTERM, ...) to the channel from now on.
	// One that nobody asked for ends the program with 128 + its number.
	Notify(signals ...string) <-chan string

	// Listen opens a TCP listener on HOST:PORT; an empty HOST means all addresses.
	Listen(address string) (net.Listener, error)
	// Dial opens a TCP connection to HOST:PORT.
	Dial(ctx context.Context, address string) (net.Conn, error)

	ReadFile(path string) ([]byte, error)
	// WriteFile and AppendFile make the file with mode 0644, not its folder.
	WriteFile(path string, content []byte) error
	AppendFile(path string, content []byte) error
	Stat(path string) (FileInfo, error)
	// ReadDir returns the names in a folder, sorted.
	ReadDir(path string) ([]string, error)
	Remove(path string) error

	// Hold takes that many bytes of memory until the program ends. It does not
	// return when this is more than the container may have.
	Hold(bytes int64)
}

// FileInfo is what Stat knows of a file or folder.
type FileInfo struct {
	Mode     uint32 // permission bits as in chmod
	UID, GID int
	Size     int64 // bytes; 0 of a folder
	Folder   bool
}
