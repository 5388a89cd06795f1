//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package live

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Foreground tells whether the terminal listens to this process: one in the background must
// neither draw on it nor change it. Where it does not control our session there is no background.
func Foreground(terminal *os.File) bool {
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// mute keeps the terminal from showing what is typed, which would move the frame. Ctrl-C and
// the like still come as signals, and what was typed is there for who reads next.
func mute(terminal *os.File) (restore func()) {
	if terminal == nil || !Foreground(terminal) {
		return func() {}
	}
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {}
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	set := func(to *unix.Termios) { _ = unix.IoctlSetTermios(fd, setTermios, to) } // a terminal that is gone has no echo
	set(&quiet)
	return func() {
		if Foreground(terminal) {
			set(before)
		}
	}
}

// stopSignals are the user's wishes to stop the process for a while (Ctrl-Z).
func stopSignals() (stops <-chan os.Signal, forget func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTSTP)
	return signals, func() { signal.Stop(signals) }
}

// stopProcess stops this process until it is told to go on.
func stopProcess() { _ = unix.Kill(unix.Getpid(), unix.SIGSTOP) }
