//go:build linux

// The command bench measures stagehand side by side with Docker Compose and
// with the engine's bare interface, in one run on one machine, and writes
// docs/performance.md and its picture. It runs in the module's folder.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
