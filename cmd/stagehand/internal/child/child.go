// Package child runs a program of the user's beside a stack: with our streams,
// told of our signals, and not left behind.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Options of a child.
type Options struct {
	// Dir is its folder; "" is the process's.
	Dir string
	// Environ is its whole environment.
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Pass, if not nil, is called when the child has begun, with what hands a
	// signal on to it and what kills it.
	Pass func(signal func(os.Signal), kill func())
}

// Find says whether the program can be run from dir, and where it is; the
// error says why not, for people.
func Find(program, dir string) (string, error) {
	if strings.ContainsRune(program, filepath.Separator) && dir != "" && !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	path, err := exec.LookPath(program)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("the command %q is not found in PATH", program)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("the command %q does not exist", program)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the command %q cannot be executed: chmod +x it, or name its interpreter before it", program)
	case err != nil:
		return "", fmt.Errorf("the command %q: %w", program, err)
	}
	return path, nil
}

// streamPatience is how long what a child has left running may hold its
// output when that is no file.
const streamPatience = 5 * time.Second

// Run runs the program to its end and returns its exit code, 128+N if signal N ended
// it, as shells have it. It is killed when ctx ends or, where the system can do that,
// when this process is. The error says why it could not be started.
func Run(ctx context.Context, path string, args []string, o Options) (int, error) {
	// The kernel ties the child's life to that of the thread that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Dir, o.Environ, o.Stdin, o.Stdout, o.Stderr
	cmd.SysProcAttr, cmd.WaitDelay = bound(), streamPatience
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command could not be started: %w", err)
	}
	if o.Pass != nil {
		o.Pass(
			func(s os.Signal) {
				if s != os.Interrupt || !sharesTerminal() {
					_ = cmd.Process.Signal(s) // it has ended otherwise
				}
			},
			func() { _ = cmd.Process.Kill() },
		)
	}
	err := cmd.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case !errors.As(err, &ended):
		return 0, fmt.Errorf("the command: %w", err)
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && ended.ExitCode() < 0 { // a signal ended it
		return 128 + int(status.Signal()), nil
	}
	return ended.ExitCode(), nil
}
