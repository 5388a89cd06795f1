// Package lease is both ends of a lease on Docker: the program inside a small
// container whose name can be had once, and the holder here, whose connection
// to that container's standard input keeps it alive.
//
// The holder's lines go in and come out again: its beats, so that it knows
// that the container lives, and its notes, so that others who attach get them.
// When the input ends, because the holder released the lease, died, or its
// connection broke, the container ends and the engine removes it; when no line
// came for the TTL, because the holder's host vanished, it ends itself.
package lease

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Command is the hidden command of the program that is Main.
const Command = "lease-hold"

// Main is the hidden command lease-hold. args is the TTL in milliseconds. It
// returns the exit code: 0 when the input ended or it was asked to stop, 1 when no
// line came for the TTL, 2 for wrong arguments.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, Command+": want MILLISECONDS")
		return 2
	}
	milliseconds, err := strconv.Atoi(args[0])
	if err != nil || milliseconds <= 0 {
		fmt.Fprintf(stderr, "%s: %q is not a number of milliseconds\n", Command, args[0])
		return 2
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(stop)
	return hold(time.Duration(milliseconds)*time.Millisecond, stdin, stdout, stop)
}

func hold(ttl time.Duration, stdin io.Reader, stdout io.Writer, stop <-chan os.Signal) int {
	lines, ended := make(chan struct{}, 1), make(chan struct{})
	// Not waited for on the way out: a read of a pipe cannot be interrupted,
	// and the process ends with Main.
	go func() {
		defer close(ended)
		reader := bufio.NewReader(stdin)
		for {
			line, err := reader.ReadBytes('\n')
			if err != nil {
				return // a line that was cut off is no line
			}
			if _, err := stdout.Write(line); err != nil {
				return
			}
			select {
			case lines <- struct{}{}:
			default:
			}
		}
	}()
	timer := time.NewTimer(ttl)
	defer timer.Stop()
	for {
		select {
		case <-lines:
			timer.Reset(ttl)
		case <-timer.C:
			return 1
		case <-ended:
			return 0
		case <-stop:
			return 0
		}
	}
}
