// The command stagehand takes a stack of containers from nothing to serving.
package main

import (
	"os"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
