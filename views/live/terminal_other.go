//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package live

import "os"

// Foreground tells whether the terminal listens to this process: a console belongs to all its processes.
func Foreground(*os.File) bool { return true }

func mute(*os.File) (restore func()) { return func() {} }

func stopSignals() (stops <-chan os.Signal, forget func()) { return nil, func() {} }

func stopProcess() {}
