//go:build unix

package reaper

import "syscall"

// ownSession starts a process as the leader of a session without a terminal.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
