//go:build !linux

package child

import "syscall"

// bound: these systems do not end a child with its parent.
func bound() *syscall.SysProcAttr { return nil }
