package cli

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
)

// grace is the flag that says how long containers may take to stop.
type grace struct {
	flags   *pflag.FlagSet
	seconds int
}

const graceFlag = "timeout"

func (g *grace) bind(f *pflag.FlagSet) {
	g.flags = f
	f.IntVarP(&g.seconds, graceFlag, "t", 0, "`SECONDS` that each container has to stop, 0 for none (default its stop_grace_period)")
}

// given is nil where the flag was not.
func (g *grace) given() (*time.Duration, error) {
	if !g.flags.Changed(graceFlag) {
		return nil, nil
	}
	if g.seconds < 0 {
		return nil, exit.Misuse("--%s %d: expected 0 or more seconds", graceFlag, g.seconds)
	}
	d := time.Duration(g.seconds) * time.Second
	return &d, nil
}
