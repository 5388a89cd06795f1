//go:build unix

package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// sharesTerminal tells whether a Ctrl-C at the terminal reaches the child without us: it is in
// our process group, and the terminal signals that whole.
func sharesTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false // there is none
	}
	defer terminal.Close()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
