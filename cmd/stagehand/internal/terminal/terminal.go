// Package terminal is the user's terminal: whether there is one, and giving it to a container.
package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

// Of is the stream's terminal; nil where it is none. The stream is a reader or a writer.
func Of(stream any) *os.File {
	file, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// Width is how many columns the stream's terminal has; 0 where it is none.
func Width(stream any) int {
	file := Of(stream)
	if file == nil {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Give gives the terminal, every key of it, to what a container runs until do is over; what that
// prints goes to stdout.
func Give(ctx context.Context, terminal *os.File, stdout io.Writer, do func(context.Context, containers.Terminal) error) error {
	before, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sizes := make(chan containers.TerminalSize)
	watching := make(chan struct{})
	go func() { // ends with ctx
		defer close(watching)
		watchSize(ctx, terminal, sizes)
	}()
	err = do(ctx, containers.Terminal{Stdin: terminal, Stdout: stdout, Sizes: sizes})
	cancel()
	<-watching
	return errors.Join(err, term.Restore(int(terminal.Fd()), before))
}

// watchSize tells the terminal's size whenever it has changed, until ctx is
// done. It is asked for, since not every system tells of changes.
func watchSize(ctx context.Context, terminal *os.File, sizes chan<- containers.TerminalSize) {
	var last containers.TerminalSize
	for {
		if width, height, err := term.GetSize(int(terminal.Fd())); err == nil {
			if size := (containers.TerminalSize{Width: width, Height: height}); size != last {
				select {
				case sizes <- size:
					last = size
				case <-ctx.Done():
				}
			}
		}
		if sleep.For(ctx, 250*time.Millisecond) != nil {
			return
		}
	}
}
