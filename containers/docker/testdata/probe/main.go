// Command probe is the least program that a probe container can run: the
// hidden command of stagehand and nothing else.
package main

import (
	"os"

	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

func main() { os.Exit(probe.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr)) }
