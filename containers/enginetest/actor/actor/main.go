//go:build unix

// The command actor is actor.Main as a program of its own: what runs in the
// image that real engines get.
package main

import (
	"context"
	"os"

	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/program"
)

func main() {
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	os.Exit(actor.Main(context.Background(), &program.Process{
		Name: os.Args[0], Args: os.Args[1:], Env: os.Environ(), Dir: dir, Hostname: host,
		Stdout: os.Stdout, Stderr: os.Stderr, System: newSystem(os.Exit),
	}))
}
