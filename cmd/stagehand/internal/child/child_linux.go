package child

import "syscall"

// bound has the kernel end the child when this process dies.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
