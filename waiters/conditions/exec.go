package conditions

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// Exec holds when Command, run in the service's container, exits 0 and its
// output (both streams, the first 64 KiB) matches Output, if that is set.
type Exec struct {
	Service string
	Command []string
	Output  *regexp.Regexp
}

// Look runs the command once.
func (e Exec) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	execer, ok := w.Engine.(containers.Execer)
	if !ok {
		return waiters.Observation{}, &waiters.Dead{Name: e.Service, Reason: e.String() + ": this engine cannot run commands in containers"}
	}
	s, there, err := w.Status(ctx, e.Service)
	if err != nil {
		return waiters.Observation{}, err
	}
	if !there || !s.Running() {
		return waiters.Observation{Detail: where(s, there)}, nil
	}
	var out texts.Capped
	code, err := execer.Exec(ctx, s.Name, e.Command, &out)
	switch {
	case errors.Is(err, containers.ErrNotFound), errors.Is(err, containers.ErrConflict):
		return waiters.Observation{Detail: "not running"}, nil
	case err != nil:
		return waiters.Observation{}, fmt.Errorf("%s: %w", e, err)
	case code != 0:
		return waiters.Observation{Detail: texts.WithOutput(fmt.Sprintf("exit %d", code), out.Last())}, nil
	case e.Output != nil && !texts.Match(e.Output, out.Bytes()):
		return waiters.Observation{Detail: texts.WithOutput("exit 0, but the output does not match", out.Last())}, nil
	}
	return waiters.Observation{Holds: true, Detail: "exit 0"}, nil
}

// Limit is generous: a command that is cut off goes on in its container.
func (e Exec) Limit() time.Duration { return time.Minute }

// String is "exec SERVICE: COMMAND".
func (e Exec) String() string {
	return "exec " + e.Service + ": " + texts.Shorten(strings.Join(e.Command, " "))
}

// References is the service.
func (e Exec) References() []string { return []string{e.Service} }
