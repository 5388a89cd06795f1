package reaper

import "syscall"

// ownSession starts a process that a Ctrl-C in the runner's console does not reach.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
