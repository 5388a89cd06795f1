// Command probe is the least program that containers of stagehand's own can
// run: its hidden commands and nothing else.
package main

import (
	"os"

	"github.com/stagehand-dev/stagehand/containers/docker/lease"
	"github.com/stagehand-dev/stagehand/containers/docker/probe"
)

func main() {
	if os.Args[1] == lease.Command {
		os.Exit(lease.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(probe.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
}
