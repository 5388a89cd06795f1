// Package processes tells whether a process of this host still lives.
package processes

import "os"

// Self names this process to others of the same host; "" where nobody could look.
func Self() string { return name(os.Getpid()) }

// Dead tells whether the process that was named so is known to have ended. False means
// that it lives, or that nobody can tell from here.
func Dead(named string) bool { return dead(named) }
